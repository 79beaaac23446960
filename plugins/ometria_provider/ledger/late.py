"""What Ometria says later: looks at its error log, records under suspicion, verdicts on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, update
from sqlalchemy import insert as plain_insert

from ometria_provider.ledger import findings
from ometria_provider.ledger.contacts import CHUNK
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ContactState, ErrorLook, LateError, PushBatch, SyncRun
from ometria_provider.ledger.runs import Run
from ometria_provider.ledger.statements import insert, is_one_of

#: The mark of a record that was acknowledged in a run that ended before it reconciled: nobody looked at the log for it.
UNRECONCILED = "*"

#: The mark of a record that no error is about, and that nobody has read back yet as `verify: full` wants it.
UNREAD = "+"

#: States of a contact that its late errors can still change.
OPEN = ("pending", "accepted")


class Look(NamedTuple):
    """The last look at an account's error log.

    :param entries: message and path of each error, in the log's order.
    """

    looked_at: datetime
    entries: list[tuple[str, str]]


@dataclass(frozen=True)
class ErrorRow:
    """An error that the log gained between two looks.

    :param count: 0: more of this path (of any, when it is empty) may have come than the log still shows.
    """

    until: datetime
    message: str
    path: str
    count: int


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


def last_look(ledger: Ledger, account: str) -> Look | None:
    """Return the account's last look, whichever task made it."""
    with ledger.read() as connection:
        row = connection.execute(
            select(ErrorLook.looked_at, ErrorLook.entries).where(ErrorLook.account == account)
        ).one_or_none()
    return None if row is None else Look(row.looked_at, [(message, path) for message, path in row.entries])


def keep_look(
    ledger: Ledger,
    account: str,
    before: Look | None,
    entries: Sequence[tuple[str, str]],
    errors: Iterable[tuple[str, str, int]],
) -> bool:
    """Keep a look, and what it shows that the one before did not; say whether it counts.

    All tasks share the looks. One that another task overtook does not count: its news would be counted twice, or lost.

    :param before: the look that this one was compared with.
    :param errors: message, path and count of what is new; a count of 0: more may have come.
    """
    now = datetime.now(UTC)
    row = {"looked_at": now, "entries": [list(entry) for entry in entries]}
    with ledger.write() as connection:
        if before is None:
            first = insert(ledger, ErrorLook).values(account=account, **row).on_conflict_do_nothing()
            # Its row comes back if it was written: PostgreSQL's driver does not count here.
            return connection.execute(first.returning(ErrorLook.account)).one_or_none() is not None
        same = (ErrorLook.account == account, ErrorLook.looked_at == before.looked_at)
        if not connection.execute(update(ErrorLook).where(*same).values(**row)).rowcount:
            return False
        common = {"account": account, "since": before.looked_at, "until": now}
        new = [
            {**common, "message": message, "path": path, "count": count, "overflow": not count}
            for message, path, count in errors
        ]
        if new:
            connection.execute(plain_insert(LateError), new)
    return True


def errors_since(ledger: Ledger, account: str, since: datetime) -> list[ErrorRow]:
    """Return what the log gained in looks after a time."""
    columns = [getattr(LateError, name) for name in ErrorRow.__dataclass_fields__]
    query = select(*columns).where(LateError.account == account, LateError.until > since).order_by(LateError.id)
    with ledger.read() as connection:
        return [ErrorRow(*row) for row in connection.execute(query)]


def words(ledger: Ledger, account: str, paths: Collection[str]) -> dict[str, str]:
    """Return Ometria's latest words for each path."""
    query = select(LateError.path, LateError.message).where(
        LateError.account == account, LateError.path.in_(paths), LateError.message != ""
    )
    with ledger.read() as connection:
        return dict(iter(connection.execute(query.order_by(LateError.id))))


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
