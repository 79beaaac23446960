"""What the ledger can tell of runs: read-only, and quick however many contacts it knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, true

from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ContactState, PushBatch, Rejection, SyncRun
from ometria_provider.ledger.runs import PUSHED_FIRST

#: States of `sync_run` (design.md, "Ledger").
RUN_STATES = ("running", "succeeded", "failed", "halted", "awaiting_approval")

#: Runs asked for in one statement.
CHUNK = 500


class UnknownRun(Misconfigured):
    """Nobody can show a run that the ledger does not know."""


@dataclass(frozen=True)
class RunRow:
    """One row of `sync_run`, without the mapping as planned."""

    id: int
    mapping: str
    state: str
    reason: str | None
    strategy: str
    dry_run: bool
    read: int
    unchanged: int
    filtered: int
    rejected: int
    sent: int
    accepted: int
    pending: int
    departed: int
    started_at: datetime
    ended_at: datetime | None
    dag_id: str
    run_id: str
    account: str | None
    collection: str | None
    plan: str | None
    retry_of: int | None


@dataclass(frozen=True)
class BatchRow:
    """One push request that needs a look: its id is what Ometria's support asks for."""

    id: int
    records: int
    state: str
    request_id: str | None
    reason: str | None


_RUN_COLUMNS = [getattr(SyncRun, name) for name in RunRow.__dataclass_fields__]


def find_run(ledger: Ledger, reference: str, *, before: int | None = None) -> int:
    """Return the number of the run that somebody means.

    :param reference: the ledger's number, or `MAPPING:latest`.
    :param before: only runs before this one.
    :raises UnknownRun: when there is no such run, or the reference is neither.
    """
    mapping, colon, which = reference.rpartition(":")
    if colon and which == "latest" and mapping:
        query = select(func.max(SyncRun.id)).where(
            SyncRun.mapping == mapping, ~SyncRun.run_id.startswith(PUSHED_FIRST, autoescape=True)
        )
        missing = f"The ledger knows no run of mapping {mapping}; `ometria-sync history` lists those that it knows."
    elif reference.isascii() and reference.isdigit():
        # Beyond 64 bits no database would take the number.
        query = select(SyncRun.id).where(SyncRun.id == min(int(reference[:20]), 2**63 - 1))
        missing = f"The ledger knows no run {reference}; `ometria-sync history` lists those that it knows."
    else:
        raise UnknownRun(f"{reference!r} names no run: write its number, or MAPPING:latest (customers:latest).")
    if before is not None:
        query = query.where(SyncRun.id < before)
    with ledger.read() as connection:
        found = connection.execute(query).scalar()
    if found is None:
        raise UnknownRun(missing)
    return int(found)


def list_runs(
    ledger: Ledger,
    *,
    mapping: str | None = None,
    state: str | None = None,
    dag_ids: Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int | None = 20,
) -> list[RunRow]:
    """Return the latest runs, the newest first.

    :param dag_ids: only runs of these DAGs.
    :param since: only runs that started then or later.
    :param until: only runs that started before.
    :param before: only runs with a lower number.
    """
    query = select(*_RUN_COLUMNS).order_by(SyncRun.id.desc()).limit(limit)
    if mapping is not None:
        query = query.where(SyncRun.mapping == mapping)
    if state is not None:
        query = query.where(SyncRun.state == state)
    if dag_ids is not None:
        query = query.where(SyncRun.dag_id.in_(dag_ids))
    if since is not None:
        query = query.where(SyncRun.started_at >= since)
    if until is not None:
        query = query.where(SyncRun.started_at < until)
    if before is not None:
        query = query.where(SyncRun.id < before)
    with ledger.read() as connection:
        return [RunRow(*row) for row in connection.execute(query)]


def dag_ids(ledger: Ledger) -> list[str]:
    """Return the DAGs whose runs the ledger knows, by name."""
    with ledger.read() as connection:
        return list(connection.execute(select(SyncRun.dag_id).distinct().order_by(SyncRun.dag_id)).scalars())


