"""Metrics, through Airflow's own statistics: StatsD, Datadog or OpenTelemetry, as `[metrics]` of airflow.cfg says.

Each is counted where it happens, so that a task that is tried again counts what it did, and no more.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ometria_provider.campaign_report import CampaignReport
    from ometria_provider.ledger.campaign_facts import ApiUse
    from ometria_provider.ledger.history import RunRow
    from ometria_provider.ledger.incidents import IncidentRow
    from ometria_provider.ledger.rejections import RejectionGroup
    from ometria_provider.report import RunReport

log = logging.getLogger(__name__)

#: What all names begin with, behind Airflow's own `[metrics] statsd_prefix`.
PREFIX = "ometria"

#: Letters of a tag's value.
LETTERS = 60


@dataclass(frozen=True)
class Metric:
    """What is measured.

    :param tags: what it is told apart by.
    """

    name: str
    kind: Literal["counter", "gauge", "timer"]
    tags: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Point:
    """One value.

    :param tags: the metric's tags, in their order.
    """

    metric: Metric
    value: float
    tags: tuple[str, ...]


REQUESTS = Metric("requests", "counter", ("api", "name"), "requests sent, repetitions included")
THROTTLED = Metric("throttled", "counter", ("api", "name"), "answers that were 429")
RETRIED = Metric("retried", "counter", ("api", "name"), "requests that were repeated")
SENT = Metric("sent", "counter", ("mapping",), "records that Ometria acknowledged")
ACCEPTED = Metric(
    "accepted", "counter", ("mapping",), "records that Ometria acknowledged and did not reject, when a run ends"
)
REJECTED = Metric(
    "rejected", "counter", ("mapping", "stage", "field", "reason"), "members newly rejected, when a run ends"
)
RUNS = Metric("runs", "counter", ("mapping", "state"), "runs that ended: `succeeded`, `failed`, `halted`")
DURATION = Metric("run_duration", "timer", ("mapping",), "how long a run took")
BUDGET = Metric(
    "budget_used", "gauge", ("api", "name"), "share of the account's rate limit used while requests were made, 0 to 1"
)
EVENTS = Metric(
    "events", "counter", ("workflow", "state"), "campaign events that a run brought to a state, such as `acknowledged`"
)
DELAY = Metric(
    "event_delay",
    "timer",
    ("workflow",),
    "from what happened in Antavo to Ometria's acknowledgement, also of an event that was retried or sent again",
)
AGE = Metric(
    "undelivered_age",
    "gauge",
    ("dag",),
    "seconds: how old the oldest change may be that is not delivered. Of a mapping: since its last green run for all "
    "members began, or since its schedule was first seen when there was none; of campaigns: since the oldest event "
    "that waits came, 0 when none does",
)
INCIDENTS = Metric("incidents", "gauge", ("kind",), "incidents that are not over")

#: All of them, in the order of docs/reference/metrics.md.
METRICS = (
    *(SENT, ACCEPTED, REJECTED, RUNS, DURATION),
    *(REQUESTS, THROTTLED, RETRIED, BUDGET),
    *(EVENTS, DELAY, AGE, INCIDENTS),
)

_COUNTED = {"requests": REQUESTS, "throttled": THROTTLED, "retried": RETRIED}


def of_step(step: str, mapping: str, facts: Mapping[str, Any]) -> Iterator[Point]:
    """Yield what one task of a contact sync asked the APIs for."""
    from ometria_provider.report import APIS

    api = next((name.partition(",")[0] for name, steps in APIS.items() if step in steps), None)
    if api is None:
        return
    # Beside pushes go looks at the error log; reconcile pushes those who left.
    parts: list[Mapping[str, Any]] = [facts, facts.get("farewells") or {}]
    for name, metric in _COUNTED.items():
        count = sum(part.get(name, 0) for part in parts) + facts.get(f"data_{name}", 0)
        yield Point(metric, count, (api, mapping))


def of_push(mapping: str, acknowledged: int) -> Iterator[Point]:
    """Yield what one attempt of a push got through."""
    yield Point(SENT, acknowledged, (mapping,))


def of_run(before: RunRow, report: RunReport, rejections: Sequence[RejectionGroup]) -> Iterator[Point]:
    """Yield what a run came to.

    :param before: the run as it was before it was closed: a cleared one counts what has come since.
    :param rejections: what it rejected since it was closed before.
    """
    run = report.run
    if before.ended_at is None or before.state != run.state:
        yield Point(RUNS, 1, (run.mapping, run.state))
    yield Point(ACCEPTED, max(run.accepted - before.accepted, 0), (run.mapping,))
    for group in rejections:
        yield Point(REJECTED, group.members, (run.mapping, group.stage, group.field or "", group.reason))
    if run.ended_at and before.ended_at is None:
        yield Point(DURATION, (run.ended_at - run.started_at).total_seconds(), (run.mapping,))
    yield from _budgets(report.apis, run.mapping)


def of_campaign(connection: str, reports: Sequence[CampaignReport], apis: Sequence[ApiUse]) -> Iterator[Point]:
    """Yield what one attempt of a campaign run did.

    :param connection: the Antavo connection.
    :param reports: of what this attempt wrote down.
    """
    for report in reports:
        for state in sorted({outcome.state for outcome in report.outcomes}):
            yield Point(EVENTS, report.count(state), (report.workflow, state))
        for seconds in report.delays:
            yield Point(DELAY, seconds, (report.workflow,))
    for use in apis:
        for name, metric in _COUNTED.items():
            yield Point(metric, getattr(use, name), (use.api, connection))
    yield from _budgets(apis, connection)


def of_watch(
    oldest: Mapping[str, datetime | None], incidents: Iterable[IncidentRow], kinds: Iterable[str], now: datetime
) -> Iterator[Point]:
    """Yield how things stand.

    :param oldest: since when something may be undelivered, by DAG id; None: nothing is.
    :param incidents: those that are not over.
    :param kinds: all that there are: of some there is none.
    """
    for dag_id, since in oldest.items():
        yield Point(AGE, (now - since).total_seconds() if since else 0, (dag_id,))
    found = [incident.kind for incident in incidents]
    for kind in kinds:
        yield Point(INCIDENTS, found.count(kind), (kind,))


def _budgets(apis: Sequence[ApiUse], name: str) -> Iterator[Point]:
    for use in apis:
        if use.share is not None:
            yield Point(BUDGET, round(use.share, 4), (use.api, name))


def emit(points: Iterable[Point]) -> None:
    """Hand values to Airflow's statistics; whatever goes wrong with that is in the log and harms no run."""
    try:
        from airflow.sdk.observability import stats

        tagged = carries_tags()
        for point in points:
            name, tags = named(point, tagged=tagged)
            match point.metric.kind:
                case "counter" if point.value:
                    stats.incr(name, int(point.value), tags=tags)
                case "gauge":
                    stats.gauge(name, point.value, tags=tags)
                case "timer":
                    stats.timing(name, timedelta(seconds=point.value), tags=tags)
    except Exception:  # any backend's client may raise anything
        log.warning("Metrics could not be sent", exc_info=True)


def named(point: Point, *, tagged: bool) -> tuple[str, dict[str, str]]:
    """Return a value's name and tags.

    :param tagged: the backend carries tags; else they become parts of the name.
    """
    values = [_plain(value) for value in point.tags]
    name = f"{PREFIX}.{point.metric.name}"
    if tagged:
        return name, {tag: value for tag, value in zip(point.metric.tags, values, strict=True) if value}
    return ".".join([name, *(value or "none" for value in values)]), {}


def _plain(value: str) -> str:
    """Return a text that every backend takes for one part of a name, or for a tag."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", value).strip("_")[:LETTERS]


def carries_tags() -> bool:
    """Say whether the backend that Airflow is set up with carries tags: plain StatsD does not."""
    from airflow.sdk.configuration import conf

    options = ("statsd_datadog_enabled", "otel_on", "statsd_influxdb_enabled")
    return any(conf.getboolean("metrics", option, fallback=False) for option in options)


__all__ = ["METRICS", "PREFIX", "Metric", "Point", "emit", "of_campaign", "of_push", "of_run", "of_step", "of_watch"]
