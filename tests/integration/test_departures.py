"""Members who leave: noticed, taken off the list once, and put on it again when they come back."""

from __future__ import annotations

from typing import Any

import pytest
from sync import VALID, Outcome, Sync

LIST = 4821
WHERE = {"properties.newsletter": True}


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
