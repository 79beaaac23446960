"""Who of a collection may have left, and who did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from ometria_provider.ledger.contacts import CHUNK
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ContactState
from ometria_provider.ledger.statements import is_one_of

#: Contacts looked through at once.
PAGE = 50_000


def is_with_us() -> ColumnElement[bool]:
    """Return what makes a contact one that can depart: delivered, or on a list, and not departed yet."""
    return and_(
        ContactState.state != "departed",
        or_(ContactState.fingerprint.is_not(None), ContactState.list_id.is_not(None)),
    )


def _of(account: str, collection: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return ContactState.account == account, ContactState.collection == collection


def has_anybody(ledger: Ledger, account: str, collection: str) -> bool:
    """Say whether a collection has anybody who could be missing."""
    query = select(ContactState.contact_id).where(
        *_of(account, collection), or_(is_with_us(), ContactState.state == "departed")
    )
    with ledger.read() as connection:
        return connection.execute(query.limit(1)).first() is not None


def everybody(ledger: Ledger, account: str, collection: str, run_id: int) -> Iterator[list[str]]:
    """Yield the contacts that can depart, by key and by the page; those who departed in this run are among them.

    A run whose gate is cleared must come to the same result as before. A contact whose customer no run has read may be
    another sender's.
    """
    own = and_(ContactState.state == "departed", ContactState.sync_run_id == run_id)
    ours = and_(is_with_us(), ContactState.source_digest.is_not(None))
    yield from _pages(ledger, account, collection, or_(ours, own))


def unread(ledger: Ledger, account: str, collection: str) -> Iterator[list[str]]:
    """Yield the contacts that a rebuild found in Ometria, and whose customers no run has read since."""
    yield from _pages(ledger, account, collection, and_(is_with_us(), ContactState.source_digest.is_(None)))


def filtered(ledger: Ledger, account: str, collection: str) -> Iterator[list[str]]:
    """Yield the contacts that were delivered, and that the mapping's `where` leaves out now."""
    yield from _pages(ledger, account, collection, and_(is_with_us(), ContactState.state == "filtered"))


def missed_before(ledger: Ledger, account: str, collection: str) -> Iterator[list[str]]:
    """Yield the contacts that a complete scan has missed."""
    yield from _pages(ledger, account, collection, ContactState.absent_run_id.is_not(None))


def _pages(ledger: Ledger, account: str, collection: str, wanted: ColumnElement[bool]) -> Iterator[list[str]]:
    query = select(ContactState.contact_id).where(*_of(account, collection), wanted)
    query = query.order_by(ContactState.contact_id).limit(PAGE)
    last = ""
    while True:
        # A page a transaction: whoever reads them asks Antavo and writes in between.
        with ledger.read() as connection:
            ids = list(connection.execute(query.where(ContactState.contact_id > last)).scalars())
        if not ids:
            return
        yield ids
        last = ids[-1]


def note_missing(ledger: Ledger, account: str, collection: str, ids: Sequence[str], run_id: int | None) -> None:
    """Note which complete scan missed contacts first; None: they were read again."""
    with ledger.write() as connection:
        for start in range(0, len(ids), CHUNK):
            connection.execute(
                update(ContactState)
                .where(
                    *_of(account, collection), is_one_of(ledger, ContactState.contact_id, ids[start : start + CHUNK])
                )
                .values(absent_run_id=run_id)
            )


def departed_in(ledger: Ledger, account: str, collection: str, run_id: int) -> dict[str, int]:
    """Return how many contacts departed in a run, by the reason as it is written."""
    query = select(ContactState.reason, func.count()).where(
        *_of(account, collection), ContactState.state == "departed", ContactState.sync_run_id == run_id
    )
    with ledger.read() as connection:
        rows = connection.execute(query.group_by(ContactState.reason)).all()
    return {str(reason): count for reason, count in rows}
