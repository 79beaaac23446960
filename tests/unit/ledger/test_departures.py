"""Who of a collection may have left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ometria_provider.ledger import contacts, departures, rebuilding
from ometria_provider.ledger.engine import Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF = ("ometria_default", "members")


def write(ledger: Ledger, contact_id: str, state: str, **values: Any) -> None:
    known: dict[str, Any] = {
        "fingerprint": None,
        "list_id": None,
        "absent_run_id": None,
        "sync_run_id": 1,
        "reason": None,
    }
    known["source_digest"] = b"read"
    row = {"contact_id": contact_id, "state": state, "snapshot_at": None, "changed_at": NOON, **known, **values}
    with ledger.write() as connection:
        key = {"account": OF[0], "collection": values.pop("collection", OF[1])}
        columns = {name: [value] for name, value in row.items() if name != "collection"}
        contacts.write_states(ledger, connection, key, columns, ("state", "reason", "sync_run_id"))


def everybody(ledger: Ledger, run_id: int = 9) -> list[list[str]]:
    return list(departures.everybody(ledger, *OF, run_id))


def test_everybody_is_who_was_delivered_or_is_on_a_list(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not departures.has_anybody(ledger, *OF)
    write(ledger, "never", "rejected")
    write(ledger, "left out", "filtered")
    write(ledger, "elsewhere", "accepted", fingerprint=b"x", collection="others")
    assert not departures.has_anybody(ledger, *OF)
    write(ledger, "delivered", "accepted", fingerprint=b"x")
    write(ledger, "withdrawn", "rejected", list_id=4821)
    write(ledger, "filtered", "filtered", fingerprint=b"x")
    write(ledger, "doubtful", "pending", fingerprint=b"x")
    write(ledger, "gone", "departed", list_id=4821)
    write(ledger, "gone now", "departed", sync_run_id=9)
    assert departures.has_anybody(ledger, *OF)
    monkeypatch.setattr(departures, "PAGE", 2)
    assert everybody(ledger) == [["delivered", "doubtful"], ["filtered", "gone now"], ["withdrawn"]]
    assert list(departures.filtered(ledger, *OF)) == [["filtered"]]


def test_contact_whose_customer_nobody_read_is_unread_and_can_be_left_to_others(ledger: Ledger) -> None:
    write(ledger, "ours", "accepted", fingerprint=b"x", list_id=4821)
    held = {"filled": b"", "consent_digest": None, "opted_out_at": NOON, "sms_opted_out_at": None}
    rows = [rebuilding.HeldRow(contact_id=id_, fingerprint=b"y", **held) for id_ in ("ours", "strange", "new")]
    rebuilding.keep_held(ledger, *OF, rows, list_id=4821, at=NOON)
    assert everybody(ledger) == [["ours"]]
    assert list(departures.unread(ledger, *OF)) == [["new", "strange"]]
    rebuilding.leave_to_others(ledger, *OF, ["strange", "ours"])
    known = contacts.known_contacts(ledger, *OF, ["ours", "strange", "new"])
    assert {id_: row.state for id_, row in known.items()} == {
        "ours": "accepted",
        "strange": "departed",
        "new": "accepted",
    }
    assert (known["strange"].fingerprint, known["strange"].opted_out_at) == (None, NOON)
    assert (known["ours"].fingerprint, known["ours"].source_digest) == (b"y", contacts.LOOK_AGAIN)
    assert (known["new"].source_digest, known["new"].list_id) == (None, 4821)


def test_note_missing_is_found_again_until_it_is_taken_back(ledger: Ledger) -> None:
    for contact_id in ("a", "b", "c"):
        write(ledger, contact_id, "accepted", fingerprint=b"x")
    departures.note_missing(ledger, *OF, ["a", "c"], 7)
    assert list(departures.missed_before(ledger, *OF)) == [["a", "c"]]
    departures.note_missing(ledger, *OF, ["a"], None)
    assert list(departures.missed_before(ledger, *OF)) == [["c"]]
    assert contacts.known_contacts(ledger, *OF, ["c"])["c"].absent_run_id == 7


def test_departed_in_counts_one_run_by_reason(ledger: Ledger) -> None:
    write(ledger, "a", "departed", reason="opted out", sync_run_id=9)
    write(ledger, "b", "departed", reason="opted out", sync_run_id=9)
    write(ledger, "c", "departed", reason="absent", sync_run_id=9)
    write(ledger, "d", "departed", reason="absent", sync_run_id=8)
    assert departures.departed_in(ledger, *OF, 9) == {"opted out": 2, "absent": 1}


def test_departed_contact_that_is_filtered_stays_departed(ledger: Ledger) -> None:
    write(ledger, "a", "departed")
    write(ledger, "a", "filtered")
    assert contacts.known_contacts(ledger, *OF, ["a"])["a"].state == "departed"
    write(ledger, "a", "accepted")
    assert contacts.known_contacts(ledger, *OF, ["a"])["a"].state == "accepted"
