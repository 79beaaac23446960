"""Steps in the ledger: how they end, and which of them count."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ledgers import open_run
from ometria_provider.exceptions import Halted, Misconfigured
from ometria_provider.ledger import findings, forgetting, history, run_steps, runs
from ometria_provider.ledger.engine import Ledger


def test_working_that_ends_well_keeps_facts_and_times(ledger: Ledger) -> None:
    run = open_run(ledger)
    with run_steps.working(ledger, run, "extract", 0) as step:
        step.facts.update(read=3)
    (row,) = run_steps.steps(ledger, run.id)
    assert (row.step, row.slice, row.state, row.reason, row.facts) == ("extract", 0, "done", None, {"read": 3})
    assert row.ended_at is not None
    assert row.ended_at >= row.started_at


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (Halted("Nothing was sent."), "halted", "Nothing was sent."),
        (Misconfigured("Mend the list."), "failed", "Mend the list."),
        (ValueError("ann@example.com"), "failed", "ValueError in map: see the task's log."),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt in map: see the task's log."),
    ],
    ids=["halted", "our own words", "a stranger's words stay out", "killed"],
)
def test_working_that_fails_keeps_facts_and_why(ledger: Ledger, error: BaseException, state: str, reason: str) -> None:
    run = open_run(ledger)
    with pytest.raises(type(error)), run_steps.working(ledger, run, "map", 0) as step:
        step.facts.update(read=3)
        raise error
    (row,) = run_steps.steps(ledger, run.id)
    assert (row.state, row.reason, row.facts) == (state, reason, {"read": 3})


def test_working_again_starts_the_step_afresh(ledger: Ledger) -> None:
    run = open_run(ledger)
    with pytest.raises(ValueError, match="once"), run_steps.working(ledger, run, "map", 0) as step:
        step.facts.update(old=1)
        raise ValueError("once")
    with run_steps.working(ledger, run, "map", 0) as step:
        (during,) = run_steps.steps(ledger, run.id)
        step.facts.update(new=2)
    (after,) = run_steps.steps(ledger, run.id)
    assert (during.state, during.facts, during.reason, during.ended_at) == ("running", {}, None, None)
    assert (after.state, after.facts) == ("done", {"new": 2})


@pytest.mark.parametrize("state", ["succeeded", "failed", "halted", "awaiting_approval"])
def test_working_in_a_run_that_ended_or_waited_makes_it_a_run_at_work_again(ledger: Ledger, state: str) -> None:
    run = open_run(ledger)
    runs.close_run(ledger, run.id, state=state, reason="why", counts={"read": 7})
    assert forgetting.runs_at_work(ledger) == []
    with run_steps.working(ledger, run, "push", 0):
        assert forgetting.runs_at_work(ledger) == [run.id]
        row = history.run_row(ledger, run.id)
    assert (row.state, row.ended_at, row.reason, row.read) == ("running", None, "why", 7)
    assert forgetting.runs_at_work(ledger) == [run.id], "what follows the push is about to begin"


def test_last_returns_a_step_as_it_ended(ledger: Ledger) -> None:
    run = open_run(ledger)
    assert run_steps.last(ledger, run, "report") is None
    with run_steps.working(ledger, run, "report") as step:
        step.facts.update(state="succeeded")
    found = run_steps.last(ledger, run, "report")
    assert found
    assert (found.state, found.facts) == ("done", {"state": "succeeded"})


def test_total_adds_one_fact_over_slices(ledger: Ledger) -> None:
    run = open_run(ledger)
    for slice_, facts in enumerate([{"read": 3}, {"read": 4}, {}]):
        with run_steps.working(ledger, run, "extract", slice_) as step:
            step.facts.update(facts)
    assert run_steps.total(run_steps.steps(ledger, run.id), "extract", "read") == 7
    assert run_steps.total(run_steps.steps(ledger, run.id), "map", "read") == 0


def step_row(step: str, slice_: int, state: str = "done") -> run_steps.StepRow:
    return run_steps.StepRow(step, slice_, state, None, {}, datetime.now(UTC), None)


def test_in_force_leaves_out_what_came_after_a_step_that_was_begun_anew_and_failed() -> None:
    slices = [step_row(step, slice_) for slice_ in (0, 1) for step in ("map", "validate", "push")]
    rows = [step_row("plan", -1), step_row("extract", 1), *slices, step_row("gate", -1)]
    rows.append(step_row("extract", 0, "failed"))
    kept = {(row.step, row.slice) for row in run_steps.in_force(rows)}
    assert kept == {("plan", -1), ("extract", 0), ("extract", 1), ("map", 1), ("validate", 1), ("push", 1)}


def test_in_force_keeps_a_reconcile_that_came_after_a_push_that_failed() -> None:
    rows = [step_row("push", 0, "halted"), step_row("push", 1), step_row("reconcile", -1)]
    assert run_steps.in_force(rows) == rows


def test_in_force_of_a_run_without_an_open_end_is_everything() -> None:
    rows = [step_row(step, -1) for step in run_steps.STEPS]
    assert run_steps.in_force(rows) == rows


def test_drop_slices_from_forgets_the_slices_that_are_gone(ledger: Ledger) -> None:
    run, other = open_run(ledger, "cleared"), open_run(ledger, "other")
    for each in (run, other):
        for slice_ in (-1, 0, 1, 2):
            with run_steps.working(ledger, each, "map", slice_):
                findings.reject(ledger, each.id, slice_, "mapping", [(str(slice_), "a", "bad")])
    run_steps.drop_slices_from(ledger, run, 1)
    assert [row.slice for row in run_steps.steps(ledger, run.id)] == [-1, 0]
    assert findings.count_rejections(ledger, run.id, "mapping") == 2
    assert findings.count_rejections(ledger, other.id, "mapping") == 4
