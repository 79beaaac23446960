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
