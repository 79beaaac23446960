"""Let go of what is too old to be asked about: runs with all that they found, events that are done, late errors,
incidents that are over.

What Ometria is known to hold (`contact_state`), cursors and field bits stay for ever: without them everything would be
sent once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, or_, select, tuple_

from ometria_provider.ledger import cursors
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import PRUNED
from ometria_provider.ledger.incidents import prune_incidents
from ometria_provider.ledger.models import (
    Base,
    CampaignRun,
    ContactState,
    EventDelivery,
    InboxEvent,
    LateError,
    PushBatch,
    SyncRun,
    WebhookRefusal,
)
from ometria_provider.ledger.scans import is_complete_scan

#: Rows, events and runs deleted in one transaction: nobody waits long for the ledger.
ROWS_AT_ONCE, EVENTS_AT_ONCE, RUNS_AT_ONCE = 5_000, 5_000, 10


def _table(model: type[Base]) -> Table:
    return Base.metadata.tables[model.__tablename__]


_RUNS = _table(SyncRun)

#: What goes with its run: millions of rejections in one transaction, if they were left to the database's cascade.
OF_RUNS = [
    table for table in Base.metadata.sorted_tables if any(key.column.table is _RUNS for key in table.foreign_keys)
]


@dataclass
class Pruned:
    """How much was let go.

    :param findings: rows of what the runs did and found: steps, requests, rejections, results of rules.
    """

    runs: int = 0
    findings: int = 0
    events: int = 0
    late_errors: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in asdict(self).items())


def prune(
    ledger: Ledger, before: datetime, expiry: timedelta | None, tell: Callable[[Pruned], None] = lambda _: None
) -> Pruned:
    """Delete what ended before a time.

    :param expiry: the longest `expires_after` of all workflows: events that may still be mailed stay. None: nobody
        knows it, and all events stay.
    :param tell: hears how far it is, after each transaction.
    """
    pruned = Pruned()
    for ids in _chunks(_old_runs(ledger, before), RUNS_AT_ONCE):
        for table in OF_RUNS:
            for gone in _delete(ledger, table, table.c.sync_run_id.in_(ids)):
                pruned.findings += gone
                tell(pruned)
        for gone in _delete(ledger, _RUNS, _RUNS.c.id.in_(ids)):
            pruned.runs += gone
            tell(pruned)
    if expiry is not None:
        _prune_events(ledger, min(before, datetime.now(UTC) - expiry), pruned, tell)
    with ledger.write() as connection:
        prune_incidents(connection, before)
    for model, at in ((CampaignRun, CampaignRun.ended_at), (WebhookRefusal, WebhookRefusal.refused_at)):
        for gone in _delete(ledger, _table(model), at < before):
            pruned.findings += gone
            tell(pruned)
    for gone in _delete(ledger, _table(LateError), LateError.until < before):
        pruned.late_errors += gone
        tell(pruned)
    return pruned


def _delete(ledger: Ledger, table: Table, *which: ColumnElement[bool]) -> Iterator[int]:
    """Delete rows in small steps, and yield after each how many it took."""
    keys = table.primary_key.columns
    some = select(*keys).where(*which).limit(ROWS_AT_ONCE)
    while True:
        with ledger.write() as connection:
            gone = connection.execute(delete(table).where(tuple_(*keys).in_(some))).rowcount
        if gone:
            yield gone
        if gone < ROWS_AT_ONCE:
            return


def _old_runs(ledger: Ledger, before: datetime) -> list[int]:
    """Return the runs that nobody needs any more.

    Kept however old they are: of each mapping its last run, the last that was planned (a file that broke counts as it
    was then) and the complete scans that the next one compares with; whose requests contacts still hang on; and the
    last request of all: SQLite would give its number out once more.
    """
    open_contact = or_(ContactState.state == "pending", ContactState.suspect.is_not(None))
    open_batches = select(ContactState.push_batch_id).where(open_contact, ContactState.push_batch_id.is_not(None))
    kept = [
        select(func.max(SyncRun.id)).group_by(SyncRun.dag_id),
        select(func.max(SyncRun.id)).where(SyncRun.planned_mapping.is_not(None)).group_by(SyncRun.mapping),
        _last_scans(),
        _last_scans(SyncRun.state == "succeeded"),
        select(PushBatch.sync_run_id).where(PushBatch.id.in_(open_batches)),
        select(PushBatch.sync_run_id).order_by(PushBatch.id.desc()).limit(1),
    ]
    query = select(SyncRun.id).where(SyncRun.ended_at < before).order_by(SyncRun.id)
    with ledger.read() as connection:
        needed = {id_ for each in kept for id_ in connection.execute(each).scalars()}
        return [id_ for id_ in connection.execute(query).scalars() if id_ not in needed]


def _last_scans(*which: ColumnElement[bool]) -> Any:
    scans = select(func.max(SyncRun.id)).where(*is_complete_scan(), *which)
    return scans.group_by(SyncRun.account, SyncRun.collection)


def _prune_events(ledger: Ledger, before: datetime, pruned: Pruned, tell: Callable[[Pruned], None]) -> None:
    """Delete events that are done and lie before a time, whichever of their times one takes.

    The cursor goes first: an event that is gone from here must never be taken for a new one.
    """
    with ledger.read() as connection:
        accounts = list(connection.execute(select(InboxEvent.account).distinct()).scalars())
    for account in accounts:
        cursors.move(ledger, account, "", PRUNED, at=before, run_id=0)
        done = (
            select(InboxEvent.id, InboxEvent.event_id)
            .where(
                InboxEvent.account == account,
                InboxEvent.done_at < before,
                or_(InboxEvent.occurred_at.is_(None), InboxEvent.occurred_at < before),
            )
            .order_by(InboxEvent.id)
            .limit(EVENTS_AT_ONCE)
        )
        while True:
            with ledger.write() as connection:
                rows = list(connection.execute(done))
                for ids in _chunks([event_id for _, event_id in rows], 500):
                    these = (EventDelivery.account == account, EventDelivery.event_id.in_(ids))
                    connection.execute(delete(EventDelivery).where(*these))
                for numbers in _chunks([number for number, _ in rows], 500):
                    connection.execute(delete(InboxEvent).where(InboxEvent.id.in_(numbers)))
            pruned.events += len(rows)
            tell(pruned)
            if len(rows) < EVENTS_AT_ONCE:
                break


def _chunks(rows: list[Any], size: int) -> list[list[Any]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
