"""How mappings and workflows stand, for the overview: what the ledger and the files say, made ready to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from ometria_provider.attention import Watched, freshness, is_late
from ometria_provider.ledger import campaign_facts, campaign_runs, cursors, history, run_steps
from ometria_provider.ledger.campaign_runs import Past
from ometria_provider.ledger.deliveries import ACKNOWLEDGED, REJECTED
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.standing import standing
from ometria_provider.mapping.freshness import PATIENCE
from ometria_provider.report import APIS, use_of
from ometria_provider.settings import Settings
from ometria_provider.text import moment
from ometria_provider.web.charts import Bar, bars

#: Runs of one small chart.
LAST = 20


@dataclass(frozen=True)
class MappingCard:
    """One mapping.

    :param fresh: its freshness against its schedule, in words; `late`: whether it is late.
    :param paused: whether its DAG is paused.
    :param broken: what is wrong with its file; empty: nothing that stops it.
    :param share: of the limit on pushes that its last run used while it pushed, 0 to 1.
    """

    name: str
    dag_id: str
    last: RunRow | None
    fresh: str
    late: bool
    chart: Markup | None
    share: float | None
    paused: bool
    broken: str


@dataclass(frozen=True)
class WorkflowCard:
    """One workflow.

    :param outcome: what became of the events of its last run, in words.
    :param fresh: when its events were last read from Antavo, in words; `late`: whether that is too long ago.
    :param waiting: events that are still to be delivered.
    :param held: those of them that a run could not deliver.
    :param share: of Ometria's limit on pushes that its last run used, 0 to 1.
    :param paused: whether the connection's DAG is paused.
    """

    name: str
    account: str
    last: Past | None
    outcome: str
    fresh: str
    late: bool
    waiting: int
    held: int
    chart: Markup | None
    share: float | None
    paused: bool


def mapping_card(ledger: Ledger, settings: Settings, dag: Watched, now: datetime, *, paused: bool) -> MappingCard:
    """Return how a mapping stands."""
    past = history.list_runs(ledger, dag_ids=[dag.dag_id], limit=LAST)
    where = standing(ledger, dag.dag_id)
    fresh = freshness(dag, where.green_at, settings)
    late = is_late(fresh, where, now)
    if fresh is None:
        words = "no schedule"
    else:
        green = f"green at {moment(fresh.green_at)}" if fresh.green_at else "never green so far"
        since = None if where.awaiting else fresh.stale_at
        due = "" if since is None else f", {'late since' if late else 'late from'} {moment(since)}"
        words = f"{fresh.schedule}: {green}{due}"
    last = past[0] if past else None
    use = use_of("Ometria", APIS["Ometria"], run_steps.steps(ledger, last.id)) if last else None
    share = use.share if use else None
    return MappingCard(dag.name, dag.dag_id, last, words, late, _runs_chart(past), share, paused, dag.broken)


def _runs_chart(past: Sequence[RunRow]) -> Markup | None:
    if not past:
        return None
    drawn = [
        Bar(run.sent, run.rejected, f"run {run.id}: {run.sent:,} sent, {run.rejected:,} rejected")
        for run in reversed(past)
    ]
    last = past[0]
    title = f"Sent and rejected in the last {len(past)} runs; in the last one {last.sent:,} and {last.rejected:,}."
    return bars(drawn, title=title)


def workflow_card(ledger: Ledger, dag: Watched, name: str, now: datetime, *, paused: bool) -> WorkflowCard:
    """Return how a workflow of a connection's campaigns stands."""
    past = campaign_runs.latest_runs(ledger, name, LAST)
    held, new = campaign_runs.undone(ledger, dag.name, name)
    last = past[0] if past else None
    outcome = ", ".join(f"{count:,} {state}" for state, count in sorted(last.states.items())) if last else ""
    read_at = cursors.get(ledger, dag.name, "", f"collected:{name}")
    expected = read_at or dag.since
    asked = campaign_facts.facts_of(ledger, last.account, [last.run_id]).apis if last else ()
    return WorkflowCard(
        name,
        dag.name,
        last,
        outcome,
        fresh=f"every minute: {f'read at {moment(read_at)}' if read_at else 'never read so far'}",
        late=expected is not None and expected < now - PATIENCE,
        waiting=held + new,
        held=held,
        chart=_campaign_chart(past),
        share=next((use.share for use in asked if use.api == "Ometria"), None),
        paused=paused,
    )


def _campaign_chart(past: Sequence[Past]) -> Markup | None:
    if not past:
        return None
    counts = [(run.at, run.states.get(ACKNOWLEDGED, 0), run.states.get(REJECTED, 0)) for run in reversed(past)]
    drawn = [Bar(sent, bad, f"{moment(at)}: {sent:,} sent, {bad:,} rejected") for at, sent, bad in counts]
    _, sent, bad = counts[-1]
    return bars(
        drawn, title=f"Events sent and rejected in the last {len(past)} runs; in the last one {sent} and {bad}."
    )
