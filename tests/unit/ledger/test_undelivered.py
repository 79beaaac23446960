"""Where the members ended whom a run rejected, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ledgers import PastRun, green_run, unchanged_run, write_batch, write_contact
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import run_row
from ometria_provider.ledger.undelivered import Ending, ended, endings, pending

GATE = {("gate", -1): {}}
LATER = datetime.now(UTC) + timedelta(hours=1)


def rejecting(*ids: str, **changes: object) -> PastRun:
    rejections = [(id_, "mapping", "phone_number", "is no phone number") for id_ in ids]
    return PastRun(**{"rejections": rejections, "facts": GATE, "counts": {"read": 9}, **changes})  # type: ignore[arg-type]


def test_endings_tell_what_became_of_each(ledger: Ledger) -> None:
    first = rejecting("sent", "same", "bad", "worse", "out", "gone", "doubtful").write(ledger)
    old_batch = write_batch(ledger, first)
    second = PastRun(run_id="manual__2").write(ledger)
    new_batch = write_batch(ledger, second)
    write_contact(ledger, second, "sent", push_batch_id=new_batch, snapshot_at=LATER)
    write_contact(ledger, first, "same", push_batch_id=old_batch)
    write_contact(ledger, first, "bad", state="rejected", reason="phone_number: is no phone number")
    write_contact(ledger, second, "worse", state="rejected", reason="email: is no e-mail")
    write_contact(ledger, second, "out", state="filtered")
    write_contact(ledger, second, "gone", state="departed")
    write_contact(ledger, second, "doubtful", state="pending")
    run = run_row(ledger, first.id)
    found = endings(ledger, run)
    assert {id_: end.words(first.id) for id_, end in found.items()} == {
        "sent": "delivered by run 2",
        "same": "delivered by run 1",
        "bad": "still rejected",
        "worse": "still rejected in run 2: email: is no e-mail",
        "out": "filtered in run 2",
        "gone": "departed in run 2",
        "doubtful": "not delivered for sure by run 2",
    }
    assert {id_ for id_, end in found.items() if end.is_open} == {"bad", "worse", "doubtful"}
    counts = ended(ledger, run)
    assert sum(counts.values()) == 7
    assert counts[Ending("delivered", 2)] == counts[Ending("rejected", 2)] == 1


def test_endings_can_be_asked_for_some(ledger: Ledger) -> None:
    run = run_row(ledger, rejecting("a", "b", "c").write(ledger).id)
    assert endings(ledger, run, ["a", "c", "stranger"]).keys() == {"a", "c"}
    assert endings(ledger, run, reason="PHONE").keys() == {"a", "b", "c"}
    assert endings(ledger, run, reason="100%") == {}


@pytest.mark.parametrize("later_scan", [False, True])
def test_rejection_behind_a_shut_gate_is_undelivered_until_a_scan_looked_again(
    ledger: Ledger, later_scan: bool
) -> None:
    before = PastRun(run_id="manual__0").write(ledger)
    write_contact(ledger, before, "a", push_batch_id=write_batch(ledger, before))
    halted = rejecting("a", facts={}, state="halted").write(ledger)
    if later_scan:
        unchanged_run(run_id="manual__3").write(ledger)
    [end] = endings(ledger, run_row(ledger, halted.id)).values()
    assert end == (Ending("delivered", before.id) if later_scan else Ending("undelivered"))


def test_pending_are_the_runs_own(ledger: Ledger) -> None:
    run = green_run(counts={"read": 2, "pending": 1}).write(ledger)
    write_contact(ledger, run, "mine", state="pending")
    write_contact(ledger, run, "done")
    assert pending(ledger, run_row(ledger, run.id)) == ["mine"]
