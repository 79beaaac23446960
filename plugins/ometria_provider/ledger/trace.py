"""Where one contact stands in every mapping, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import accounts_in_use
from ometria_provider.ledger.models import ContactState, PushBatch, SyncRun
from ometria_provider.ledger.rejections import RejectionRow, rejections_of
from ometria_provider.ledger.scans import is_complete_scan

#: Rejections and events that are shown of a contact unless somebody asks for all.
LATEST = 20


@dataclass(frozen=True)
class Scan:
    """The last complete scan of a mapping: everybody whom Antavo had then was looked at."""

    run: int
    started_at: datetime
    ended_at: datetime | None
    read: int


@dataclass(frozen=True)
class Batch:
    """The push request that carried a contact last."""

    id: int
    run: int
    state: str
    request_id: str | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Standing:
    """Where a contact stands in one mapping.

    :param state: a state of `contact_state`, or `unknown` when this mapping never read it.
    :param since: when it came into this state.
    :param run: the run that last wrote it down, which may be pruned by now; later ones left it as it is. 0: none did,
        the ledger was rebuilt from what Ometria holds.
    :param snapshot_at: when the record last sent was read from Antavo.
    :param missed_by: the complete scan that missed it first.
    :param held: why its opt-in is held back.
    :param opted_out_at: when an opt-out of it was sent last, of marketing or of SMS.
    :param suspect: path of an error in Ometria's log that may be its own, until it is read back.
    """

    mapping: str
    account: str
    collection: str
    state: str
    reason: str | None = None
    since: datetime | None = None
    run: int | None = None
    snapshot_at: datetime | None = None
    missed_by: int | None = None
    held: str | None = None
    opted_out_at: datetime | None = None
    suspect: str | None = None
    batch: Batch | None = None
    last_scan: Scan | None = None


@dataclass(frozen=True)
class Trace:
    """What the ledger knows of one contact."""

    contact_id: str
    standings: list[Standing]
    rejections: list[RejectionRow]

    @property
    def known(self) -> bool:
        """Say whether any mapping ever met this contact."""
        return bool(self.rejections) or any(standing.state != "unknown" for standing in self.standings)


def trace(ledger: Ledger, contact_id: str) -> Trace:
    """Return where a contact stands in every mapping that ever ran."""
    standings = [
        _standing(ledger, mapping, account, collection, contact_id)
        for (account, collection), mapping in accounts_in_use(ledger).items()
    ]
    return Trace(contact_id, standings, rejections_of(ledger, contact_id))


def _standing(ledger: Ledger, mapping: str, account: str, collection: str, contact_id: str) -> Standing:
    query = select(
        ContactState.state,
        ContactState.reason,
        ContactState.changed_at,
        ContactState.sync_run_id,
        ContactState.snapshot_at,
        ContactState.absent_run_id,
        ContactState.held,
        func.coalesce(ContactState.opted_out_at, ContactState.sms_opted_out_at),
        ContactState.suspect,
        ContactState.push_batch_id,
    ).where(
        ContactState.account == account,
        ContactState.collection == collection,
        ContactState.contact_id == contact_id,
    )
    with ledger.read() as connection:
        row: Any = connection.execute(query).one_or_none()
    scan = _last_scan(ledger, account, collection)
    if row is None:
        return Standing(mapping, account, collection, "unknown", last_scan=scan)
    batch = None if row[-1] is None else _batch(ledger, row[-1])
    names = ("state", "reason", "since", "run", "snapshot_at", "missed_by", "held", "opted_out_at", "suspect")
    stands: dict[str, Any] = dict(zip(names, row[:-1], strict=True))
    return Standing(mapping, account, collection, **stands, batch=batch, last_scan=scan)


def _batch(ledger: Ledger, batch_id: int) -> Batch | None:
    query = select(PushBatch.id, PushBatch.sync_run_id, PushBatch.state, PushBatch.request_id, PushBatch.ended_at)
    with ledger.read() as connection:
        row = connection.execute(query.where(PushBatch.id == batch_id)).one_or_none()
    return None if row is None else Batch(*row)


def _last_scan(ledger: Ledger, account: str, collection: str) -> Scan | None:
    green = (
        select(func.max(SyncRun.id))
        .where(
            SyncRun.account == account,
            SyncRun.collection == collection,
            *is_complete_scan(),
        )
        .scalar_subquery()
    )
    query = select(SyncRun.id, SyncRun.started_at, SyncRun.ended_at, SyncRun.read).where(SyncRun.id == green)
    with ledger.read() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else Scan(*row)
