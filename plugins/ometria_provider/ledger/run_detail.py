"""What the page of one run asks beside its report: its retries, and its requests over time."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch, SyncRun


class Request(NamedTuple):
    """One push request: when it was answered, and how many records it held."""

    at: datetime
    records: int


def retries_of(ledger: Ledger, run_id: int) -> list[int]:
    """Return the runs that tried again what a run left undelivered, in their order."""
    query = select(SyncRun.id).where(SyncRun.retry_of == run_id).order_by(SyncRun.id)
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def requests_over_time(ledger: Ledger, run_id: int) -> list[Request]:
    """Return a run's push requests that were answered, in that order.

    When one went the ledger does not know: it is written down before it waits for its slot.
    """
    query = (
        select(PushBatch.ended_at, PushBatch.records)
        .where(PushBatch.sync_run_id == run_id, PushBatch.ended_at.is_not(None))
        .order_by(PushBatch.ended_at)
    )
    with ledger.read() as connection:
        return [Request(at, records) for at, records in connection.execute(query) if at is not None]
