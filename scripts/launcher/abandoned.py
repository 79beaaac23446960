"""Run inside Airflow: fail the unfinished runs of the DAGs that are named on the command line."""

from __future__ import annotations

import sys

from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State, TaskInstanceState
from sqlalchemy import select

_OPEN = (DagRunState.QUEUED, DagRunState.RUNNING)
_BEGUN = (TaskInstanceState.RUNNING, TaskInstanceState.DEFERRED, TaskInstanceState.UP_FOR_RESCHEDULE)


def abandon(dag_ids: list[str]) -> None:
    """Fail the runs as Airflow's own "mark as failed" does: tasks that had begun fail, those to come are skipped."""
    with create_session() as session:
        for run in session.scalars(select(DagRun).where(DagRun.dag_id.in_(dag_ids), DagRun.state.in_(_OPEN))).all():
            for task in run.get_task_instances(session=session):
                if task.state in State.unfinished:
                    ended = TaskInstanceState.FAILED if task.state in _BEGUN else TaskInstanceState.SKIPPED
                    task.set_state(ended, session=session)
            run.set_state(DagRunState.FAILED)


if __name__ == "__main__":
    abandon(sys.argv[1:])
