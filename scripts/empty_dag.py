"""A DAG of as many tasks as a contact sync has, all empty: what Airflow alone costs, and the launcher's own tests.

Put a copy of it alone into a folder, set AIRFLOW__CORE__DAGS_FOLDER to that, and `make run`: the time of its run is
the baseline for a run of a contact sync that finds nothing to do. The file that EMPTY_DAG_BEHAVIOUR names, if any,
tells the second task to `wait` or to `fail`.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, task

STEPS = ("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report")


def _behave() -> None:
    file = os.environ.get("EMPTY_DAG_BEHAVIOUR")
    behaviour = Path(file).read_text(encoding="utf-8") if file else "go"
    if behaviour == "fail":
        raise ValueError("told to fail")
    if behaviour == "wait":
        time.sleep(600)


with DAG("contact_sync__customers", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), max_active_runs=1):
    before = None
    for step in STEPS:

        @task(task_id=step)
        def empty(step: str = step) -> None:
            if step == "extract":
                _behave()

        this = empty()
        if before is not None:
            before >> this
        before = this
