"""What a run found fault with: rejections and the results of validation rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import delete
from sqlalchemy import insert as plain_insert

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Rejection, RuleResult
from ometria_provider.ledger.runs import Run

#: Ids kept of the members that failed one rule in one slice; the count is complete.
MAX_IDS = 1_000


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


def reject(
    ledger: Ledger, run_id: int, slice_: int, stage: str, refused: Sequence[tuple[str, str | None, str]]
) -> None:
    """Write rejections.

    :param refused: contact id, remote field and reason; never a value.
    """
    if not refused:
        return
    now = datetime.now(UTC)
    common = {"sync_run_id": run_id, "slice": slice_, "stage": stage, "created_at": now}
    rows = [{**common, "contact_id": id_, "field": field, "reason": reason} for id_, field, reason in refused]
    with ledger.write() as connection:
        connection.execute(plain_insert(Rejection), rows)


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
