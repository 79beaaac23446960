import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ledgers import PastRun, green_run, unchanged_run, write_batch
from ometria_provider.exceptions import Halted, Retryable
from ometria_provider.ledger import findings
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import UnknownRun
from ometria_provider.report import RunReport, as_data, run_report
from ometria_provider.report_text import render
from ometria_provider.validation.run import RuleResult

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def report_of(ledger: Ledger, run: PastRun) -> RunReport:
    return run_report(ledger, run.write(ledger).id)


def test_report_of_a_first_run_says_who_arrived_and_who_did_not(sqlite_ledger: Ledger) -> None:
    text = render(report_of(sqlite_ledger, green_run()))
    assert "Run 1 of mapping customers: succeeded after" in text
    assert "1,973 of 2,000 members delivered to Ometria, 12 rejected." in text
    assert "Plan: A complete scan." in text
    for line in ("read      2,000", "filtered     15", "rejected     12", "accepted  1,973", "pending       0"):
        assert f"  {line.split()[0]}" in text
    assert "12  mapping  phone_number  is no phone number  m0, m1, m2" in text
    assert "ometria-sync rejections 1" in text
    assert "ometria-sync trace m0" in text


def test_report_counts_balance_as_the_ledger_has_them(sqlite_ledger: Ledger) -> None:
    books = report_of(sqlite_ledger, green_run()).books
    assert books.read == books.unchanged + books.filtered + books.rejected + books.accepted + books.pending == 2000
    assert (books.new, books.remembered, books.to_send, books.sent) == (12, 0, 1973, 1973)


def test_report_with_nothing_to_send_says_so_in_plain_words(sqlite_ledger: Ledger) -> None:
    assert "Nothing to send: all 2,000 members are unchanged." in render(report_of(sqlite_ledger, unchanged_run()))


def test_report_says_whose_opt_in_was_held_back_and_which_opt_outs_went_alone(sqlite_ledger: Ledger) -> None:
    run = green_run()
    held = {"opt-in held back: x": {"members": 2, "first_ids": ["m1", "m2"]}}
    more = {"opt-in held back: x": {"members": 1, "first_ids": ["m9"]}}
    facts = {step: dict(counted) for step, counted in run.facts.items()}
    facts["map", 0]["held_back"], facts["push", 0]["held_back"] = held, more
    facts["push", 0]["opt_outs"] = 4
    text = render(report_of(sqlite_ledger, replace(run, facts=facts)))
    assert "Consent\n  members  reason               such as\n        3  opt-in held back: x  m1, m2, m9" in text
    assert "Of rejected members 4 opt-outs went all the same, alone" in text
    assert "Consent" not in render(report_of(sqlite_ledger, replace(run, run_id="manual__2")))


def departing(run: PastRun, *, missing: int = 0, **handled: object) -> PastRun:
    """Return the run with members who left, found at its gate and, unless it is a dry one, handled."""
    leaving = {"opted out in Antavo": 3, "left the mapping's `where`": 1}
    gate = {"gone": {"missing": missing}, "leaving": leaving}
    facts = {**run.facts, ("gate", -1): gate}
    return replace(run, facts={**facts, ("reconcile", -1): {"departures": leaving, **handled}} if handled else facts)


def test_report_says_who_left_why_and_who_is_missing_for_the_first_time(sqlite_ledger: Ledger) -> None:
    run = departing(green_run(), missing=3, departed=4, refused=0)
    text = render(report_of(sqlite_ledger, replace(run, counts={**run.counts, "departed": 4})))
    assert "Members who left\n  opted out in Antavo         3\n  left the mapping's `where`  1\n" in text
    assert "1,973 of 2,000 members delivered to Ometria, 12 rejected. 4 members left." in text
    assert "Missing for the first time: 3; they leave when the next complete scan misses them too" in text


