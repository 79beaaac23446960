"""Which runs of a collection came before and after: complete scans, and whoever compared the same members since."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import SyncRun, SyncStep
from ometria_provider.ledger.runs import CHOSEN, FULL, Run


def is_complete_scan() -> tuple[ColumnElement[bool], ...]:
    """Return what makes a run a complete scan that counted: its gate opened, and it was closed with what it read.

    A halted scan does not count: its gate stayed shut. Nor does one that was killed: nobody wrote down what it read.
    A run for chosen members is none.
    """
    opened = select(SyncStep.sync_run_id).where(SyncStep.step == "gate", SyncStep.state == "done")
    cut_short = select(SyncStep.sync_run_id).where(SyncStep.step == "extract", SyncStep.state != "done")
    return (
        SyncRun.strategy == FULL,
        SyncRun.dry_run.is_(False),
        SyncRun.read > 0,
        SyncRun.id.in_(opened),
        SyncRun.id.not_in(cut_short),
    )


def last_scan_run(
    ledger: Ledger, run: Run | None, *, account: str, collection: str, delivered: bool = False
) -> Run | None:
    """Return the last complete scan (before this run, if any), with what it was planned with.

    :param delivered: only one that ended green.
    """
    query = _last_scan(SyncRun, run, account, collection)
    if delivered:
        query = query.where(SyncRun.state == "succeeded")
    with ledger.read() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else Run.of(row)


def last_scan(ledger: Ledger, run: Run | None, *, account: str, collection: str) -> int | None:
    """Return how many members the last complete scan (before this run, if any) read; None when there was none."""
    with ledger.read() as connection:
        return connection.execute(_last_scan(SyncRun.read, run, account, collection)).scalar()


def _last_scan(what: Any, run: Run | None, account: str, collection: str) -> Select[Any]:
    """Select something of the last complete scan, before a run if there is one."""
    before = [] if run is None else [SyncRun.id < run.id]
    return (
        select(what)
        .where(SyncRun.account == account, SyncRun.collection == collection, *before, *is_complete_scan())
        .order_by(SyncRun.id.desc())
        .limit(1)
    )


def last_let_through(ledger: Ledger, run: Run, *, account: str, collection: str) -> Run | None:
    """Return the last run before this one that could send to everybody concerned, or None."""
    opened = select(SyncStep.sync_run_id).where(SyncStep.step == "gate", SyncStep.state == "done")
    query = select(SyncRun).where(
        SyncRun.account == account,
        SyncRun.collection == collection,
        SyncRun.id < run.id,
        SyncRun.strategy != CHOSEN,
        SyncRun.dry_run.is_(False),
        SyncRun.id.in_(opened),
    )
    with ledger.read() as connection:
        row = connection.execute(query.order_by(SyncRun.id.desc()).limit(1)).one_or_none()
    return None if row is None else Run.of(row)


def superseded_by(ledger: Ledger, run: Run, *, account: str, collection: str, snapshot_at: datetime) -> int | None:
    """Return the number of a newer complete scan that has compared the same members, or None.

    Whatever still differed then was that run's to send; what this one read before is older. A newer run that read some
    members only says so of each of those (`contact_state`).

    :param snapshot_at: when this run read the members.
    """
    with ledger.read() as connection:
        return connection.execute(
            select(func.max(SyncRun.id))
            .join(SyncStep, SyncStep.sync_run_id == SyncRun.id)
            .where(
                SyncRun.account == account,
                SyncRun.collection == collection,
                SyncRun.id > run.id,
                SyncRun.dry_run.is_(False),
                SyncRun.strategy == FULL,
                SyncStep.step == "gate",
                SyncStep.state == "done",
                SyncStep.started_at > snapshot_at,
            )
        ).scalar()


def has_newer(ledger: Ledger, run: Run, *, account: str, collection: str) -> bool:
    """Say whether a newer run worked for the same contacts, for all of them or for some."""
    newer = select(SyncRun.id).where(
        SyncRun.account == account,
        SyncRun.collection == collection,
        SyncRun.id > run.id,
        SyncRun.dry_run.is_(False),
    )
    with ledger.read() as connection:
        return connection.execute(newer.limit(1)).first() is not None
