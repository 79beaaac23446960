"""The steps of a run in the ledger: when each began and ended, how, and what it counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, select, update

from ometria_provider.exceptions import AwaitingApproval, Halted, SyncError
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Rejection, RuleResult, SyncRun, SyncStep
from ometria_provider.ledger.runs import RUNNING, Run
from ometria_provider.ledger.statements import insert

#: The steps of a contact sync, in their order.
STEPS = ("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report")

#: The state of a step that waits for a person.
WAITING = "waiting"

#: The slice number of a step that concerns the whole run.
WHOLE_RUN = -1

#: The slice number of the records that take those who left off the list: they are in no account of the books.
DEPARTURES = -2


@dataclass
class Step:
    """One step while it works: what it puts into `facts` is kept when it ends, well or not."""

    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepRow:
    """One step as the ledger keeps it."""

    step: str
    slice: int
    state: str
    reason: str | None
    facts: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime | None


@contextmanager
def working(ledger: Ledger, run: Run, step: str, slice_: int = WHOLE_RUN) -> Iterator[Step]:
    """Keep a step's times, facts and end in the ledger while the block works.

    A step that is done again starts afresh: its facts give way. One that begins in a run that waited, or had ended, as
    a cleared task's does, makes it a run at work again, until its report or `runs.close_unreported` ends it.
    """
    work = Step()
    key = {"sync_run_id": run.id, "step": step, "slice": slice_}
    start: dict[str, Any] = {
        "state": "running",
        "reason": None,
        "facts": {},
        "started_at": datetime.now(UTC),
        "ended_at": None,
    }
    with ledger.write() as connection:
        statement = insert(ledger, SyncStep).values(**key, **start)
        connection.execute(statement.on_conflict_do_update(index_elements=["sync_run_id", "step", "slice"], set_=start))
        at_work = {"state": RUNNING, "ended_at": None}
        connection.execute(update(SyncRun).where(SyncRun.id == run.id, SyncRun.state != RUNNING).values(at_work))
    try:
        yield work
    except BaseException as error:
        state = next((state for kind, state in _ENDS.items() if isinstance(error, kind)), "failed")
        # Our own words are free of members' data; a stranger's may not be.
        known = isinstance(error, SyncError) and str(error)
        reason = known or f"{type(error).__name__} in {step}: see the task's log."
        _end_step(ledger, key, {"state": state, "reason": reason, "facts": work.facts})
        raise
    _end_step(ledger, key, {"state": "done", "reason": None, "facts": work.facts})


#: The state of a step that ended so; any other error failed it.
_ENDS: dict[type[SyncError], str] = {AwaitingApproval: WAITING, Halted: "halted"}


def _end_step(ledger: Ledger, key: dict[str, Any], values: dict[str, Any]) -> None:
    with ledger.write() as connection:
        connection.execute(
            update(SyncStep)
            .where(*(getattr(SyncStep, name) == value for name, value in key.items()))
            .values(**values, ended_at=datetime.now(UTC))
        )


def steps(ledger: Ledger, run_id: int) -> list[StepRow]:
    """Return a run's steps in the order in which they began."""
    columns = [getattr(SyncStep, name) for name in StepRow.__dataclass_fields__]
    with ledger.read() as connection:
        rows = connection.execute(
            select(*columns).where(SyncStep.sync_run_id == run_id).order_by(SyncStep.started_at, SyncStep.slice)
        )
        return [StepRow(*row) for row in rows]


def last(ledger: Ledger, run: Run, step: str) -> StepRow | None:
    """Return a step of the whole run as it ended last, or None when it never began."""
    return next((row for row in steps(ledger, run.id) if row.step == step), None)


def in_force(rows: list[StepRow]) -> list[StepRow]:
    """Return the steps that still count: none before them was begun anew without coming to an end.

    A cleared run keeps its rows. When it fails half-way, what came after that point in the attempt before is void.
    What came after in the same attempt counts: reconcile settles what a push that failed got through.
    """
    open_ends = [row for row in rows if row.state != "done"]

    def is_void(row: StepRow) -> bool:
        return any(
            STEPS.index(before.step) < STEPS.index(row.step)
            and before.started_at > row.started_at
            and (before.slice == row.slice or WHOLE_RUN in (before.slice, row.slice))
            for before in open_ends
        )

    return [row for row in rows if not is_void(row)]


def drop_slices_from(ledger: Ledger, run: Run, count: int) -> None:
    """Forget the slices that a plan done again no longer has: nobody will work on them."""
    with ledger.write() as connection:
        for each in (SyncStep, Rejection, RuleResult):
            connection.execute(delete(each).where(each.sync_run_id == run.id, each.slice >= count))


def total(rows: list[StepRow], step: str, fact: str) -> int:
    """Return the sum of one fact over a step's slices."""
    return sum(row.facts.get(fact, 0) for row in rows if row.step == step)
