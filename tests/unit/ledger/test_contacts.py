from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ometria_provider.ledger import contacts, runs
from ometria_provider.ledger.contacts import Known
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch
from sqlalchemy import insert

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SENT = ("state", "sync_run_id", "changed_at", "fingerprint", "snapshot_at", "push_batch_id")
SEEN = ("state", "reason")


def row(contact_id: str, **values: Any) -> dict[str, Any]:
    key = {"account": "ometria_default", "collection": "customers", "contact_id": contact_id}
    common = {"sync_run_id": 1, "changed_at": NOON, "snapshot_at": None}
    return {**key, **common, **values}


def write(ledger: Ledger, rows: list[dict[str, Any]], columns: Iterable[str]) -> None:
    with ledger.write() as connection:
        own = {name: [each[name] for each in rows] for name in rows[0]}
        contacts.write_states(ledger, connection, {}, own, columns)


def sent(contact_id: str, fingerprint: bytes, at: datetime, **values: Any) -> dict[str, Any]:
    state = {"state": "pending", "fingerprint": fingerprint, "snapshot_at": at, "push_batch_id": None}
    return row(contact_id, **state, **values)


def known(ledger: Ledger, *ids: str) -> dict[str, Known]:
    return contacts.known_contacts(ledger, "ometria_default", "customers", ids)


def test_known_contacts_leaves_out_the_unknown(ledger: Ledger) -> None:
    write(ledger, [sent("1", b"one", NOON), sent("2", b"two", NOON)], SENT)
    found = known(ledger, "1", "3")
    assert list(found) == ["1"]
    assert (found["1"].fingerprint, found["1"].snapshot_at, found["1"].state) == (b"one", NOON, "pending")


def test_known_contacts_of_strange_ids_finds_exactly_those(ledger: Ledger) -> None:
    ids = [
        "4026515146185606322",
        "O'Brien",
        'say "hi"',
        "日本",
        "a,b{c}",
        "\\",
        "%",
        "1'; DROP TABLE x; --",
    ]
    write(ledger, [sent(id_, id_.encode(), NOON) for id_ in ids], SENT)
    assert {id_: one.fingerprint for id_, one in known(ledger, *ids).items()} == {id_: id_.encode() for id_ in ids}


def test_known_contacts_beyond_one_chunk_are_all_found(ledger: Ledger) -> None:
    ids = [str(number) for number in range(contacts.CHUNK + 10)]
    write(ledger, [sent(id_, b"x", NOON) for id_ in ids], SENT)
    assert len(known(ledger, *ids)) == len(ids)


def test_known_contacts_keeps_accounts_and_collections_apart(ledger: Ledger) -> None:
    write(ledger, [sent("1", b"x", NOON)], SENT)
    assert contacts.known_contacts(ledger, "other", "customers", ["1"]) == {}
    assert contacts.known_contacts(ledger, "ometria_default", "other", ["1"]) == {}


def test_write_states_with_a_newer_snapshot_overwrites(ledger: Ledger) -> None:
    write(ledger, [sent("1", b"old", NOON)], SENT)
    write(ledger, [sent("1", b"new", NOON + timedelta(seconds=1), sync_run_id=2)], SENT)
    assert (known(ledger, "1")["1"].fingerprint, known(ledger, "1")["1"].sync_run_id) == (b"new", 2)


def test_write_states_with_an_older_snapshot_changes_nothing(ledger: Ledger) -> None:
    write(ledger, [sent("1", b"new", NOON)], SENT)
    write(ledger, [sent("1", b"old", NOON - timedelta(microseconds=1), sync_run_id=2), sent("2", b"x", NOON)], SENT)
    found = known(ledger, "1", "2")
    assert (found["1"].fingerprint, found["1"].snapshot_at, found["1"].sync_run_id) == (b"new", NOON, 1)
    assert found["2"].fingerprint == b"x"


def test_write_states_without_a_snapshot_keeps_what_was_sent(ledger: Ledger) -> None:
    write(ledger, [sent("1", b"sent", NOON)], SENT)
    write(ledger, [row("1", state="rejected", reason="email: bad", sync_run_id=2)], SEEN)
    one = known(ledger, "1")["1"]
    assert (one.state, one.reason, one.fingerprint, one.snapshot_at) == ("rejected", "email: bad", b"sent", NOON)


