"""What a run asked for and what was answered, on both databases."""

from __future__ import annotations

from datetime import timedelta

from ometria_provider.ledger import approvals, forgetting, run_steps, runs
from ometria_provider.ledger.engine import Ledger


def _run(ledger: Ledger) -> int:
    return runs.open_run(ledger, dag_id="d", run_id="r", mapping="m", dry_run=False).id


def _state(ledger: Ledger) -> str:
    with ledger.read() as connection:
        return str(connection.exec_driver_sql("SELECT state FROM sync_run").scalar())


def test_approval_asked_waits_and_a_step_that_starts_ends_the_wait(ledger: Ledger) -> None:
    run = _run(ledger)
    assert approvals.find(ledger, run) is None
    approvals.ask(ledger, run, {"max_changed_share": 21}, ["21 would change."], timedelta(hours=12))
    found = approvals.find(ledger, run)
    assert found
    assert (found.covers, found.reasons, found.answer) == ({"max_changed_share": 21}, ["21 would change."], None)
    assert found.until - found.asked_at == timedelta(hours=12)
    assert _state(ledger) == "awaiting_approval"
    with run_steps.working(ledger, runs.get_run(ledger, dag_id="d", run_id="r"), "gate"):
        assert _state(ledger) == "running"


def test_approval_answered_is_kept_until_it_is_asked_for_again(ledger: Ledger) -> None:
    run = _run(ledger)
    approvals.ask(ledger, run, {"always": 1}, ["Every run."], timedelta(hours=1))
    approvals.answer(ledger, run, approvals.APPROVED, by="ann")
    found = approvals.find(ledger, run)
    assert found
    assert (found.answer, found.answered_by) == ("approved", "ann")
    assert found.answered_at
    approvals.ask(ledger, run, {"always": 2}, ["Every run."], timedelta(hours=1))
    found = approvals.find(ledger, run)
    assert found
    assert (found.covers, found.answer, found.answered_by) == ({"always": 2}, None, None)


def test_approval_asked_for_in_a_run_that_had_ended_makes_it_one_that_has_not(ledger: Ledger) -> None:
    _run(ledger)
    run = runs.get_run(ledger, dag_id="d", run_id="r")
    runs.close_run(ledger, run.id, state="halted", reason="Refused.", counts={})
    with run_steps.working(ledger, run, "gate"):
        approvals.ask(ledger, run.id, {}, ["21 would change."], timedelta(hours=12))
    assert _state(ledger) == "awaiting_approval"
    assert forgetting.runs_at_work(ledger) == [run.id]
