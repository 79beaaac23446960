"""What runs ask people for at their gate, and what those answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Approval, SyncRun
from ometria_provider.ledger.runs import AWAITING
from ometria_provider.ledger.statements import insert

#: Answers (`approval.answer`); None: nobody has answered yet.
APPROVED, REFUSED, TIMED_OUT = "approved", "refused", "timed_out"


@dataclass(frozen=True)
class ApprovalRow:
    """What a run asked for last, and the answer.

    :param until: when the run stops waiting.
    :param covers: what an approval holds for: how many members, by what they are counted for.
    :param reasons: why somebody is asked, a sentence each.
    :param answered_by: Airflow's name of the user; None: nobody answered in time.
    """

    asked_at: datetime
    until: datetime
    covers: Mapping[str, int]
    reasons: Sequence[str]
    answer: str | None
    answered_at: datetime | None
    answered_by: str | None


def find(ledger: Ledger, run_id: int) -> ApprovalRow | None:
    """Return what a run asked for, or None when it asked for nothing."""
    columns = [getattr(Approval, name) for name in ApprovalRow.__dataclass_fields__]
    with ledger.read() as connection:
        row = connection.execute(select(*columns).where(Approval.sync_run_id == run_id)).one_or_none()
    return None if row is None else ApprovalRow(*row)


def ask(ledger: Ledger, run_id: int, covers: Mapping[str, int], reasons: Sequence[str], within: timedelta) -> None:
    """Write that a run waits for a person from now on."""
    now = datetime.now(UTC)
    row = {
        "asked_at": now,
        "until": now + within,
        "covers": dict(covers),
        "reasons": list(reasons),
        "answer": None,
        "answered_at": None,
        "answered_by": None,
    }
    statement = insert(ledger, Approval).values(sync_run_id=run_id, **row)
    with ledger.write() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["sync_run_id"], set_=row))
        connection.execute(update(SyncRun).where(SyncRun.id == run_id).values(state=AWAITING))


def answer(ledger: Ledger, run_id: int, said: str, *, by: str | None) -> None:
    """Write what was answered; None in `by`: the time was up."""
    with ledger.write() as connection:
        connection.execute(
            update(Approval)
            .where(Approval.sync_run_id == run_id)
            .values(answer=said, answered_at=datetime.now(UTC), answered_by=by)
        )