def batch(ledger: Ledger, state: str) -> int:
    run = runs.open_run(ledger, dag_id="d", run_id="r", mapping="customers", dry_run=False)
    values = {"sync_run_id": run.id, "slice": 0, "records": 1, "size": 1, "state": state, "started_at": NOON}
    with ledger.write() as connection:
        return int(connection.execute(insert(PushBatch).values(values).returning(PushBatch.id)).scalar_one())


def test_settle_accepts_the_acknowledged_and_leaves_the_doubtful_pending(ledger: Ledger) -> None:
    good, doubtful = batch(ledger, "acknowledged"), batch(ledger, "doubtful")
    rows = [
        {**sent("good", b"x", NOON), "push_batch_id": good},
        {**sent("doubtful", b"x", NOON), "push_batch_id": doubtful},
        {**sent("rejected", b"x", NOON), "push_batch_id": good, "state": "rejected"},
        {**sent("elsewhere", b"x", NOON), "push_batch_id": good, "collection": "other"},
    ]
    write(ledger, rows, SENT)
    contacts.settle(ledger, "ometria_default", "customers")
    states = {id_: one.state for id_, one in known(ledger, "good", "doubtful", "rejected").items()}
    assert states == {"good": "accepted", "doubtful": "pending", "rejected": "rejected"}
    assert contacts.known_contacts(ledger, "ometria_default", "other", ["elsewhere"])["elsewhere"].state == "pending"


def test_settle_keeps_the_time_of_those_who_were_accepted_before(ledger: Ledger) -> None:
    write(
        ledger, [{**sent("1", b"x", NOON), "state": "accepted", "push_batch_id": batch(ledger, "acknowledged")}], SENT
    )
    contacts.settle(ledger, "ometria_default", "customers")
    assert known(ledger, "1")["1"].changed_at == NOON


def test_rejected_under_finds_those_of_a_prefix_and_reason(ledger: Ledger) -> None:
    columns = ("state", "reason")
    write(
        ledger,
        [
            row("antavo:1", state="rejected", reason="id: another's"),
            row("antavo:2", state="rejected", reason="id: is empty"),
            row("antavo:3", state="accepted", reason="id: another's"),
            row("antavo_4", state="rejected", reason="id: another's"),
            row("5", state="rejected", reason="id: another's"),
        ],
        columns,
    )
    found = contacts.rejected_under(ledger, "ometria_default", "customers", "antavo:", reason="id: another's")
    assert found == ["antavo:1"]


def test_count_fresh_details_counts_whom_a_scan_meets_and_nobody_asks_about(ledger: Ledger) -> None:
    fresh = {"state": "accepted", "details_at": NOON, "source_digest": b"x" * 32}
    fresh |= dict.fromkeys(("suspect", "held", "opted_out_at", "consent_digest", "absent_run_id"))
    changes = {
        "fresh": {},
        "filtered": {"state": "filtered"},
        "departed by the filter": {"state": "departed"},
        "departed": {"state": "departed", "source_digest": None},
        "missed": {"absent_run_id": 1},
        "old": {"details_at": NOON - timedelta(days=8)},
        "never read": {"details_at": None},
        "in doubt": {"suspect": "*"},
        "held back": {"held": "the status"},
        "opt-out not acknowledged": {"opted_out_at": NOON},
        "opted out": {"opted_out_at": NOON, "consent_digest": b"c"},
        "rejected": {"state": "rejected"},
        "rejected and due": {"state": "rejected", "changed_at": NOON - timedelta(days=2)},
        "pending": {"state": "pending"},
    }
    write(ledger, [row(name, **fresh | change) for name, change in changes.items()], list(fresh))
    of = (ledger, "ometria_default", "customers", NOON - timedelta(days=7))
    met = len(changes) - len({"departed", "missed"})
    assert contacts.count_fresh_details(*of, rejected_since=NOON - timedelta(days=1)) == (met, 5)
    assert contacts.count_fresh_details(*of, rejected_since=None) == (met, 6)
    assert contacts.count_fresh_details(ledger, "other", "customers", NOON, rejected_since=None) == (0, 0)
