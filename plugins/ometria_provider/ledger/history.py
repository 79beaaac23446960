"""What the ledger can tell of runs: read-only, and quick however many contacts it knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true

from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ContactState, PushBatch, Rejection, RuleResult, SyncRun
from ometria_provider.ledger.runs import PUSHED_FIRST

#: States of `sync_run` (design.md, "Ledger").
RUN_STATES = ("running", "succeeded", "failed", "halted", "awaiting_approval")

#: Stages of a rejection (design.md, "Words").
STAGES = ("mapping", "validation", "push", "ometria")

#: Groups of rejections that a report shows, and ids shown with each.
GROUPS, EXAMPLES = 50, 3


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
class RejectionGroup:
    """Members that one stage refused for the same field and reason.

    :param first_ids: a few of their contact ids.
    """

    stage: str
    field: str | None
    reason: str
    members: int
    first_ids: tuple[str, ...]


@dataclass(frozen=True)
class RejectionRow:
    """One row of `rejection`."""

    id: int
    run: int
    contact_id: str
    stage: str
    field: str | None
    reason: str
    created_at: datetime


@dataclass(frozen=True)
class RuleRow:
    """What one validation rule found in a run, its slices together."""

    rule: str
    kind: str
    severity: str
    failed: int
    detail: str | None
    first_ids: tuple[str, ...]


@dataclass(frozen=True)
class BatchRow:
    """One push request that needs a look: its id is what Ometria's support asks for."""

    id: int
    records: int
    state: str
    request_id: str | None
    reason: str | None


_RUN_COLUMNS = [getattr(SyncRun, name) for name in RunRow.__dataclass_fields__]
_REJECTION_COLUMNS: list[Any] = [
    Rejection.id,
    Rejection.sync_run_id,
    Rejection.contact_id,
    Rejection.stage,
    Rejection.field,
    Rejection.reason,
    Rejection.created_at,
]


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


def run_row(ledger: Ledger, run_id: int) -> RunRow:
    """Return one run.

    :raises UnknownRun: when the ledger does not know it.
    """
    with ledger.read() as connection:
        row = connection.execute(select(*_RUN_COLUMNS).where(SyncRun.id == run_id)).one_or_none()
    if row is None:
        raise UnknownRun(f"The ledger knows no run {run_id}; `ometria-sync history` lists those that it knows.")
    return RunRow(*row)


def number_of(ledger: Ledger, dag_id: str, run_id: str) -> int | None:
    """Return the number of an Airflow run; None when the ledger does not know it."""
    with ledger.read() as connection:
        return connection.execute(
            select(SyncRun.id).where(SyncRun.dag_id == dag_id, SyncRun.run_id == run_id)
        ).scalar_one_or_none()


def rejection_groups(ledger: Ledger, run_id: int, *, since: datetime | None = None) -> list[RejectionGroup]:
    """Return a run's rejections by stage, field and reason, the largest group first.

    :param since: only those that were made after a time.
    """
    kind = (Rejection.stage, Rejection.field, Rejection.reason)
    members = func.count().label("members")
    grouped = (
        select(*kind, members)
        .where(Rejection.sync_run_id == run_id, *([] if since is None else [Rejection.created_at > since]))
        .group_by(*kind)
        .order_by(members.desc(), *kind)
        .limit(GROUPS)
    )
    with ledger.read() as connection:
        groups = connection.execute(grouped).all()
        return [
            RejectionGroup(*group, tuple(connection.execute(_examples(run_id, *group[:3])).scalars()))
            for group in groups
        ]


def _examples(run_id: int, stage: str, field: str | None, reason: str) -> Select[Any]:
    """Select a few members of one group; without an order, so that the first rows found will do."""
    return (
        select(Rejection.contact_id)
        .where(
            Rejection.sync_run_id == run_id,
            Rejection.stage == stage,
            Rejection.field.is_(None) if field is None else Rejection.field == field,
            Rejection.reason == reason,
        )
        .limit(EXAMPLES)
    )


def list_rejections(
    ledger: Ledger,
    run_id: int,
    *,
    reason: str | None = None,
    stage: str | None = None,
    after: int = 0,
    limit: int | None = 100,
) -> list[RejectionRow]:
    """Return a run's rejections in the order in which they were made.

    :param reason: only those whose reason or field contains this text, in any case.
    :param after: only those that come after this one.
    """
    query = select(*_REJECTION_COLUMNS).where(Rejection.sync_run_id == run_id).order_by(Rejection.id).limit(limit)
    if after:
        query = query.where(Rejection.id > after)
    if stage is not None:
        query = query.where(Rejection.stage == stage)
    if reason is not None:
        query = query.where(matches(reason))
    with ledger.read() as connection:
        return [RejectionRow(*row) for row in connection.execute(query)]


def matches(text: str) -> ColumnElement[bool]:
    """Return the condition that a rejection has this text in reason or field, in any case."""
    return Rejection.reason.icontains(text, autoescape=True) | Rejection.field.icontains(text, autoescape=True)


def rejections_of(ledger: Ledger, contact_id: str, limit: int = 20) -> list[RejectionRow]:
    """Return the latest rejections of one contact, in whichever run."""
    query = (
        select(*_REJECTION_COLUMNS).where(Rejection.contact_id == contact_id).order_by(Rejection.id.desc()).limit(limit)
    )
    with ledger.read() as connection:
        return [RejectionRow(*row) for row in connection.execute(query)]


def failed_rules(ledger: Ledger, run_id: int) -> list[RuleRow]:
    """Return the validation rules that found something, warnings too, the slices taken together."""
    query = select(RuleResult).where(RuleResult.sync_run_id == run_id, RuleResult.failed > 0).order_by(RuleResult.id)
    found: dict[tuple[str, str, str], RuleRow] = {}
    with ledger.read() as connection:
        for row in connection.execute(query):
            key = (row.rule, row.kind, row.severity)
            known = found.get(key, RuleRow(*key, 0, row.detail, ()))
            ids = (*known.first_ids, *map(str, row.contact_ids))[:EXAMPLES]
            found[key] = RuleRow(*key, known.failed + row.failed, known.detail, ids)
    return list(found.values())


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
