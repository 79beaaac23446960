"""What the ledger knows of contacts: reading it by the tens of thousands, writing it by the batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, not_, or_, select, update

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ContactState, PushBatch
from ometria_provider.ledger.statements import Prepared, PreparedRows, insert, is_one_of

#: Ids asked for in one statement.
CHUNK = 5_000

#: Contacts written by one statement: as many as a push request holds.
ROWS = 100

#: Digest of no customer, and of no record: whoever has it is looked at anew by the next run that reads them.
LOOK_AGAIN = bytes(16)


class Known(NamedTuple):
    """One row of `contact_state`."""

    contact_id: str
    state: str
    reason: str | None
    fingerprint: bytes | None
    source_digest: bytes | None
    filled: bytes | None
    snapshot_at: datetime | None
    sync_run_id: int
    changed_at: datetime
    details_at: datetime | None
    list_id: int | None
    absent_run_id: int | None
    consent_digest: bytes | None
    opted_out_at: datetime | None
    sms_opted_out_at: datetime | None
    held: str | None
    suspect: str | None
    push_batch_id: int | None = None

    @property
    def is_with_us(self) -> bool:
        """Say whether it can depart: Ometria has its record, or has it on a list."""
        return self.state != "departed" and (self.fingerprint is not None or self.list_id is not None)


_COLUMNS = [getattr(ContactState, name) for name in Known._fields]


def known_contacts(ledger: Ledger, account: str, collection: str, ids: Sequence[str]) -> dict[str, Known]:
    """Return what is known of these contacts, by contact id; unknown ones are left out."""
    found: dict[str, Known] = {}
    with ledger.read() as connection:
        for start in range(0, len(ids), CHUNK):
            rows = connection.execute(
                select(*_COLUMNS).where(
                    ContactState.account == account,
                    ContactState.collection == collection,
                    is_one_of(ledger, ContactState.contact_id, ids[start : start + CHUNK]),
                )
            )
            found.update((row[0], Known._make(row)) for row in rows)
    return found


def write_states(
    ledger: Ledger,
    connection: Connection,
    common: Mapping[str, Any],
    columns: Mapping[str, Sequence[Any]],
    changes: Iterable[str],
) -> None:
    """Insert contacts, or update these columns of those that are known.

    An older snapshot never overwrites a newer one: a row whose stored `snapshot_at` is later stays as it is.

    :param common: what the contacts share: the key's `account` and `collection`, `sync_run_id`, `changed_at`, …
    :param columns: what each has of its own, by column: `contact_id`, …
    :param changes: what a contact that is known gets anew; the rest stays as it is.
    """
    ids = columns["contact_id"]
    at_once = ROWS if len(set(ids)) == len(ids) else 1  # PostgreSQL: no contact twice in one statement
    for start in range(0, len(ids), at_once):
        rows = {name: values[start : start + at_once] for name, values in columns.items()}
        statement = _upsert(ledger, tuple(common), tuple(columns), tuple(changes), len(rows["contact_id"]))
        statement.run_rows(connection, common, rows)


@lru_cache(64)
def _upsert(
    ledger: Ledger, common: tuple[str, ...], own: tuple[str, ...], changes: tuple[str, ...], rows: int
) -> PreparedRows:
    # Of its own: a record without its consent group leaves the digest of the one before as it is.
    kept = "consent_digest" in own

    def fill(given: Select[Any]) -> Any:
        statement = insert(ledger, ContactState).from_select([*common, *own], given)
        new = statement.excluded
        return statement.on_conflict_do_update(
            index_elements=["account", "collection", "contact_id"],
            set_={name: _new_value(name, new[name], kept) for name in changes},
            where=or_(
                ContactState.snapshot_at.is_(None),
                new.snapshot_at.is_(None),
                ContactState.snapshot_at <= new.snapshot_at,
            ),
        )

    return PreparedRows(ledger, fill, ContactState, common, own, rows)


def _new_value(name: str, new: Any, kept: bool) -> Any:
    """Return what a column of a known contact becomes.

    What the filter leaves out of those who departed stays departed.

    :param kept: no consent digest at all leaves the one before.
    """
    if name == "state":
        return case((and_(ContactState.state == "departed", new == "filtered"), "departed"), else_=new)
    return func.coalesce(new, ContactState.consent_digest) if kept and name == "consent_digest" else new


#: What a rejection, or the mapping's filter, changes of a contact: by which run, and when.
JUDGED = ("state", "reason", "source_digest", "details_at", "sync_run_id", "changed_at", "held")

#: What an acknowledged record changes.
SENT = (*JUDGED, "fingerprint", "filled", "snapshot_at", "push_batch_id", "suspect")

#: What a contact that needs nothing sent gets anew: who delivered it, and when, stays.
SEEN = ("state", "reason", "source_digest", "details_at", "held")


def mark_opt_outs(
    ledger: Ledger, connection: Connection, common: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]
) -> None:
    """Write that opt-outs are about to be sent: from here on they are known, whatever becomes of the request.

    Until it is acknowledged nobody knows which consent Ometria holds, so its digest is forgotten.

    :param common: as of :func:`write_states`.
    :param columns: `contact_id`, `opted_out_at`, `sms_opted_out_at`.
    """
    values = {**common, "state": "rejected", "reason": "An opt-out was sent, but not acknowledged yet."}
    _marking(ledger, (*values, *columns)).run_many(connection, values, columns)


@cache
def _marking(ledger: Ledger, given: tuple[str, ...]) -> Prepared:
    statement = insert(ledger, ContactState)
    times = ("opted_out_at", "sms_opted_out_at")
    kept = {name: func.coalesce(statement.excluded[name], getattr(ContactState, name)) for name in times}
    statement = statement.on_conflict_do_update(
        index_elements=["account", "collection", "contact_id"], set_={**kept, "consent_digest": None}
    )
    return Prepared(ledger, statement, given)


def rejected_before(ledger: Ledger, account: str, collection: str, time: datetime) -> list[str]:
    """Return the contacts whose rejection is remembered since before a time."""
    return _rejected(ledger, account, collection, ContactState.changed_at <= time)


def unread(ledger: Ledger, account: str, collection: str) -> list[str]:
    """Return the contacts that are rejected because their customer could not be read."""
    return _rejected(ledger, account, collection, ContactState.source_digest == LOOK_AGAIN)


#: Why a customer who could not be read is not asked for any more.
ANSWERED = "Antavo has told since: it has another contact id, or is not known any more"


def settle_unread(ledger: Ledger, account: str, collection: str, ids: Sequence[str], run_id: int) -> None:
    """Let nobody be asked any more for these contacts, as far as they are no more than a rejection: none was sent."""
    nothing = ("fingerprint", "list_id", "opted_out_at", "sms_opted_out_at")
    change(
        ledger,
        account,
        collection,
        ids,
        ContactState.state == "rejected",
        *(getattr(ContactState, name).is_(None) for name in nothing),
        state="filtered",
        reason=ANSWERED,
        sync_run_id=run_id,
        changed_at=datetime.now(UTC),
    )


def change(
    ledger: Ledger, account: str, collection: str, ids: Sequence[str], *which: ColumnElement[bool], **values: object
) -> None:
    """Give new values to those of some contacts for which `which` holds, a few thousand in a transaction."""
    for start in range(0, len(ids), CHUNK):
        with ledger.write() as connection:
            connection.execute(
                update(ContactState)
                .where(
                    ContactState.account == account,
                    ContactState.collection == collection,
                    is_one_of(ledger, ContactState.contact_id, ids[start : start + CHUNK]),
                    *which,
                )
                .values(**values)
            )


def _rejected(ledger: Ledger, account: str, collection: str, which: ColumnElement[bool]) -> list[str]:
    with ledger.read() as connection:
        ids = select(ContactState.contact_id).where(
            ContactState.account == account,
            ContactState.collection == collection,
            ContactState.state == "rejected",
            which,
        )
        return list(connection.execute(ids).scalars())


def rejected_under(ledger: Ledger, account: str, collection: str, prefix: str, *, reason: str) -> list[str]:
    """Return the contacts that are rejected for this reason and whose ids begin so."""
    with ledger.read() as connection:
        ids = select(ContactState.contact_id).where(
            ContactState.account == account,
            ContactState.collection == collection,
            ContactState.contact_id.startswith(prefix, autoescape=True),
            ContactState.state == "rejected",
            ContactState.reason == reason,
        )
        return list(connection.execute(ids).scalars())


def count_fresh_details(
    ledger: Ledger, account: str, collection: str, since: datetime, *, rejected_since: datetime | None
) -> tuple[int, int]:
    """Return how many contacts a scan meets again, and of how many of them nobody asks for details unless they changed.

    The latter is what `delivery/compare.py` decides of each (`needs_details`), for all of them at once. Who departed,
    or was missed by the last scan, is not met again; those whom the filter leaves out are.

    :param since: details that were read at or after this are fresh.
    :param rejected_since: a rejection made before this is tried again; None: none is.
    """
    state, digest = ContactState.state, ContactState.source_digest
    remembered = state == "rejected"
    if rejected_since is not None:
        remembered = and_(remembered, ContactState.changed_at > rejected_since)
    opted_out = or_(ContactState.opted_out_at.is_not(None), ContactState.sms_opted_out_at.is_not(None))
    unproven = and_(ContactState.consent_digest.is_(None), state.in_(("accepted", "rejected")), opted_out)
    fresh = and_(
        ContactState.details_at >= since,
        digest.is_not(None),
        digest != LOOK_AGAIN,
        ContactState.suspect.is_(None),
        ContactState.held.is_(None),
        or_(state.in_(("accepted", "filtered", "departed")), remembered),
        not_(unproven),
    )
    query = select(func.count(), func.sum(case((fresh, 1), else_=0))).where(
        ContactState.account == account,
        ContactState.collection == collection,
        ContactState.absent_run_id.is_(None),
        or_(state != "departed", digest.is_not(None)),
    )
    with ledger.read() as connection:
        met, spared = connection.execute(query).one()
    return met, spared or 0


#: What it gets when a run asked for this member: the record that Ometria holds is today's as well.
STILL = (*SEEN, "snapshot_at")


def settle(ledger: Ledger, account: str, collection: str, *, suspect: str | None = None) -> None:
    """Accept every contact whose request Ometria acknowledged without a word about rejected records.

    Contacts of a doubtful batch (its answer counted rejected records) stay pending.

    :param suspect: a mark for those that nobody has put under suspicion yet (`ledger/late.py`).
    """
    acknowledged = select(PushBatch.id).where(PushBatch.state == "acknowledged")
    with ledger.write() as connection:
        connection.execute(
            update(ContactState)
            .where(
                ContactState.account == account,
                ContactState.collection == collection,
                ContactState.state == "pending",
                ContactState.push_batch_id.in_(acknowledged),
            )
            .values(
                state="accepted",
                changed_at=datetime.now(UTC),
                suspect=func.coalesce(ContactState.suspect, suspect) if suspect else ContactState.suspect,
            )
        )
