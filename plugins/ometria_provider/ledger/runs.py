"""Runs: opened by plan, continued when a task is cleared, closed by report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, update

from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import SyncRun, SyncStep
from ometria_provider.ledger.statements import insert

#: Strategies of a run (`sync_run.strategy`): a complete scan, those who changed, or those whom somebody chose.
FULL, INCREMENTAL, CHOSEN = "full", "incremental", "chosen"

#: States of a run at work, and of one that waits for a person.
RUNNING, AWAITING = OPEN = ("running", "awaiting_approval")

#: The reason of a run that somebody ended in place of an answer.
UNANSWERED = "Nothing was sent: the run was ended while it waited for approval."

#: How the ids of runs begin that a campaign made to push contacts first: nobody means them by a mapping's latest run.
PUSHED_FIRST = "contacts__"

#: Why a run is red that nobody closed.
KILLED = "The run was killed before it could report."


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

    @classmethod
    def of(cls, row: Any) -> Run:
        """Make it from its row of `sync_run`."""
        return cls(
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

    @property
    def is_partial(self) -> bool:
        """Say whether the run reads some members only, so that it says nothing about the others."""
        return self.strategy != FULL

    @property
    def is_chosen(self) -> bool:
        """Say whether the run is for members whom somebody chose."""
        return self.strategy == CHOSEN


def open_run(ledger: Ledger, *, dag_id: str, run_id: str, mapping: str, dry_run: bool) -> Run:
    """Open a run, or continue it when its DAG run was cleared; close what earlier runs left open.

    A run that is continued keeps the reason for which it was red until it ends anew.

    A DAG has one active run, so an older row still `running` belongs to a run that was killed; one that awaits approval
    was ended by somebody who did not answer.
    """
    now = datetime.now(UTC)
    row = {"state": RUNNING, "strategy": FULL, "dry_run": dry_run, "ended_at": None}
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
    return Run.of(row)


def keep_plan(ledger: Ledger, run: Run, **columns: Any) -> None:
    """Keep what plan decided (`planned_mapping`, `planned_suite`, `plan`, `account`, `collection`, `strategy`)."""
    with ledger.write() as connection:
        connection.execute(update(SyncRun).where(SyncRun.id == run.id).values(**columns))


def last_planned(ledger: Ledger, dag_id: str) -> Run | None:
    """Return the last run of a DAG that was planned, with what it was planned with."""
    return _last_planned(ledger, SyncRun.dag_id == dag_id)


def last_planned_by(ledger: Ledger, mapping: str) -> Run | None:
    """Return the last run that was planned by a mapping, those included that a campaign made to push contacts first."""
    return _last_planned(ledger, SyncRun.mapping == mapping)


def _last_planned(ledger: Ledger, which: ColumnElement[bool]) -> Run | None:
    query = select(SyncRun).where(which, SyncRun.planned_mapping.is_not(None))
    with ledger.read() as connection:
        row = connection.execute(query.order_by(SyncRun.id.desc()).limit(1)).one_or_none()
    return None if row is None else Run.of(row)


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
    """End a run whose report died, or was not asked for: nobody else would close it before the next run."""
    with ledger.write() as connection:
        _end_open(connection, SyncRun.dag_id == dag_id, SyncRun.run_id == run_id)


def open_runs(ledger: Ledger) -> list[Run]:
    """Return the runs that have not ended."""
    with ledger.read() as connection:
        return [Run.of(row) for row in connection.execute(select(SyncRun).where(SyncRun.ended_at.is_(None)))]


def _end_open(connection: Connection, *which: ColumnElement[bool]) -> None:
    """End runs that are at work, or wait for a person, as far as the ledger knows."""
    at_work = connection.execute(select(SyncRun.id, SyncRun.state).where(*which, SyncRun.state.in_(OPEN))).all()
    for run_id, state in at_work:
        end, reason = ("halted", UNANSWERED) if state == AWAITING else _without_report(connection, run_id)
        values = {"state": end, "reason": reason, "ended_at": _now()}
        connection.execute(update(SyncRun).where(SyncRun.id == run_id).values(values))


def _without_report(connection: Connection, run_id: int) -> tuple[str, str | None]:
    """Return state and reason of a run at work that nobody reported on.

    When tasks were cleared alone, after its report and without it, that report stands if all went well with them.
    """
    columns = (SyncStep.step, SyncStep.state, SyncStep.reason, SyncStep.facts, SyncStep.started_at)
    steps = connection.execute(select(*columns).where(SyncStep.sync_run_id == run_id)).all()
    report = next((step for step in steps if step.step == "report" and "state" in step.facts), None)
    since = [step for step in steps if report is not None and step.started_at > report.started_at]
    if report is None or any(step.step == "plan" for step in since):
        return "failed", KILLED
    if bad := [step for step in since if step.state != "done"]:
        return "failed", next((step.reason for step in bad if step.reason), KILLED)
    return report.facts["state"], report.facts["reason"]


def _now() -> datetime:
    return datetime.now(UTC)
