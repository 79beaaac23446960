"""What a report says to do next."""

from __future__ import annotations

from ledgers import PastRun, green_run
from ometria_provider.ledger.engine import Ledger
from ometria_provider.report import run_report
from ometria_provider.report_text import render

GONE = {"gone": {"missing": 144, "first_missing": ["m1", "m2", "m3"]}, "leaving": {}}


def test_run_that_halted_for_who_is_missing_says_whom_to_look_up(sqlite_ledger: Ledger) -> None:
    run = PastRun(state="halted", reason="144 of 1,923 members left or are missing.", facts={("gate", -1): GONE})
    report = run_report(sqlite_ledger, run.write(sqlite_ledger).id)
    assert "ometria-sync trace m1 --now: whether Antavo still has one of those who are missing" in report.next
    assert "144 (such as m1, m2, m3); they leave" in render(report)


def test_green_run_with_a_few_missing_asks_nobody_to_look(sqlite_ledger: Ledger) -> None:
    run = green_run()
    run = PastRun(**{**vars(run), "facts": {**run.facts, ("gate", -1): GONE}})
    report = run_report(sqlite_ledger, run.write(sqlite_ledger).id)
    assert not [line for line in report.next if "missing" in line]
