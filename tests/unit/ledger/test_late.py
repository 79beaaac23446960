"""What is known of records in doubt."""

from ledgers import green_run, write_batch, write_contact
from ometria_provider.ledger import late
from ometria_provider.ledger.contacts import known_contacts, settle
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.late import Guilty

OF = ("ometria_default", "customers")


def test_conviction_withdraws_the_record_and_keeps_the_customer(ledger: Ledger) -> None:
    run = green_run().write(ledger)
    batch = write_batch(ledger, run)
    write_contact(ledger, run, "ann", push_batch_id=batch, fingerprint=b"f", source_digest=b"s", suspect="root")
    write_contact(ledger, run, "bob", push_batch_id=batch + 1, fingerprint=b"f", suspect="root")
    guilty = [Guilty(id_, 0, batch, "lastname", "not a valid value") for id_ in ("ann", "bob")]
    late.convict(ledger, run, *OF, guilty)
    found = known_contacts(ledger, *OF, ["ann", "bob"])
    ann = found["ann"]
    assert (ann.state, ann.fingerprint, ann.source_digest, ann.suspect) == ("rejected", None, b"s", None)
    assert ann.reason == "lastname: not a valid value"
    assert found["bob"].state == "accepted", "its record was sent again since"


def test_acquittal_accepts_who_is_pending_and_leaves_who_was_sent_again(ledger: Ledger) -> None:
    run = green_run().write(ledger)
    batch = write_batch(ledger, run, state="doubtful")
    write_contact(ledger, run, "ann", push_batch_id=batch, state="pending")
    write_contact(ledger, run, "bob", push_batch_id=batch + 1, state="pending")
    assert late.has_open(ledger, *OF)
    late.acquit(ledger, *OF, ["ann", "bob"], batch)
    assert {id_: one.state for id_, one in known_contacts(ledger, *OF, ["ann", "bob"]).items()} == {
        "ann": "accepted",
        "bob": "pending",
    }


def test_settle_marks_those_whom_nobody_looked_into(ledger: Ledger) -> None:
    run = green_run().write(ledger)
    batch = write_batch(ledger, run)
    write_contact(ledger, run, "ann", push_batch_id=batch, state="pending")
    write_contact(ledger, run, "bob", push_batch_id=batch, state="pending", suspect="root > lastname")
    settle(ledger, *OF, suspect=late.UNRECONCILED)
    found = known_contacts(ledger, *OF, ["ann", "bob"])
    assert {id_: (one.state, one.suspect) for id_, one in found.items()} == {
        "ann": ("accepted", "*"),
        "bob": ("accepted", "root > lastname"),
    }
    assert late.count_suspects(ledger, *OF) == 2
    late.clear(ledger, *OF, late.UNRECONCILED)
    assert late.count_suspects(ledger, *OF) == 1


def test_open_contacts_leaves_those_to_a_complete_scan_that_no_error_is_about(ledger: Ledger) -> None:
    run = green_run().write(ledger)
    batch = write_batch(ledger, run)
    suspects = {"error": "root > lastname", "unreconciled": late.UNRECONCILED, "unread": late.UNREAD, "fine": None}
    for id_, suspect in suspects.items():
        write_contact(ledger, run, id_, push_batch_id=batch, suspect=suspect)
    write_contact(ledger, run, "doubtful", state="pending", push_batch_id=batch, suspect=late.UNREAD)
    assert sorted(late.open_contacts(ledger, *OF)) == ["doubtful", "error", "unreconciled"]
    assert late.has_open(ledger, *OF)
    assert late.count_suspects(ledger, *OF) == 3
