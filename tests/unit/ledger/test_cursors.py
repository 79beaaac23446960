"""Cursors go forward only."""

from datetime import UTC, datetime, timedelta

from ometria_provider.ledger import cursors
from ometria_provider.ledger.engine import Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ("ometria_default", "members", "opt_out")


def test_cursor_that_was_never_set_is_none(ledger: Ledger) -> None:
    assert cursors.get(ledger, *KEY) is None


def test_cursor_moves_forward_and_never_back(ledger: Ledger) -> None:
    cursors.move(ledger, *KEY, at=NOON, run_id=1)
    cursors.move(ledger, *KEY, at=NOON + timedelta(hours=1), run_id=2)
    cursors.move(ledger, *KEY, at=NOON, run_id=1)
    assert cursors.get(ledger, *KEY) == NOON + timedelta(hours=1)
    assert cursors.get(ledger, "ometria_default", "others", "opt_out") is None


def test_cursor_that_is_put_somewhere_stands_there_wherever_it_stood(ledger: Ledger) -> None:
    for at in (NOON, NOON - timedelta(hours=1), NOON + timedelta(hours=1)):
        cursors.put(ledger, *KEY, at=at)
        assert cursors.get(ledger, *KEY) == at


def test_cursors_move_together_each_forward_only(ledger: Ledger) -> None:
    cursors.move_all(ledger, "antavo", "", {"a": NOON, "b": NOON}, run_id=0)
    cursors.move_all(ledger, "antavo", "", {"a": NOON - timedelta(hours=1), "b": NOON + timedelta(hours=1)}, run_id=0)
    cursors.move_all(ledger, "antavo", "", {}, run_id=0)
    assert cursors.all_of(ledger, "antavo", "") == {"a": NOON, "b": NOON + timedelta(hours=1)}
    assert cursors.all_of(ledger, "antavo", "members") == {}


def test_cursor_of_the_longest_workflow_name_fits(ledger: Ledger) -> None:
    name = f"collected:{'x' * 200}"
    cursors.move(ledger, "antavo", "", name, at=NOON, run_id=0)
    assert cursors.get(ledger, "antavo", "", name) == NOON
