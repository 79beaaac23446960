"""Every combination on the consent page comes out as the page says, and none is missing."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def consent(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path, str(root / "scripts")])
    from reference import consent

    return consent


@pytest.fixture
def table(root: Path) -> list[list[str]]:
    """The rows of the page's last table, its head apart."""
    page = (root / "docs" / "reference" / "consent.md").read_text(encoding="utf-8")
    lines = page.rpartition("\n\n")[2].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_consent_page_tells_the_outcome_of_every_combination(consent: ModuleType, table: list[list[str]]) -> None:
    seen: Counter[int] = Counter()
    for case in consent.cases():
        (row,) = [number for number, row in enumerate(table) if consent.covers(row, case)]
        assert table[row][-1] == consent.outcome(case), case
        seen[row] += 1
    assert seen.total() == 4 * 4 * 3 * 2**4
    assert len(seen) == len(table), "a row that speaks of nothing"


def test_consent_page_lets_no_combination_break_the_promise(consent: ModuleType) -> None:
    """Promise 5, said once more in other words than the code's."""
    for case in consent.cases():
        said = consent.outcome(case)
        fresh = case["this attempt"] in ("is the first", "is a retry: unanswered before")
        known = case["sent before"] == "an opt-out" or case["in Ometria"] == "the member unsubscribed"
        if case["Antavo says now"] == "opted out" and fresh:
            assert said.startswith("**opt-out goes"), case
        if "opt-in goes" in said:
            assert not known or case["the consent time"] == "is newer than every opt-out", case
            assert case["the record"] == "is fine", case
        assert ("forced" in said) <= (case["Antavo says now"] == "opted out" and case["force_opt_out"] == "true"), case
