"""Run inside Airflow: fail the runs that the command line names, as JSON: pairs of a DAG's id and a run's."""

from __future__ import annotations

import json
import sys

from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State, TaskInstanceState
from sqlalchemy import select, tuple_

_OPEN = (DagRunState.QUEUED, DagRunState.RUNNING)
_BEGUN = (TaskInstanceState.RUNNING, TaskInstanceState.DEFERRED, TaskInstanceState.UP_FOR_RESCHEDULE)


def abandon(runs: list[tuple[str, str]]) -> None:
    """Fail the runs as Airflow's own "mark as failed" does: tasks that had begun fail, those to come are skipped."""
    with create_session() as session:
        named = tuple_(DagRun.dag_id, DagRun.run_id).in_(runs)
        for run in session.scalars(select(DagRun).where(named, DagRun.state.in_(_OPEN))).all():
            for task in run.get_task_instances(session=session):
                if task.state in State.unfinished:
                    ended = TaskInstanceState.FAILED if task.state in _BEGUN else TaskInstanceState.SKIPPED
                    task.set_state(ended, session=session)
            run.set_state(DagRunState.FAILED)


if __name__ == "__main__":
    abandon([(dag_id, run_id) for dag_id, run_id in json.loads(sys.argv[1])])
