"""What the page of one run asks beside its report: its retries, whom each stage refused, its requests over time."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch, Rejection, SyncRun


class Request(NamedTuple):
    """One push request: when it went, and how many records it held."""

    started_at: datetime
    records: int


def retries_of(ledger: Ledger, run_id: int) -> list[int]:
    """Return the runs that tried again what a run left undelivered, in their order."""
    query = select(SyncRun.id).where(SyncRun.retry_of == run_id).order_by(SyncRun.id)
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def members_by_stage(ledger: Ledger, run_id: int) -> dict[str, int]:
    """Return how many members each stage of a run refused."""
    query = (
        select(Rejection.stage, func.count(Rejection.contact_id.distinct()))
        .where(Rejection.sync_run_id == run_id)
        .group_by(Rejection.stage)
    )
    with ledger.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def requests_over_time(ledger: Ledger, run_id: int) -> list[Request]:
    """Return a run's push requests in the order in which they went."""
    query = (
        select(PushBatch.started_at, PushBatch.records)
        .where(PushBatch.sync_run_id == run_id)
        .order_by(PushBatch.started_at)
    )
    with ledger.read() as connection:
        return [Request(*row) for row in connection.execute(query)]