def latest_runs(ledger: Ledger) -> list[RunRow]:
    """Return the last run of each mapping, by name; not those in which a campaign pushed contacts first."""
    latest = (
        select(func.max(SyncRun.id))
        .where(~SyncRun.run_id.startswith(PUSHED_FIRST, autoescape=True))
        .group_by(SyncRun.mapping)
    )
    query = select(*_RUN_COLUMNS).where(SyncRun.id.in_(latest)).order_by(SyncRun.mapping)
    with ledger.read() as connection:
        return [RunRow(*row) for row in connection.execute(query)]


def run_rows(ledger: Ledger, numbers: Collection[int]) -> dict[int, RunRow]:
    """Return those of some runs that the ledger still knows, by number."""
    found: dict[int, RunRow] = {}
    wanted = list(numbers)
    with ledger.read() as connection:
        for start in range(0, len(wanted), CHUNK):
            query = select(*_RUN_COLUMNS).where(SyncRun.id.in_(wanted[start : start + CHUNK]))
            found.update({row.id: RunRow(*row) for row in connection.execute(query)})
    return found


def run_row(ledger: Ledger, run_id: int) -> RunRow:
    """Return one run.

    :raises UnknownRun: when the ledger does not know it.
    """
    with ledger.read() as connection:
        row = connection.execute(select(*_RUN_COLUMNS).where(SyncRun.id == run_id)).one_or_none()
    if row is None:
        raise UnknownRun(f"The ledger knows no run {run_id}; `ometria-sync history` lists those that it knows.")
    return RunRow(*row)


def runs_called(ledger: Ledger, run_id: str, *, of: str) -> list[RunRow]:
    """Return the runs that bear one of Airflow's run ids, the DAG's own first.

    :param of: the DAG's id; also that of what goes on behind a dot: its tasks that push a file, other mappings too.
    """
    is_its = or_(SyncRun.dag_id == of, SyncRun.dag_id.startswith(f"{of}.", autoescape=True))
    query = select(*_RUN_COLUMNS).where(SyncRun.run_id == run_id, is_its).order_by(SyncRun.dag_id, SyncRun.id)
    with ledger.read() as connection:
        return [RunRow(*row) for row in connection.execute(query)]


def doubtful_batches(ledger: Ledger, run_id: int, limit: int = 5) -> list[BatchRow]:
    """Return the first batches in whose answer Ometria counted rejected records."""
    columns = [getattr(PushBatch, name) for name in BatchRow.__dataclass_fields__]
    query = (
        select(*columns)
        .where(PushBatch.sync_run_id == run_id, PushBatch.state == "doubtful")
        .order_by(PushBatch.id)
        .limit(limit)
    )
    with ledger.read() as connection:
        return [BatchRow(*row) for row in connection.execute(query)]


def earlier_run_with_rejections(ledger: Ledger, run: RunRow) -> int | None:
    """Return the latest earlier run of the same collection that rejected somebody: what is remembered is from there."""
    rejected = select(Rejection.id).where(Rejection.sync_run_id == SyncRun.id).exists()
    query = select(func.max(SyncRun.id)).where(
        SyncRun.account == run.account, SyncRun.collection == run.collection, SyncRun.id < run.id, rejected
    )
    with ledger.read() as connection:
        return connection.execute(query).scalar()


def accounts_in_use(ledger: Ledger, *, mapped: bool = False) -> Mapping[tuple[str, str], str]:
    """Return the mapping that last wrote to each (account, collection).

    :param mapped: leave out those to which only files of somebody's own were pushed.
    """
    synced = SyncRun.planned_mapping.is_not(None) if mapped else true()
    latest = (
        select(func.max(SyncRun.id))
        .where(SyncRun.account.is_not(None), SyncRun.collection.is_not(None), synced)
        .group_by(SyncRun.account, SyncRun.collection)
    )
    query = (
        select(SyncRun.account, SyncRun.collection, SyncRun.mapping)
        .where(SyncRun.id.in_(latest))
        .order_by(SyncRun.mapping)
    )
    with ledger.read() as connection:
        return {(str(account), str(collection)): mapping for account, collection, mapping in connection.execute(query)}


def has_contacts(ledger: Ledger, account: str, collection: str) -> bool:
    """Say whether the ledger knows any contact of a collection."""
    query = select(ContactState.contact_id).where(
        ContactState.account == account, ContactState.collection == collection
    )
    with ledger.read() as connection:
        return connection.execute(query.limit(1)).first() is not None