def test_report_of_a_dry_run_says_who_would_leave(sqlite_ledger: Ledger) -> None:
    text = render(report_of(sqlite_ledger, departing(green_run(dry_run=True), missing=1)))
    assert "Members who would leave\n  opted out in Antavo         3\n" in text
    assert "Missing for the first time: 1; it leaves when the next complete scan misses it too" in text


def test_report_of_a_halted_run_says_that_its_scan_does_not_count(sqlite_ledger: Ledger) -> None:
    text = render(report_of(sqlite_ledger, departing(green_run(state="halted", reason="Too many."), missing=900)))
    assert "Missing for the first time (this scan does not count): 900; they leave" in text


def test_report_names_the_members_whom_ometria_would_not_take_off_the_list(sqlite_ledger: Ledger) -> None:
    run = departing(green_run(), departed=4, refused=2)
    text = render(report_of(sqlite_ledger, run))
    assert "Not taken off the list, because Ometria refused: 2; the next run tries again" in text
    assert "ometria-sync rejections 1 --stage push: who could not be taken off the list" in text


def test_report_of_a_run_that_nobody_left_does_not_speak_of_it(sqlite_ledger: Ledger) -> None:
    text = render(report_of(sqlite_ledger, green_run()))
    assert "left" not in text.replace("left out", "")
    assert "Missing" not in text


def test_report_with_nothing_to_send_explains_each_kind(sqlite_ledger: Ledger) -> None:
    green_run().write(sqlite_ledger)
    run = unchanged_run(
        counts={"read": 2000, "unchanged": 1973, "filtered": 15, "rejected": 12},
        facts={("extract", 0): {"read": 2000}, ("map", 0): {"unchanged": 1973, "filtered": 15, "remembered": 12}},
    )
    report = report_of(sqlite_ledger, run)
    text = render(report)
    assert (
        "Nothing to send: of 2,000 members 1,973 are unchanged, 15 are left out by the mapping's `where`, "
        "12 were rejected before and not due again." in text
    )
    assert "0 by this run, 12 by earlier ones and not due again" in text
    assert report.remembered_from == 1
    assert "ometria-sync rejections 1: why members were rejected before this run" in text


def test_report_of_a_push_without_a_map_step_does_not_claim_that_nothing_was_sent(sqlite_ledger: Ledger) -> None:
    run = PastRun(counts={"read": 5, "sent": 5, "accepted": 5}, facts={("push", 0): {"accepted": 5, "requests": 1}})
    assert "5 of 5 members delivered to Ometria, none rejected." in render(report_of(sqlite_ledger, run))


def test_report_shows_requests_and_the_share_of_the_rate_limit(sqlite_ledger: Ledger) -> None:
    report = report_of(sqlite_ledger, green_run())
    antavo, ometria = report.apis
    assert (antavo.api, antavo.requests, antavo.retried, antavo.rate) == ("Antavo", 6, 1, 25.0)
    assert antavo.share == pytest.approx(3 / (25 * 0.5))
    assert (ometria.requests, ometria.throttled) == (20, 0)
    assert ometria.share == pytest.approx(20 / (8 * 2.6))
    text = render(report)
    assert "1,500 a minute" in text
    assert "8 a second" in text
    assert "96%" in text


def test_report_of_a_dry_run_counts_what_would_happen(sqlite_ledger: Ledger) -> None:
    run = PastRun(
        dry_run=True,
        counts={"read": 100, "unchanged": 50, "rejected": 10, "pending": 40},
        facts={
            ("extract", 0): {"read": 100},
            ("map", 0): {"to_send": 25, "created": 20, "changed": 5, "cleared": {"tier": 3, "phone_number": 1}},
            ("map", 1): {"to_send": 15, "created": 15, "cleared": {"tier": 4}},
        },
    )
    report = report_of(sqlite_ledger, run)
    assert report.dry_run is not None
    assert (report.dry_run.created, report.dry_run.changed, report.dry_run.to_send) == (35, 5, 40)
    assert report.dry_run.cleared == {"tier": 7, "phone_number": 1}
    text = render(report)
    assert "Dry run 1 of mapping customers" in text
    assert "A dry run: nothing was sent. 40 members would be sent." in text
    assert "would lose their value\n    tier          7\n    phone_number  1" in text
    assert "Start a run without `dry_run` to send this" in text


