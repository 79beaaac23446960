"""Runs and their steps: opened by plan, continued when a task is cleared, closed by report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, or_, select, update

from ometria_provider.exceptions import AwaitingApproval, Halted, Misconfigured, SyncError
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch, Rejection, RuleResult, SyncRun, SyncStep
from ometria_provider.ledger.statements import insert

#: The steps of a contact sync, in their order.
STEPS = ("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report")

#: Strategies of a run (`sync_run.strategy`): a complete scan, those who changed, or those whom somebody chose.
FULL, INCREMENTAL, CHOSEN = "full", "incremental", "chosen"

#: States of a run at work, and of one that waits for a person.
RUNNING, AWAITING = "running", "awaiting_approval"

#: The reason of a run that somebody ended in place of an answer.
UNANSWERED = "Nothing was sent: the run was ended while it waited for approval."

#: The state of a step that waits for a person.
WAITING = "waiting"

#: How the ids of runs begin that a campaign made to push contacts first: nobody means them by a mapping's latest run.
PUSHED_FIRST = "contacts__"

#: Why a run is red that nobody closed.
KILLED = "The run was killed before it could report."

#: The slice number of a step that concerns the whole run.
WHOLE_RUN = -1

#: The slice number of the records that take those who left off the list: they are in no account of the books.
DEPARTURES = -2

#: Field of a member's second rejection: the opt-out of the rejected record did not go alone. It counts nobody anew.
OPT_OUT = "marketing_optin"


@dataclass(frozen=True)
class Run:
    """A run as its tasks need it.

    :param id: the ledger's number of the run.
    :param mapping_json: the mapping as planned.
    :param suite_json: the validation rules as planned.
    :param strategy: what it reads.
    :param retry_of: the run whose undelivered members it tries again.
    """

    id: int
    dag_id: str
    run_id: str
    mapping: str
    dry_run: bool
    mapping_json: str | None
    suite_json: str | None
    started_at: datetime
    strategy: str = FULL
    retry_of: int | None = None

    @property
    def is_partial(self) -> bool:
        """Say whether the run reads some members only, so that it says nothing about the others."""
        return self.strategy != FULL

    @property
    def is_chosen(self) -> bool:
        """Say whether the run is for members whom somebody chose."""
        return self.strategy == CHOSEN


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


def open_run(ledger: Ledger, *, dag_id: str, run_id: str, mapping: str, dry_run: bool) -> Run:
    """Open a run, or continue it when its DAG run was cleared; close what earlier runs left open.

    A DAG has one active run, so an older row still `running` belongs to a run that was killed; one that awaits approval
    was ended by somebody who did not answer.
    """
    now = datetime.now(UTC)
    row = {"state": "running", "strategy": FULL, "dry_run": dry_run, "reason": None, "ended_at": None}
    statement = insert(ledger, SyncRun).values(
        dag_id=dag_id,
        run_id=run_id,
        mapping=mapping,
        started_at=now,
        **dict.fromkeys(COUNTS, 0),
        **row,
    )
    with ledger.write() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["dag_id", "run_id"], set_=row))
        _end_open(connection, SyncRun.dag_id == dag_id, SyncRun.run_id != run_id)
    return get_run(ledger, dag_id=dag_id, run_id=run_id)


COUNTS = ("read", "unchanged", "filtered", "rejected", "sent", "accepted", "pending", "departed")


def get_run(ledger: Ledger, *, dag_id: str, run_id: str) -> Run:
    """Return a run by its Airflow ids.

    :raises Misconfigured: when the ledger does not know it (its plan never ran, or the ledger is another one).
    """
    with ledger.read() as connection:
        row = connection.execute(
            select(SyncRun).where(SyncRun.dag_id == dag_id, SyncRun.run_id == run_id)
        ).one_or_none()
    if row is None:
        raise Misconfigured(
            f"The ledger knows no run {run_id} of {dag_id}: its plan never ran with this ledger. Start a new run."
        )
    return _run(row)


def _run(row: Any) -> Run:
    return Run(
        id=row.id,
        dag_id=row.dag_id,
        run_id=row.run_id,
        mapping=row.mapping,
        dry_run=row.dry_run,
        mapping_json=row.planned_mapping,
        suite_json=row.planned_suite,
        started_at=row.started_at,
        strategy=row.strategy,
        retry_of=row.retry_of,
    )


def keep_plan(ledger: Ledger, run: Run, **columns: Any) -> None:
    """Keep what plan decided (`planned_mapping`, `planned_suite`, `plan`, `account`, `collection`, `strategy`)."""
    with ledger.write() as connection:
        connection.execute(update(SyncRun).where(SyncRun.id == run.id).values(**columns))


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


@contextmanager
def working(ledger: Ledger, run: Run, step: str, slice_: int = WHOLE_RUN) -> Iterator[Step]:
    """Keep a step's times, facts and end in the ledger while the block works.

    A step that is done again starts afresh: its facts give way.
    """
    work = Step()
    key = {"sync_run_id": run.id, "step": step, "slice": slice_}
    start: dict[str, Any] = {"state": "running", "reason": None, "facts": {}, "started_at": _now(), "ended_at": None}
    with ledger.write() as connection:
        statement = insert(ledger, SyncStep).values(**key, **start)
        connection.execute(statement.on_conflict_do_update(index_elements=["sync_run_id", "step", "slice"], set_=start))
        connection.execute(update(SyncRun).where(SyncRun.id == run.id, SyncRun.state == AWAITING).values(state=RUNNING))
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
            .values(**values, ended_at=_now())
        )


def steps(ledger: Ledger, run_id: int) -> list[StepRow]:
    """Return a run's steps in the order in which they began."""
    columns = [getattr(SyncStep, name) for name in StepRow.__dataclass_fields__]
    with ledger.read() as connection:
        rows = connection.execute(
            select(*columns).where(SyncStep.sync_run_id == run_id).order_by(SyncStep.started_at, SyncStep.slice)
        )
        return [StepRow(*row) for row in rows]


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


