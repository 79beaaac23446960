"""Members who leave: noticed, taken off the list once, and put on it again when they come back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ometria_provider.cli.tracing import explain
from ometria_provider.delivery import batches
from ometria_provider.hooks import antavo
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import run_row
from ometria_provider.ledger.run_steps import DEPARTURES
from ometria_provider.ledger.trace import trace
from ometria_provider.ledger.undelivered import endings
from ometria_provider.operators.reconcile import ReconcileOperator
from ometria_provider.report import run_report
from sync import VALID, Sync
from work import Outcome

LIST = 4821


def programme(sync: Sync, members: int = 12, **keys: Any) -> list[str]:
    """Let a programme have so many members, and deliver them."""
    sync.nobody()
    ids = [sync.member() for _ in range(members)]
    sync.mapping(**keys)
    run = sync.run()
    assert run.green, run.text
    assert run.row["accepted"] == members
    assert sync.on_list() == set(ids)
    return ids


def good(sync: Sync, run: Outcome, *, departed: int = 0, missing: int = 0) -> None:
    """The run is green, its books balance, and so many departed or are missing for the first time."""
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["departed"] == departed
    assert run.facts("gate")["gone"]["missing"] == missing


def test_member_who_opted_out_is_taken_off_the_list_at_the_next_run(sync: Sync) -> None:
    gone, *stay = programme(sync)
    sync.leave(gone)
    run = sync.run()
    good(sync, run, departed=1)
    assert (run.row["sent"], run.row["accepted"]) == (0, 0), "no member's record"
    assert sync.on_list() == set(stay)
    state = sync.state(gone)
    assert (state["state"], state["reason"]) == ("departed", "opted out in Antavo")
    assert state["fingerprint"] is state["filled"] is state["consent_digest"] is state["list_id"] is None
    assert "marketing_optin" not in sync.contact(gone)
    before = sync.received()
    good(sync, sync.run())
    assert sync.received() == before, "a farewell is sent once"


def test_member_who_vanished_leaves_at_the_second_absence_only(sync: Sync) -> None:
    gone, *stay = programme(sync)
    sync.leave(gone, silently=True)
    first = sync.run()
    good(sync, first, missing=1)
    assert sync.on_list() == {gone, *stay}
    assert sync.state(gone)["absent_run_id"] == first.row["id"]
    second = sync.run()
    good(sync, second, departed=1)
    assert sync.on_list() == set(stay)
    assert sync.state(gone)["reason"] == "absent from two complete scans in a row"


def test_member_who_leaves_the_where_is_taken_off_the_list_and_stays_departed(sync: Sync) -> None:
    gone, *stay = programme(sync)
    sync.change(gone, status="banned")
    run = sync.run()
    good(sync, run, departed=1)
    assert run.row["filtered"] == 1
    assert sync.on_list() == set(stay)
    assert sync.state(gone)["state"] == "departed"
    assert sync.state(gone)["reason"].startswith("left the mapping's `where`: status")
    before = sync.received()
    idle = sync.run()
    good(sync, idle)
    assert idle.row["filtered"] == 1
    sync.change(gone, score=77)
    good(sync, sync.run())
    assert sync.state(gone)["state"] == "departed"
    assert sync.received() == before


@pytest.mark.parametrize("way", ["opt_out", "absence", "where"])
def test_returner_is_sent_anew_and_is_on_the_list_again(sync: Sync, way: str) -> None:
    gone, *stay = programme(sync)
    if way == "where":
        sync.change(gone, status="banned")
    else:
        sync.leave(gone, silently=way == "absence")
    runs = [sync.run() for _ in range(2)]
    assert sum(run.row["departed"] for run in runs) == 1
    assert sync.on_list() == set(stay)
    if way == "where":
        sync.change(gone, status="active")
    else:
        sync.sandbox.control("members", {"add": [VALID | {"_id": gone}]})
    back = sync.run()
    good(sync, back)
    assert back.row["sent"] == back.row["accepted"] == 1
    assert sync.on_list() == {gone, *stay}
    assert sync.state(gone)["list_id"] == LIST
    good(sync, sync.run())


def test_member_who_opted_out_and_joined_again_is_not_departed(sync: Sync) -> None:
    gone, *stay = programme(sync)
    sync.leave(gone)
    sync.sandbox.control("members", {"add": [VALID | {"_id": gone}]})
    good(sync, sync.run())
    assert sync.on_list() == {gone, *stay}


def test_member_who_was_missing_once_and_is_read_again_starts_afresh(sync: Sync) -> None:
    gone, *stay = programme(sync)
    sync.leave(gone, silently=True)
    good(sync, sync.run(), missing=1)
    sync.sandbox.control("members", {"add": [VALID | {"_id": gone}], "silently": True})
    good(sync, sync.run())
    assert sync.state(gone)["absent_run_id"] is None
    sync.leave(gone, silently=True)
    good(sync, sync.run(), missing=1)
    assert sync.on_list() == {gone, *stay}


def test_opt_out_mode_opts_out_and_says_nothing_else_of_the_member(sync: Sync) -> None:
    gone, *stay = programme(sync, departed="opt_out")
    before = sync.contact(gone)
    sync.leave(gone)
    good(sync, sync.run(), departed=1)
    assert sync.on_list() == set(stay)
    assert sync.contact(gone) == before | {"marketing_optin": "EXPLICITLY_OPTEDOUT"}
    assert sync.state(gone)["opted_out_at"] is not None


def test_ignore_mode_sends_nothing_and_a_returner_is_sent_anew(sync: Sync) -> None:
    gone, *stay = programme(sync, departed="ignore")
    sync.leave(gone)
    before = sync.received()
    good(sync, sync.run(), departed=1)
    assert sync.received() == before
    assert sync.on_list() == {gone, *stay}
    assert sync.state(gone)["state"] == "departed"
    sync.sandbox.control("members", {"add": [VALID | {"_id": gone}]})
    assert sync.run().row["sent"] == 1


# Limits, dry runs and clearing


def everything(sync: Sync) -> list[list[dict[str, Any]]]:
    """Return all that the ledger keeps of contacts and cursors."""
    return [sync.query(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in ("contact_state", "cursor")]


def test_too_many_missing_halt_at_once_and_the_halted_scan_does_not_count(sync: Sync) -> None:
    ids = programme(sync, limits={"min_count": 2, "max_drop_share": None})
    sync.leave(*ids[:3], silently=True)
    before = everything(sync)
    for _ in range(2):
        run = sync.run()
        assert run.row["state"] == "halted"
        for part in ("3 of 12 members left or are missing: 25.0%", "limits.max_departed_share", "Nothing was sent"):
            assert part in run.row["reason"]
        assert everything(sync) == before
    sync.mapping(limits={"min_count": 2, "max_drop_share": None, "max_departed_share": 0.5})
    good(sync, sync.run(), missing=3)
    good(sync, sync.run(), departed=3)


@pytest.mark.parametrize("way", ["opt_out", "where"])
def test_too_many_departures_of_one_scan_halt(sync: Sync, way: str) -> None:
    ids = programme(sync, limits={"min_count": 2, "max_drop_share": None, "max_cleared_share": None})
    if way == "where":
        sync.change(*ids[:3], status="banned")
    else:
        sync.leave(*ids[:3])
    run = sync.run()
    assert run.row["state"] == "halted"
    assert "3 of 12 members left or are missing" in run.row["reason"]
    assert sync.on_list() == set(ids)


def test_dry_run_says_who_would_depart_and_writes_nothing(sync: Sync) -> None:
    ids = programme(sync)
    sync.leave(ids[0])
    sync.leave(ids[1], silently=True)
    sync.change(ids[2], status="banned")
    before, received = everything(sync), sync.received()
    run = sync.run(dry_run=True)
    good(sync, run, missing=1)
    counts = {"known": 12, "missing": 1, "opted_out": 1, "absent": 0, "left": 1}
    assert run.facts("gate")["gone"] == {**counts, "first_missing": [ids[1]]}
    assert everything(sync) == before
    assert sync.received() == received
    good(sync, sync.run(), departed=2, missing=1)


@pytest.mark.parametrize("step", ["plan", "extract", "map", "validate", "gate", "push", "reconcile"])
def test_task_cleared_comes_to_the_same_result_and_sends_nothing_twice(sync: Sync, step: str) -> None:
    ids = programme(sync)
    sync.leave(ids[0])
    sync.leave(ids[1], silently=True)
    sync.change(ids[2], status="banned")
    run = sync.run()
    good(sync, run, departed=2, missing=1)
    before = sync.received()
    flow = ("plan", "extract", "map", "validate", "gate", "push", "reconcile")
    again = sync.clear(run, *flow[flow.index(step) :])
    good(sync, again, departed=2, missing=1)
    assert again.facts("gate")["gone"] == run.facts("gate")["gone"]
    assert again.books == run.books
    assert sync.received() == before
    assert sync.on_list() == set(ids) - {ids[0], ids[2]}
    good(sync, sync.run(), departed=1)


def test_absence_found_again_by_the_cleared_run_is_still_the_first(sync: Sync) -> None:
    gone, *_ = programme(sync)
    sync.leave(gone, silently=True)
    run = sync.run()
    good(sync, sync.run(again=run), missing=1)
    good(sync, sync.run(), departed=1)


class Killed(BaseException):
    """The worker is gone."""


def kill_at_write(monkeypatch: pytest.MonkeyPatch, number: int, *, committed: bool) -> None:
    """Let a process die at its n-th write to the ledger: before the transaction began, or after it was committed.

    The dead write nothing: neither do the threads and the handlers of the process.
    """
    write, count = Ledger.write, 0

    @contextlib.contextmanager
    def mortal(ledger: Ledger, **options: Any) -> Iterator[Any]:
        nonlocal count
        count += 1
        if count > number or (count == number and not committed):
            raise Killed
        with write(ledger, **options) as connection:
            yield connection
        if count >= number:
            raise Killed

    monkeypatch.setattr(Ledger, "write", mortal)


@pytest.mark.parametrize("committed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 12))
def test_reconcile_killed_at_any_write_goes_on_and_sends_no_farewell_again(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, number: int, committed: bool
) -> None:
    ids = programme(sync, departed="opt_out", limits={"max_departed_share": None})
    sync.connect(ometria={"extra": {"concurrency": 1}})
    sync.leave(*ids[:5])
    sync.change(*ids[5:7], status="banned")
    run = sync.run_until_push()
    monkeypatch.setattr(batches, "MAX_RECORDS", 2)
    with monkeypatch.context() as patch:
        run.work.steps(["push"])
        kill_at_write(patch, number, committed=committed)
        run.work.steps(["reconcile"])
    assert isinstance(run.work.errors["reconcile"], Killed)
    again = sync.clear(run, "reconcile")
    good(sync, again, departed=7)
    sent = [batch for batch in again.batches if batch["slice"] == DEPARTURES]
    assert sum(batch["records"] for batch in sent if batch["state"] == "acknowledged") == 7
    assert not [batch for batch in sent if batch["state"] == "sending"]
    assert sync.received()["received"] - 12 - 7 <= 2, "at most the request in flight goes twice"
    assert sync.on_list() == set(ids[7:])


def test_old_run_cleared_after_a_newer_one_takes_nobody_off_the_list(sync: Sync) -> None:
    gone, silent, *stay = programme(sync)
    sync.leave(gone)
    sync.leave(silent, silently=True)
    sync.fault("500", path="/v2/push")
    old = sync.run()
    assert old.state == "failed"
    assert sync.state(gone)["state"] == "accepted"
    sync.mend()
    sync.sandbox.control("members", {"add": [VALID | {"_id": id_} for id_ in (gone, silent)]})
    good(sync, sync.run())
    received = sync.received()
    for steps in (["reconcile"], ["gate", "push", "reconcile"]):
        again = sync.clear(old, *steps)
        assert again.green, again.text
        assert sync.received() == received
        assert sync.on_list() == {gone, silent, *stay}
    assert sync.state(silent)["absent_run_id"] is None, "the old scan tells nothing of today"


def test_departures_that_never_arrive_leave_the_cursor_and_the_next_run_sends_them(sync: Sync) -> None:
    gone, *stay = programme(sync)
    cursor = sync.query("SELECT * FROM cursor")
    sync.leave(gone)
    sync.fault("500", path="/v2/push")
    assert sync.run().state == "failed"
    assert sync.query("SELECT * FROM cursor") == cursor
    sync.mend()
    good(sync, sync.run(), departed=1)
    assert sync.on_list() == set(stay)
    assert sync.query("SELECT * FROM cursor") != cursor


def test_run_for_some_customers_looks_for_nobody_else(sync: Sync) -> None:
    gone, silent, chosen, *_ = programme(sync)
    sync.leave(gone)
    sync.leave(silent, silently=True)
    before = [sync.state(id_) for id_ in (gone, silent)], sync.query("SELECT * FROM cursor")
    good(sync, sync.run(customer_ids=[chosen]))
    assert ([sync.state(id_) for id_ in (gone, silent)], sync.query("SELECT * FROM cursor")) == before
    good(sync, sync.run(), departed=1, missing=1)


def test_chosen_customer_who_left_the_where_is_taken_off_the_list(sync: Sync) -> None:
    gone, other, *stay = programme(sync)
    sync.change(gone, other, status="banned")
    good(sync, sync.run(customer_ids=[gone]), departed=1)
    assert sync.on_list() == {other, *stay}
    good(sync, sync.run(), departed=1)
    assert sync.on_list() == set(stay)


def test_run_that_is_no_complete_scan_takes_leave_of_the_opted_out_alone(sync: Sync) -> None:
    gone, silent, *_ = programme(sync)
    sync.leave(gone)
    sync.leave(silent, silently=True)
    run = sync.run_until_push()
    sync.execute("UPDATE contact_state SET absent_run_id=NULL")
    sync.execute("UPDATE sync_run SET strategy='incremental' WHERE id=:id", id=run.row["id"])
    for _ in range(2):
        good(sync, sync.clear(run, "gate", "push", "reconcile"), departed=1)
    assert sync.state(silent)["absent_run_id"] is None


def test_member_who_joined_again_before_an_incremental_run_is_not_departed_by_the_next(sync: Sync) -> None:
    gone, *stay = programme(sync, strategy="incremental")
    sync.leave(gone)
    sync.sandbox.control("members", {"add": [VALID | {"_id": gone}]})
    for _ in range(2):
        run = sync.run()
        assert run.row["strategy"] == "incremental"
        good(sync, run)
        # The next one does not find it among those who changed.
        sync.execute("UPDATE cursor SET at = :at WHERE name = 'customers'", at=str(datetime(2099, 1, 1)))
    assert sync.on_list() == {gone, *stay}


# Events


def at(minutes_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat(timespec="milliseconds")


@pytest.mark.parametrize(("minutes", "departed"), [(14, 1), (20, 0)], ids=["looked back", "too far back"])
def test_opt_out_that_was_backdated_is_looked_back_for(sync: Sync, minutes: int, departed: int) -> None:
    gone, *_ = programme(sync)
    sync.leave(gone, silently=True)
    event = {"action": "opt_out", "customer_id": gone, "timestamp": at(minutes)}
    sync.sandbox.control("events", event)
    good(sync, sync.run(), departed=departed, missing=1 - departed)


def test_opt_outs_on_later_pages_of_events_are_found(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = programme(sync, 30, limits={"max_departed_share": None})
    monkeypatch.setattr(antavo, "EVENT_PAGE", 4)
    now = at(0)
    for customer_id in ids[5:]:
        sync.sandbox.control("events", {"action": "checkout", "customer_id": customer_id, "timestamp": now})
    sync.leave(*ids[:2])
    for customer_id in ids[5:]:
        sync.sandbox.control("events", {"action": "activity", "customer_id": customer_id})
    sync.leave(*ids[2:5])
    run = sync.run()
    good(sync, run, departed=5)
    assert sync.on_list() == set(ids[5:])


def test_events_are_asked_for_only_when_somebody_is_missing(sync: Sync) -> None:
    programme(sync)
    sync.run()
    asked = [name for name in sync.stats()["requests"] if "events" in name]
    assert not asked


def test_contact_known_by_another_field_leaves_at_its_second_absence(sync: Sync) -> None:
    sync.nobody()
    ids = [sync.member(**{"properties.member_number": f"M{number}"}) for number in range(3)]
    sync.mapping(identity={"id": "properties.member_number"})
    assert sync.run().row["accepted"] == 3
    sync.leave(ids[0])
    good(sync, sync.run(), missing=1)
    good(sync, sync.run(), departed=1)
    assert sync.on_list() == {"M1", "M2"}


# Another list


def test_changed_list_moves_the_members_once(sync: Sync) -> None:
    ids = programme(sync)
    sync.mapping(list=77)
    run = sync.run()
    good(sync, run)
    assert run.row["sent"] == 12
    assert (sync.on_list(), sync.on_list(77)) == (set(), set(ids))
    assert {sync.state(id_)["list_id"] for id_ in ids} == {77}
    idle = sync.run()
    good(sync, idle)
    assert idle.row["sent"] == 0
    sync.leave(ids[0])
    good(sync, sync.run(), departed=1)
    assert sync.on_list(77) == set(ids[1:])


def test_member_filtered_or_rejected_while_the_list_changes_is_on_no_wrong_list(sync: Sync) -> None:
    ids = programme(sync)
    sync.mapping(list=77)
    sync.change(ids[0], status="banned")
    sync.fault("poison", contacts=[ids[1]])
    run = sync.run()
    good(sync, run, departed=1)
    assert run.row["rejected"] == 1
    assert sync.on_list() == {ids[1]}, "not moved yet: it stays where it is"
    assert sync.on_list(77) == set(ids[2:])
    sync.mend()
    sync.change(ids[1], score=99)
    good(sync, sync.run())
    assert (sync.on_list(), sync.on_list(77)) == (set(), set(ids[1:]))


def test_returner_whose_departure_was_ignored_leaves_the_old_list(sync: Sync) -> None:
    gone, *stay = programme(sync, departed="ignore")
    sync.leave(gone)
    good(sync, sync.run(), departed=1)
    sync.mapping(list=77, departed="ignore")
    sync.sandbox.control("members", {"add": [VALID | {"_id": gone}]})
    good(sync, sync.run())
    assert (sync.on_list(), sync.on_list(77)) == (set(), {gone, *stay})


def test_contact_of_which_the_record_was_withdrawn_is_taken_off_its_list_all_the_same(sync: Sync) -> None:
    gone, *stay = programme(sync)
    sync.execute("UPDATE contact_state SET state='rejected', fingerprint=NULL WHERE contact_id=:id", id=gone)
    sync.leave(gone)
    good(sync, sync.run(), departed=1)
    assert sync.on_list() == set(stay)


# Refused


def test_farewell_that_ometria_refuses_is_a_rejection_outside_the_books_and_is_tried_again(sync: Sync) -> None:
    gone, refused, *stay = programme(sync)
    sync.leave(gone, refused)
    sync.fault("poison", contacts=[refused])
    run = sync.run()
    good(sync, run, departed=1)
    assert run.row["rejected"] == 0
    assert [(row["contact_id"], row["stage"]) for row in run.rejections] == [(refused, "push")]
    assert "not taken off the list" in run.rejections[0]["reason"]
    (ending,) = endings(sync.ledger, run_row(sync.ledger, run.row["id"])).values()
    assert not ending.is_open, "a retry is for members to be delivered"
    sync.mend()
    good(sync, sync.run(), departed=1)
    assert sync.on_list() == set(stay)


def test_farewells_that_are_all_refused_make_the_run_red(sync: Sync) -> None:
    gone, *_ = programme(sync)
    sync.leave(gone)
    sync.fault("poison", contacts=[gone])
    run = sync.run()
    assert run.state == "failed"
    assert "Nobody who left was taken off the list: Ometria refused all 1 records." in run.row["reason"]
    run.assert_balanced()


def test_complaints_about_farewells_stand_beside_those_about_records(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, *_ = programme(sync)
    sync.leave(gone)
    sync.fault("poison", contacts=[gone])

    def complain(operator: ReconcileOperator, work: object, steps: object, facts: dict[str, Any]) -> None:
        facts["complaints"] = ["A field did not arrive."]

    monkeypatch.setattr(ReconcileOperator, "_verify", complain)
    reason = sync.run().row["reason"]
    assert "A field did not arrive." in reason
    assert "Nobody who left was taken off the list" in reason


def test_farewells_in_a_doubtful_request_make_the_run_red_and_are_not_sent_again(sync: Sync) -> None:
    gone, other, *_ = programme(sync)
    sync.leave(gone, other)
    sync.fault("rejected", contacts=[gone])
    run = sync.run()
    assert run.state == "failed"
    assert "2 members who left may be on the list still" in run.row["reason"]
    sync.mend()
    received = sync.received()
    good(sync, sync.run())
    assert sync.received() == received


def test_trace_says_who_is_missing_and_why_somebody_departed(sync: Sync) -> None:
    gone, *_ = programme(sync)
    sync.leave(gone, silently=True)
    first = sync.run()
    assert f"run {first.row['id']} missed it" in explain(trace(sync.ledger, gone))
    sync.run()
    text = explain(trace(sync.ledger, gone))
    assert "departed, it left; when it comes back, it is sent anew" in text
    assert "why          absent from two complete scans in a row" in text
    assert "missed it" not in text


def test_requests_for_departures_are_in_the_report(sync: Sync) -> None:
    gone, *_ = programme(sync)
    sync.leave(gone)
    report = run_report(sync.ledger, sync.run().row["id"])
    assert {use.api: use.requests for use in report.apis}["Ometria"] == 1
