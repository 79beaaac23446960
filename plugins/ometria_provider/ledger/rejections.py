"""What the ledger can tell of what runs found fault with: rejections, and validation rules that failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Rejection, RuleResult

#: Stages of a rejection (design.md, "Words").
STAGES = ("mapping", "validation", "push", "ometria")

#: Groups of rejections that a report shows, and ids shown with each.
GROUPS, EXAMPLES = 50, 3


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


_COLUMNS: list[Any] = [
    Rejection.id,
    Rejection.sync_run_id,
    Rejection.contact_id,
    Rejection.stage,
    Rejection.field,
    Rejection.reason,
    Rejection.created_at,
]


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
    query = select(*_COLUMNS).where(Rejection.sync_run_id == run_id).order_by(Rejection.id).limit(limit)
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


def rejections_of(ledger: Ledger, contact_id: str) -> list[RejectionRow]:
    """Return all rejections of one contact, in whichever run, the newest first: at most a few for each run kept."""
    query = select(*_COLUMNS).where(Rejection.contact_id == contact_id).order_by(Rejection.id.desc())
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
