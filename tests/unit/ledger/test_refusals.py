from __future__ import annotations

import pytest
from ometria_provider.ledger import refusals
from ometria_provider.ledger.engine import Ledger

WHY = "the token has expired"


def test_refusals_are_found_by_their_event_the_latest_first(ledger: Ledger) -> None:
    refusals.note(ledger, [("antavo_default", "e1", WHY), ("antavo_default", "e2", WHY)])
    refusals.note(ledger, [("antavo_default", "e1", "used before")])
    refusals.note(ledger, [])
    assert [one.reason for one in refusals.about(ledger, "e1")] == ["used before", WHY]
    assert refusals.about(ledger, "e3") == []


def test_only_the_latest_refusals_are_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "KEPT", 2)
    for number in range(4):
        refusals.note(ledger, [("antavo_default", f"e{number}", WHY)])
    assert [len(refusals.about(ledger, f"e{number}")) for number in range(4)] == [0, 0, 1, 1]
