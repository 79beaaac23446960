"""Which runs say where a mapping stands."""

from __future__ import annotations

from ledgers import PastRun
from ometria_provider.ledger import run_steps, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.standing import Standing, standing

DAG = "contact_sync__customers"


def run(ledger: Ledger, number: int, state: str | None, *, strategy: str = "full", dry_run: bool = False) -> int:
    row = PastRun(run_id=f"manual__{number}", state=state, dry_run=dry_run).write(ledger)
    runs.keep_plan(ledger, row, strategy=strategy)
    return row.id


def test_standing_without_a_run_is_neither_red_nor_green(ledger: Ledger) -> None:
    assert standing(ledger, DAG) == Standing(None, None, None, None, None)
    assert standing(ledger, DAG).red is None


def test_standing_is_red_by_the_last_run_that_ended(ledger: Ledger) -> None:
    run(ledger, 1, "succeeded")
    bad = run(ledger, 2, "halted")
    works = run(ledger, 3, None)
    found = standing(ledger, DAG)
    assert (found.red and found.red.id, found.green_at is not None) == (bad, True)
    assert found.running and found.running.id == works
    runs.close_run(ledger, 3, state="succeeded", reason=None, counts={})
    assert standing(ledger, DAG).red is None


def test_standing_after_a_green_retry_of_some_stays_red(ledger: Ledger) -> None:
    bad = run(ledger, 1, "failed")
    run(ledger, 2, "succeeded", strategy="chosen")
    found = standing(ledger, DAG)
    assert (found.red and found.red.id, found.green_at) == (bad, None)


def test_standing_after_a_red_retry_of_some_is_red_until_the_next_scan(ledger: Ledger) -> None:
    run(ledger, 1, "succeeded")
    bad = run(ledger, 2, "failed", strategy="chosen")
    red = standing(ledger, DAG).red
    assert red and red.id == bad
    run(ledger, 3, "succeeded", strategy="incremental")
    assert standing(ledger, DAG).red is None


def test_standing_does_not_hear_of_dry_runs_and_other_mappings(ledger: Ledger) -> None:
    run(ledger, 1, "failed", dry_run=True)
    PastRun(mapping="others", state="failed").write(ledger)
    assert standing(ledger, DAG).red is None


def test_standing_knows_who_waits_for_a_person(ledger: Ledger) -> None:
    waits = run(ledger, 1, "awaiting_approval")
    found = standing(ledger, DAG)
    assert (found.awaiting and found.awaiting.id, found.red) == (waits, None)


def test_standing_stays_red_while_a_red_run_is_at_work_again(ledger: Ledger) -> None:
    run(ledger, 1, "succeeded")
    bad = PastRun(run_id="manual__2", state="failed", reason="No answer.").write(ledger)
    with run_steps.working(ledger, bad, "push", 0):
        found = standing(ledger, DAG)
        assert (found.red and found.red.id, found.running and found.running.id) == (bad.id, bad.id)
    runs.close_run(ledger, bad.id, state="succeeded", reason=None, counts={})
    assert standing(ledger, DAG).red is None
