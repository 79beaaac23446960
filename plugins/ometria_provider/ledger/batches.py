"""Push requests in the ledger: written before they go, and again when their answer came."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch
from ometria_provider.ledger.run_steps import DEPARTURES
from ometria_provider.ledger.statements import Prepared


def depart(
    ledger: Ledger, connection: Connection, *, run_id: int, slice_: int, records: int, size: int, kind: str
) -> int:
    """Write that a request is about to go, and return its number.

    :param size: bytes of its body.
    :param kind: `contacts`, or `opt_outs` for those that no book counts.
    """
    row = _departure(ledger).run(
        connection,
        sync_run_id=run_id,
        slice=slice_,
        records=records,
        size=size,
        kind=kind,
        state="sending",
        started_at=datetime.now(UTC),
    )
    return int(row.scalar_one())


def answer(
    ledger: Ledger, connection: Connection, id_: int, *, state: str, reason: str | None, request_id: str | None
) -> None:
    """Write what came back for a request, or that nothing did."""
    values = {"state": state, "reason": reason, "request_id": request_id, "ended_at": datetime.now(UTC)}
    _answer(ledger).run(connection, batch=id_, **values)


def count_records(
    ledger: Ledger, run_id: int, *states: str, slice_: int | None = None, since: datetime | None = None
) -> int:
    """Return how many records of members the run's batches in these states hold.

    :param slice_: count one slice only; None: all of them, departures apart.
    :param since: leave out the attempts before; None: over all attempts of its pushes.
    """
    query = select(func.sum(PushBatch.records)).where(
        PushBatch.sync_run_id == run_id, PushBatch.state.in_(states), PushBatch.kind == "contacts"
    )
    query = query.where(PushBatch.slice != DEPARTURES if slice_ is None else PushBatch.slice == slice_)
    if since is not None:
        query = query.where(PushBatch.started_at >= since)
    with ledger.read() as connection:
        return connection.execute(query).scalar() or 0


@cache
def _departure(ledger: Ledger) -> Prepared:
    columns = ("sync_run_id", "slice", "records", "size", "kind", "state", "started_at")
    return Prepared(ledger, insert(PushBatch).returning(PushBatch.id), columns)


@cache
def _answer(ledger: Ledger) -> Prepared:
    columns: dict[str, Any] = {name: bindparam(name) for name in ("state", "reason", "request_id", "ended_at")}
    return Prepared(ledger, update(PushBatch).where(PushBatch.id == bindparam("batch")).values(columns))
