"""Records that Ometria may have rejected later: who is under suspicion, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, update

from ometria_provider.ledger import findings
from ometria_provider.ledger.contacts import CHUNK
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ContactState, PushBatch, SyncRun
from ometria_provider.ledger.runs import Run
from ometria_provider.ledger.statements import is_one_of

#: The mark of a record that was acknowledged in a run that ended before it reconciled: nobody looked at the log for it.
UNRECONCILED = "*"

#: The mark of a record that no error is about, and that nobody has read back yet as `verify: full` wants it.
UNREAD = "+"

#: States of a contact that its late errors can still change.
OPEN = ("pending", "accepted")


class Standing(NamedTuple):
    """A contact, and the request that carried its record last."""

    contact_id: str
    state: str
    suspect: str | None
    fingerprint: bytes | None
    batch: int
    batch_run: int
    batch_state: str
    sent_at: datetime


def _mine(account: str, collection: str) -> tuple[ColumnElement[bool], ...]:
    return ContactState.account == account, ContactState.collection == collection


def first_sent(ledger: Ledger, run: Run, account: str, collection: str) -> datetime | None:
    """Return when the first request went whose records nobody has looked at the log for: this run's, or an earlier one.

    None: there is no such record.
    """
    unreconciled = (
        select(func.min(PushBatch.started_at))
        .join(ContactState, ContactState.push_batch_id == PushBatch.id)
        .where(*_mine(account, collection), ContactState.suspect == UNRECONCILED)
    )
    own = select(func.min(PushBatch.started_at)).where(
        PushBatch.sync_run_id == run.id, PushBatch.state.in_(("acknowledged", "doubtful"))
    )
    with ledger.read() as connection:
        found = [connection.execute(query).scalar() for query in (unreconciled, own)]
    return min((moment for moment in found if moment), default=None)


def last_answer(ledger: Ledger, run: Run) -> datetime | None:
    """Return when the last answer to a push of this run came."""
    with ledger.read() as connection:
        return connection.execute(select(func.max(PushBatch.ended_at)).where(PushBatch.sync_run_id == run.id)).scalar()


def has_open(ledger: Ledger, account: str, collection: str) -> bool:
    """Say whether any contact of a collection is under suspicion, or pending."""
    with ledger.read() as connection:
        return connection.execute(_open(account, collection).limit(1)).first() is not None


def open_contacts(ledger: Ledger, account: str, collection: str) -> list[str]:
    """Return the contacts of a collection that an error may be about, or that are pending."""
    in_doubt = or_(ContactState.suspect.is_distinct_from(UNREAD), ContactState.state == "pending")
    with ledger.read() as connection:
        return list(connection.execute(_open(account, collection).where(in_doubt)).scalars())


def _open(account: str, collection: str) -> Select[Any]:
    flagged = and_(ContactState.suspect.is_not(None), ContactState.state.in_(OPEN))
    return select(ContactState.contact_id).where(
        *_mine(account, collection), or_(flagged, ContactState.state == "pending")
    )


def count_suspects(ledger: Ledger, account: str, collection: str) -> int:
    """Return how many accepted contacts of a collection are still under suspicion."""
    query = select(func.count()).where(
        *_mine(account, collection), ContactState.suspect.is_not(None), ContactState.state == "accepted"
    )
    with ledger.read() as connection:
        return connection.execute(query).scalar() or 0


def collection_size(ledger: Ledger, account: str, collection: str) -> int:
    """Return how many contacts of a collection Ometria acknowledged."""
    query = select(func.count()).where(*_mine(account, collection), ContactState.push_batch_id.is_not(None))
    with ledger.read() as connection:
        return connection.execute(query).scalar() or 0


def standings(ledger: Ledger, account: str, collection: str, ids: Sequence[str]) -> dict[str, Standing]:
    """Return where these contacts stand, those that were sent and are neither rejected nor filtered since."""
    query = (
        select(
            ContactState.contact_id,
            ContactState.state,
            ContactState.suspect,
            ContactState.fingerprint,
            PushBatch.id,
            PushBatch.sync_run_id,
            PushBatch.state,
            PushBatch.started_at,
        )
        .join(PushBatch, PushBatch.id == ContactState.push_batch_id)
        .where(*_mine(account, collection), ContactState.state.in_((*OPEN, "rejected")))
    )
    found: dict[str, Standing] = {}
    with ledger.read() as connection:
        for start in range(0, len(ids), CHUNK):
            part = query.where(is_one_of(ledger, ContactState.contact_id, ids[start : start + CHUNK]))
            found.update((row[0], Standing._make(row)) for row in connection.execute(part))
    return found


def suspect(ledger: Ledger, account: str, collection: str, marks: Iterable[tuple[str, str | None]]) -> None:
    """Put contacts under suspicion, or take it from them (None)."""
    by_mark: dict[str | None, list[str]] = {}
    for contact_id, mark in marks:
        by_mark.setdefault(mark, []).append(contact_id)
    for mark, ids in by_mark.items():
        _change(ledger, account, collection, ids, {"suspect": mark})


def clear(ledger: Ledger, account: str, collection: str, mark: str) -> None:
    """Take a mark from everybody who has it."""
    with ledger.write() as connection:
        connection.execute(
            update(ContactState).where(*_mine(account, collection), ContactState.suspect == mark).values(suspect=None)
        )


def acquit(ledger: Ledger, account: str, collection: str, ids: Sequence[str], batch: int) -> None:
    """Accept contacts that were read back and hold what was sent.

    :param batch: the latest request that carried one of them; whoever was sent again since is another matter.
    """
    values = {
        "suspect": None,
        "changed_at": case((ContactState.state == "pending", datetime.now(UTC)), else_=ContactState.changed_at),
        "state": "accepted",
    }
    _change(ledger, account, collection, ids, values, ContactState.push_batch_id <= batch)


def _change(
    ledger: Ledger,
    account: str,
    collection: str,
    ids: Sequence[str],
    values: dict[str, Any],
    *where: ColumnElement[bool],
) -> None:
    for start in range(0, len(ids), CHUNK):
        chosen = is_one_of(ledger, ContactState.contact_id, ids[start : start + CHUNK])
        with ledger.write() as connection:
            connection.execute(
                update(ContactState)
                .where(*_mine(account, collection), chosen, ContactState.state.in_(OPEN), *where)
                .values(values)
            )


class Guilty(NamedTuple):
    """A record that did not arrive.

    :param batch: the request that carried it.
    """

    contact_id: str
    slice: int
    batch: int
    field: str | None
    reason: str


def convict(ledger: Ledger, run: Run, account: str, collection: str, guilty: Sequence[Guilty]) -> None:
    """Reject records that did not arrive, and forget that Ometria has them.

    The digest of the customer stays, so that the same record is not sent again before it is due.
    """
    with ledger.write() as connection:
        for one in guilty:
            changed = connection.execute(
                update(ContactState)
                .where(
                    *_mine(account, collection),
                    ContactState.contact_id == one.contact_id,
                    ContactState.push_batch_id == one.batch,
                    ContactState.state.in_(OPEN),
                )
                .values(
                    state="rejected",
                    reason=f"{one.field}: {one.reason}" if one.field else one.reason,
                    fingerprint=None,
                    consent_digest=None,
                    suspect=None,
                    sync_run_id=run.id,
                    changed_at=datetime.now(UTC),
                )
            )
            if changed.rowcount:
                row = (one.contact_id, one.field, one.reason)
                findings.write(connection, run.id, one.slice, "ometria", [row])


def last_delivery(ledger: Ledger, run: Run, account: str, collection: str) -> str | None:
    """Return the mapping of the last run before this one that delivered to a collection; None when nobody did."""
    query = (
        select(SyncRun.planned_mapping)
        .where(
            SyncRun.account == account,
            SyncRun.collection == collection,
            SyncRun.id < run.id,
            SyncRun.accepted > 0,
            SyncRun.dry_run.is_(False),
        )
        .order_by(SyncRun.id.desc())
        .limit(1)
    )
    with ledger.read() as connection:
        return connection.execute(query).scalar()