def test_report_of_a_halted_run_names_the_limit_once_and_the_way_on(sqlite_ledger: Ledger) -> None:
    limit = "30 of 100 members would be newly rejected: 30.0%, and limits.max_rejected_share is 1.0%."
    run = PastRun(
        state="halted",
        reason=f"Nothing was sent. {limit}",
        facts={("extract", 0): {"read": 100}, ("map", 0): {"to_send": 70}, ("gate", -1): {"breaches": [limit]}},
        errors={("gate", -1): Halted(f"Nothing was sent. {limit}")},
    )
    report = report_of(sqlite_ledger, run)
    text = render(report)
    assert report.limits == [limit]
    assert text.count(limit) == 1
    assert "Run 1 of mapping customers: halted" in text
    assert any("change the limit" in line for line in report.next)


def test_report_of_a_failed_run_names_the_task_and_says_what_to_clear(sqlite_ledger: Ledger) -> None:
    run = green_run(
        state="failed", reason="Ometria does not answer.", errors={("push", 0): Retryable("Ometria does not answer.")}
    )
    report = report_of(sqlite_ledger, run)
    text = render(report)
    assert "Ometria does not answer." in text
    assert "run manual__1: the log of task `push`" in text
    assert "ometria-sync doctor" in text
    assert "clear `push`" in text


def test_report_of_a_run_with_doubtful_batches_gives_their_request_ids(sqlite_ledger: Ledger) -> None:
    past = green_run(state="failed", reason="7 records are pending", counts={"read": 7, "sent": 7, "pending": 7})
    run = past.write(sqlite_ledger)
    write_batch(sqlite_ledger, run, state="doubtful", request_id="req-77")
    text = render(run_report(sqlite_ledger, run.id))
    assert "not delivered for sure" in text
    assert "req-77" in text


def test_report_of_a_run_at_work_shows_the_numbers_so_far(sqlite_ledger: Ledger) -> None:
    report = report_of(sqlite_ledger, green_run(state=None))
    assert (report.books.read, report.books.accepted, report.books.rejected) == (2000, 1973, 12)
    assert "Still working; the numbers are those so far." in render(report)
    assert report.next[0].startswith("ometria-sync show 1")


def test_report_lists_rules_that_found_something(sqlite_ledger: Ledger) -> None:
    run = green_run().write(sqlite_ledger)
    result = RuleResult("firstname is set", "row", "warning", failed=3, detail="3 of 2,000")
    findings.keep_rule_result(sqlite_ledger, run, 0, result, ["1", "2", "3"])
    text = render(run_report(sqlite_ledger, run.id))
    assert "3  warning   firstname is set  3 of 2,000  1, 2, 3" in text


def test_report_without_any_step_is_shown_all_the_same(sqlite_ledger: Ledger) -> None:
    text = render(report_of(sqlite_ledger, PastRun(state=None)))
    assert "Run 1 of mapping customers: running" in text


def test_report_as_data_is_json(sqlite_ledger: Ledger) -> None:
    data = json.loads(json.dumps(as_data(report_of(sqlite_ledger, green_run()))))
    assert data["run"]["mapping"] == "customers"
    assert data["books"]["accepted"] == 1973
    assert data["rejections"][0]["first_ids"] == ["m0", "m1", "m2"]


def test_report_of_an_unknown_run_is_refused(sqlite_ledger: Ledger) -> None:
    with pytest.raises(UnknownRun):
        run_report(sqlite_ledger, 1)


def test_report_of_a_red_run_that_is_at_work_again_says_both(sqlite_ledger: Ledger) -> None:
    text = render(report_of(sqlite_ledger, PastRun(state="running", reason="No answer.")))
    assert "Still working; the numbers are those so far. Before: No answer." in text
