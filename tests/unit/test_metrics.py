"""What is measured, by which name, and that it arrives: at a StatsD server, through Airflow's own client."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from ledgers import PastRun, green_run
from ometria_provider import metrics
from ometria_provider.campaign_report import CampaignReport
from ometria_provider.ledger import history, rejections, runs
from ometria_provider.ledger.campaign_facts import ApiUse
from ometria_provider.ledger.campaign_runs import Outcome
from ometria_provider.ledger.engine import Ledger
from ometria_provider.metrics import Point, emit, named, of_campaign, of_run, of_step, of_watch
from ometria_provider.report import run_report
from services import Statsd, statsd

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BY_NAME = {one.name: one for one in metrics.METRICS}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Statsd]:
    with statsd(monkeypatch) as found:
        yield found


def values(points: Iterator[Point]) -> dict[tuple[str, ...], float]:
    return {(point.metric.name, *point.tags): point.value for point in points}


def test_names_are_all_different_and_described() -> None:
    assert len(BY_NAME) == len(metrics.METRICS)
    assert all(one.meaning and one.tags for one in metrics.METRICS)


def test_step_counts_requests_of_its_api_looks_at_the_log_and_farewells_included() -> None:
    facts = {"requests": 7, "throttled": 1, "retried": 2, "data_requests": 3, "data_throttled": 1}
    assert values(of_step("push", "customers", facts)) == {
        ("requests", "Ometria", "customers"): 10,
        ("throttled", "Ometria", "customers"): 2,
        ("retried", "Ometria", "customers"): 2,
    }
    assert values(of_step("extract", "customers", facts))["requests", "Antavo", "customers"] == 10
    settled = {"requests": 1, "farewells": {"requests": 4}}
    assert values(of_step("reconcile", "customers", settled))["requests", "Ometria", "customers"] == 5
    assert values(of_step("map", "customers", facts)) == {}


def test_run_counts_its_end_once_however_often_it_is_closed(sqlite_ledger: Ledger) -> None:
    number = green_run(state=None).write(sqlite_ledger).id
    counts = {"read": 2000, "filtered": 15, "rejected": 12, "sent": 1973, "accepted": 1900}

    def close(**changes: int) -> dict[tuple[str, ...], float]:
        before = history.run_row(sqlite_ledger, number)
        runs.close_run(sqlite_ledger, number, state="succeeded", reason=None, counts=counts | changes)
        fresh = rejections.rejection_groups(sqlite_ledger, number, since=before.ended_at)
        found = values(of_run(before, run_report(sqlite_ledger, number), fresh))
        return {key: value for key, value in found.items() if key[0] not in ("run_duration", "budget_used") and value}

    assert close() == {
        ("runs", "customers", "succeeded"): 1,
        ("accepted", "customers"): 1900,
        ("rejected", "customers", "mapping", "phone_number", "is no phone number"): 12,
    }
    assert close() == {}
    assert close(accepted=1973) == {("accepted", "customers"): 73}


def test_run_says_how_much_of_the_limit_it_used(sqlite_ledger: Ledger) -> None:
    number = green_run().write(sqlite_ledger).id
    row = history.run_row(sqlite_ledger, number)
    shares = {
        key: value
        for key, value in values(of_run(row, run_report(sqlite_ledger, number), [])).items()
        if key[0] == "budget_used"
    }
    assert set(shares) == {("budget_used", "Antavo", "customers"), ("budget_used", "Ometria", "customers")}
    assert all(0 < share <= 1 for share in shares.values())


def test_campaign_counts_events_by_state_and_their_delays() -> None:
    outcomes = (Outcome("acknowledged", None, 2, "1"), Outcome("skipped", "a", 1, "2"), Outcome("skipped", "b", 3, "3"))
    report = CampaignReport("thanks", outcomes, (1.5, 30.0), 0)
    points = list(of_campaign("antavo_default", [report], [ApiUse("Ometria", 3, 1, 0, 8.0, 0.25)]))
    found = values(iter(points))
    assert found["events", "thanks", "acknowledged"] == 2
    assert found["events", "thanks", "skipped"] == 4
    assert [point.value for point in points if point.metric.name == "event_delay"] == [1.5, 30.0]
    assert found["throttled", "Ometria", "antavo_default"] == 1
    assert found["budget_used", "Ometria", "antavo_default"] == 0.25


def test_watch_tells_ages_and_every_kind_of_incident() -> None:
    oldest = {"contact_sync__customers": NOON - timedelta(minutes=5), "campaign_events__antavo_default": None}
    assert values(of_watch(oldest, [], ["red", "stale"], NOON)) == {
        ("undelivered_age", "contact_sync__customers"): 300,
        ("undelivered_age", "campaign_events__antavo_default"): 0,
        ("incidents", "red"): 0,
        ("incidents", "stale"): 0,
    }


def test_name_carries_the_tags_where_the_backend_cannot() -> None:
    point = Point(BY_NAME["rejected"], 1, ("my mapping", "ometria", "", "not a valid value, at a.b=c " + "x" * 99))
    name, tags = named(point, tagged=False)
    assert name.startswith("ometria.rejected.my_mapping.ometria.none.not_a_valid_value_at_a_b_c_xxx")
    assert (len(name.rpartition(".")[2]), tags) == (metrics.LETTERS, {})
    name, tags = named(point, tagged=True)
    assert name == "ometria.rejected"
    assert {key: tags[key] for key in ("mapping", "stage")} == {"mapping": "my_mapping", "stage": "ometria"}
    assert "field" not in tags


def test_values_arrive_at_statsd_by_their_kinds(server: Statsd) -> None:
    emit(
        [
            Point(BY_NAME["sent"], 12, ("customers",)),
            Point(BY_NAME["sent"], 0, ("others",)),
            Point(BY_NAME["budget_used"], 0.25, ("Ometria", "customers")),
            Point(BY_NAME["event_delay"], 1.5, ("thanks",)),
        ]
    )
    assert server.values() == {
        "airflow.ometria.sent.customers": 12,
        "airflow.ometria.budget_used.Ometria.customers": 0.25,
        "airflow.ometria.event_delay.thanks": 1500,
    }


def test_values_arrive_with_tags_where_statsd_carries_them(server: Statsd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True")
    emit([Point(BY_NAME["sent"], 12, ("customers",))])
    assert server.values() == {"airflow.ometria.sent,mapping=customers": 12}


def test_metric_that_cannot_be_sent_is_a_warning_and_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.sdk.observability import stats

    def broken(*_args: object, **_more: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(stats, "incr", broken)
    with caplog.at_level(logging.WARNING):
        emit([Point(BY_NAME["sent"], 1, ("customers",))])
    assert "Metrics could not be sent" in caplog.text


def test_red_run_counts_as_what_it_is(sqlite_ledger: Ledger) -> None:
    number = PastRun(state=None).write(sqlite_ledger).id
    before = history.run_row(sqlite_ledger, number)
    runs.close_run(sqlite_ledger, number, state="halted", reason="x", counts={})
    assert values(of_run(before, run_report(sqlite_ledger, number), []))["runs", "customers", "halted"] == 1