def drop_rejections(ledger: Ledger, run_id: int, slice_: int, stage: str) -> None:
    """Forget what an earlier attempt of this step rejected: it is about to be judged again."""
    with ledger.write() as connection:
        connection.execute(
            delete(Rejection).where(
                Rejection.sync_run_id == run_id, Rejection.slice == slice_, Rejection.stage == stage
            )
        )


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


def _last_scan(what: Any, run: Run | None, account: str, collection: str) -> Select[Any]:
    """Select something of the last complete scan, before a run if there is one."""
    before = [] if run is None else [SyncRun.id < run.id]
    return (
        select(what)
        .where(SyncRun.account == account, SyncRun.collection == collection, *before, *is_complete_scan())
        .order_by(SyncRun.id.desc())
        .limit(1)
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
    return None if row is None else _run(row)


def last_scan(ledger: Ledger, run: Run | None, *, account: str, collection: str) -> int | None:
    """Return how many members the last complete scan (before this run, if any) read; None when there was none."""
    with ledger.read() as connection:
        return connection.execute(_last_scan(SyncRun.read, run, account, collection)).scalar()


def last_planned(ledger: Ledger, dag_id: str) -> Run | None:
    """Return the last run of a DAG that was planned, with what it was planned with."""
    query = select(SyncRun).where(SyncRun.dag_id == dag_id, SyncRun.planned_mapping.is_not(None))
    with ledger.read() as connection:
        row = connection.execute(query.order_by(SyncRun.id.desc()).limit(1)).one_or_none()
    return None if row is None else _run(row)


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
    return None if row is None else _run(row)


def open_or_started_since(ledger: Ledger, mapping: str, since: datetime) -> list[int]:
    """Return the numbers of a mapping's runs that started at or after a time, or have not ended."""
    with ledger.read() as connection:
        wanted = or_(SyncRun.started_at >= since, SyncRun.ended_at.is_(None))
        ids = select(SyncRun.id).where(SyncRun.mapping == mapping, wanted)
        return list(connection.execute(ids).scalars())


def close_run(ledger: Ledger, run_id: int, *, state: str, reason: str | None, counts: Mapping[str, int]) -> None:
    """Write a run's books and end it."""
    with ledger.write() as connection:
        connection.execute(
            update(SyncRun).where(SyncRun.id == run_id).values(state=state, reason=reason, ended_at=_now(), **counts)
        )


def close_unreported(ledger: Ledger, *, dag_id: str, run_id: str) -> None:
    """End a run whose report died, or was never begun: nobody else would close it before the next run."""
    with ledger.write() as connection:
        _end_open(connection, SyncRun.dag_id == dag_id, SyncRun.run_id == run_id)


def open_runs(ledger: Ledger) -> list[tuple[str, str]]:
    """Return the runs that have not ended, as Airflow knows them: DAG and run id."""
    with ledger.read() as connection:
        wanted = and_(SyncRun.ended_at.is_(None), SyncRun.run_id.not_like(f"{PUSHED_FIRST}%"))
        return [
            (dag_id, run_id)
            for dag_id, run_id in connection.execute(select(SyncRun.dag_id, SyncRun.run_id).where(wanted))
        ]


def _end_open(connection: Connection, *which: ColumnElement[bool]) -> None:
    """End runs that are at work, or wait for a person, as far as the ledger knows."""
    for state, end, reason in ((RUNNING, "failed", KILLED), (AWAITING, "halted", UNANSWERED)):
        own = update(SyncRun).where(*which, SyncRun.state == state)
        connection.execute(own.values(state=end, ended_at=_now(), reason=reason))


def _now() -> datetime:
    return datetime.now(UTC)
