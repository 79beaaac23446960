"""What a run found fault with: rejections and the results of validation rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection, and_, delete, func, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.orm import aliased

from ometria_provider.ledger.contacts import CHUNK
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ContactState, Rejection, RuleResult, SyncRun, SyncStep
from ometria_provider.ledger.run_steps import DEPARTURES, StepRow, total
from ometria_provider.ledger.runs import Run
from ometria_provider.ledger.statements import is_one_of

#: Ids kept of the members that failed one rule in one slice; the count is complete.
MAX_IDS = 1_000


#: Field of a member's second rejection: the opt-out of the rejected record did not go alone. It counts nobody anew.
OPT_OUT = "marketing_optin"


class Result(Protocol):
    """One rule's result (validation room)."""

    @property
    def rule(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def failed(self) -> int: ...
    @property
    def detail(self) -> str: ...


#: One record that is not delivered: contact id, remote field and reason; never a value.
Refused = tuple[str, str | None, str]


def reject(ledger: Ledger, run_id: int, slice_: int, stage: str, refused: Sequence[Refused]) -> None:
    """Write rejections in a transaction of their own."""
    if refused:
        with ledger.write() as connection:
            write(connection, run_id, slice_, stage, refused)


def write(connection: Connection, run_id: int, slice_: int, stage: str, refused: Sequence[Refused]) -> None:
    """Write rejections, one at least."""
    common = {"sync_run_id": run_id, "slice": slice_, "stage": stage, "created_at": datetime.now(UTC)}
    rows = [{**common, "contact_id": id_, "field": field, "reason": reason} for id_, field, reason in refused]
    connection.execute(plain_insert(Rejection), rows)


def drop_rejections(ledger: Ledger, run_id: int, slice_: int, stage: str) -> None:
    """Forget what an earlier attempt of this step rejected: it is about to be judged again."""
    with ledger.write() as connection:
        connection.execute(
            delete(Rejection).where(
                Rejection.sync_run_id == run_id, Rejection.slice == slice_, Rejection.stage == stage
            )
        )


def count_rejections(ledger: Ledger, run_id: int, stage: str) -> int:
    """Return how many distinct members a stage of this run rejected; refused departures are no members' records."""
    members = select(func.count(Rejection.contact_id.distinct()))
    members = members.where(Rejection.sync_run_id == run_id, Rejection.stage == stage, Rejection.slice != DEPARTURES)
    members = members.where(Rejection.field.is_distinct_from(OPT_OUT))
    with ledger.read() as connection:
        return connection.execute(members).scalar() or 0


def newly_rejected(ledger: Ledger, run_id: int, rows: list[StepRow]) -> int:
    """Return how many members a run rejected so far, remembered ones apart."""
    return sum(refused_by_stage(ledger, run_id, rows).values())


def refused_by_stage(ledger: Ledger, run_id: int, rows: list[StepRow]) -> dict[str, int]:
    """Return how many members each stage of a run rejected so far, remembered ones apart."""
    return {
        "mapping": total(rows, "map", "rejected"),
        "validation": total(rows, "validate", "rejected"),
        "push": count_rejections(ledger, run_id, "push"),
        "ometria": total(rows, "reconcile", "convicted"),
    }


def rejected_by(ledger: Ledger, run_id: int, stage: str, ids: Sequence[str]) -> set[str]:
    """Return which of these contacts a stage of a run rejected."""
    query = select(Rejection.contact_id).where(Rejection.sync_run_id == run_id, Rejection.stage == stage)
    found: set[str] = set()
    with ledger.read() as connection:
        # Mostly there are none at all: one look at the index, not one for each thousand ids.
        if connection.execute(query.limit(1)).first() is None:
            return found
        for start in range(0, len(ids), CHUNK):
            part = query.where(is_one_of(ledger, Rejection.contact_id, ids[start : start + CHUNK]))
            found.update(connection.execute(part).scalars())
    return found


def forget(ledger: Ledger, run_id: int, stage: str, ids: Iterable[str]) -> None:
    """Forget that a stage of a run rejected these contacts: it has another record of them now."""
    if chosen := list(ids):
        with ledger.write() as connection:
            connection.execute(
                delete(Rejection).where(
                    Rejection.sync_run_id == run_id,
                    Rejection.stage == stage,
                    is_one_of(ledger, Rejection.contact_id, chosen),
                )
            )


def keep_rule_result(ledger: Ledger, run: Run, slice_: int, result: Result, ids: Sequence[str]) -> None:
    """Write what one rule found in one chunk of a slice."""
    with ledger.write() as connection:
        connection.execute(
            plain_insert(RuleResult).values(
                sync_run_id=run.id,
                slice=slice_,
                rule=result.rule,
                kind=result.kind,
                severity=result.severity,
                failed=result.failed,
                contact_ids=list(ids[:MAX_IDS]),
                detail=result.detail,
            )
        )


def drop_rule_results(ledger: Ledger, run: Run, slice_: int) -> None:
    """Forget what an earlier attempt at validating a slice found."""
    with ledger.write() as connection:
        connection.execute(delete(RuleResult).where(RuleResult.sync_run_id == run.id, RuleResult.slice == slice_))


def rejected_again(ledger: Ledger, run_id: int, *, account: str, collection: str) -> int:
    """Return how many members this run rejected that an earlier one had rejected, undelivered ever since.

    They were tried again (`retry_rejected`) in vain, or changed in vain: they are outstanding, not new. What a run
    rejected whose gate stayed shut does not count: nobody has let it pass.
    """
    before = aliased(Rejection)
    passed = (
        select(SyncStep.sync_run_id)
        .join(SyncRun, SyncRun.id == SyncStep.sync_run_id)
        .where(
            SyncStep.step == "gate",
            SyncStep.state == "done",
            SyncRun.dry_run.is_(False),
            SyncRun.account == account,
            SyncRun.collection == collection,
            SyncRun.id < run_id,
        )
    )
    delivered = and_(
        ContactState.account == account,
        ContactState.collection == collection,
        ContactState.contact_id == before.contact_id,
        ContactState.snapshot_at >= before.created_at,
        # Without one it was acknowledged, and turned out rejected.
        ContactState.fingerprint.is_not(None),
    )
    members = (
        select(func.count(Rejection.contact_id.distinct()))
        .join(before, before.contact_id == Rejection.contact_id)
        .outerjoin(ContactState, delivered)
        .where(
            Rejection.sync_run_id == run_id,
            Rejection.slice != DEPARTURES,
            before.slice != DEPARTURES,
            before.sync_run_id.in_(passed),
            ContactState.contact_id.is_(None),
        )
    )
    with ledger.read() as connection:
        return connection.execute(members).scalar() or 0
