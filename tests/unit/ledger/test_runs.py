"""Runs in the ledger: opened, continued, closed."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from ledgers import DAG, open_run
from ometria_provider.exceptions import Halted, Misconfigured, Retryable
from ometria_provider.ledger import run_steps, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import SyncRun
from ometria_provider.ledger.runs import Run
from sqlalchemy import select, update


def row_of(ledger: Ledger, run: Run) -> SyncRun:
    with ledger.read() as connection:
        return connection.execute(select(SyncRun).where(SyncRun.id == run.id)).one()


def test_open_run_of_a_new_dag_run_starts_a_row(ledger: Ledger) -> None:
    row = row_of(ledger, open_run(ledger))
    assert (row.state, row.mapping, row.strategy, row.read, row.ended_at) == ("running", "customers", "full", 0, None)
    assert abs(datetime.now(UTC) - row.started_at) < timedelta(minutes=1)


def test_open_run_of_a_cleared_dag_run_continues_its_row(ledger: Ledger) -> None:
    first = open_run(ledger)
    runs.keep_plan(ledger, first, planned_mapping="{}", plan="a plan")
    runs.close_run(ledger, first.id, state="failed", reason="broken", counts={"read": 7})
    again = open_run(ledger)
    row = row_of(ledger, again)
    assert (again.id, again.mapping_json, again.started_at) == (first.id, "{}", first.started_at)
    assert (row.state, row.ended_at) == ("running", None)
    assert row.reason == "broken", "why it was red, until it ends anew"


def test_open_run_with_a_run_left_running_closes_that_one(ledger: Ledger) -> None:
    killed, elsewhere = open_run(ledger), open_run(ledger, dag_id="contact_sync__other")
    open_run(ledger, "second")
    row = row_of(ledger, killed)
    assert (row.state, row.reason) == ("failed", "The run was killed before it could report.")
    assert row.ended_at is not None
    assert row_of(ledger, elsewhere).state == "running"


def do(ledger: Ledger, run: Run, step: str, error: BaseException | None = None, **facts: str | None) -> None:
    with contextlib.suppress(Halted, Retryable), run_steps.working(ledger, run, step) as work:
        work.facts.update(facts)
        if error:
            raise error


@pytest.mark.parametrize(
    ("reported", "cleared", "error", "end"),
    [
        (("succeeded", None), "push", None, ("succeeded", None)),
        (("halted", "Too many."), "extract", None, ("halted", "Too many.")),
        (("succeeded", None), "push", Retryable("No answer."), ("failed", "No answer.")),
        (("succeeded", None), "plan", None, ("failed", runs.KILLED)),
        (None, "push", None, ("failed", runs.KILLED)),
    ],
    ids=["well after green", "well after red", "in vain", "everything is to be done again", "never reported"],
)
def test_run_of_which_a_task_was_cleared_alone_ends_as_it_was_reported_unless_that_failed(
    ledger: Ledger,
    reported: tuple[str, str | None] | None,
    cleared: str,
    error: Retryable | None,
    end: tuple[str, str | None],
) -> None:
    run = open_run(ledger)
    do(ledger, run, "gate", Halted("Too many."))
    if reported:
        do(ledger, run, "report", state=reported[0], reason=reported[1])
        runs.close_run(ledger, run.id, state=reported[0], reason=reported[1], counts={})
    do(ledger, run, cleared, error)
    runs.close_unreported(ledger, dag_id=DAG, run_id=run.run_id)
    row = row_of(ledger, run)
    assert (row.state, row.reason) == end
    assert row.ended_at is not None


def test_cleared_task_that_was_killed_makes_its_run_red(ledger: Ledger) -> None:
    run = open_run(ledger)
    do(ledger, run, "report", state="succeeded", reason=None)
    runs.close_run(ledger, run.id, state="succeeded", reason=None, counts={})
    begun = run_steps.working(ledger, run, "push", 0)
    begun.__enter__()
    open_run(ledger, "second")
    assert (row_of(ledger, run).state, row_of(ledger, run).reason) == ("failed", runs.KILLED)


def test_same_run_id_in_two_dags_are_two_runs(ledger: Ledger) -> None:
    assert open_run(ledger).id != open_run(ledger, dag_id="contact_sync__other").id


def test_get_run_unknown_says_to_start_a_new_one(ledger: Ledger) -> None:
    with pytest.raises(Misconfigured, match=r"knows no run nowhere of contact_sync__customers.*Start a new run"):
        runs.get_run(ledger, dag_id=DAG, run_id="nowhere")


def test_open_or_started_since_lists_a_mappings_recent_runs_and_those_at_work(ledger: Ledger) -> None:
    _, waiting, new = (open_run(ledger, name) for name in ("old", "waiting", "new"))
    with ledger.write() as connection:
        long_ago = datetime.now(UTC) - timedelta(days=9)
        connection.execute(update(SyncRun).where(SyncRun.id != new.id).values(started_at=long_ago))
        connection.execute(update(SyncRun).where(SyncRun.id != waiting.id).values(ended_at=datetime.now(UTC)))
        connection.execute(update(SyncRun).where(SyncRun.id == waiting.id).values(ended_at=None))
    since = datetime.now(UTC) - timedelta(days=3)
    assert runs.open_or_started_since(ledger, "customers", since) == [waiting.id, new.id]
    assert runs.open_or_started_since(ledger, "other", long_ago) == []
