"""Wall time of a scheduled run in which nothing changed, against a DAG of as many empty tasks in the same Airflow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Row, median
from tests.benchmarks.world import CHECKOUT

AIM, REPETITIONS = 1.5, 5
SYNC, EMPTY = "contact_sync__customers", "empty_tasks"
#: As many tasks as a sync of one slice has, one after another too.
TASKS = ("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report")
_EMPTY_DAG = f'''
from airflow.sdk import DAG, task
from airflow.sdk.bases.operator import chain

with DAG("{EMPTY}", schedule=None):
    chain(*[task(task_id=name)(lambda: None)() for name in {TASKS!r}])
'''


def measure(*, quick: bool = False) -> list[Row]:
    """Return the wall time of both, the median of several runs in turn."""
    repetitions = 2 if quick else REPETITIONS
    with tempfile.TemporaryDirectory(prefix="ometria-bench-") as name:
        dags = Path(name) / "dags"
        shutil.copytree(CHECKOUT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
        (dags / "empty_tasks.py").write_text(_EMPTY_DAG, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.bench_idle", name, str(repetitions)],
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")},
                "AIRFLOW_HOME": f"{name}/airflow",
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'scripts'}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-3000:])
    runs = json.loads(done.stdout.strip().splitlines()[-1])
    sync, empty = (median(run["seconds"] for run in runs[dag_id]) for dag_id in (SYNC, EMPTY))
    tasks = {
        name: (median(r["tasks"][name] for r in runs[SYNC]), median(r["tasks"][name] for r in runs[EMPTY]))
        for name in TASKS
    }
    return [
        Row(
            "Nothing changed, 2,000 members: wall time of a scheduled run",
            f"{sync:.1f} s = {sync / empty:.2f} ×",
            f"{empty:.1f} s: {len(TASKS)} empty tasks",
            f"{AIM} ×",
            sync <= AIM * empty,
        ),
        Row("… its tasks, s", ", ".join(f"{name} {ours:.1f}" for name, (ours, _) in tasks.items())),
        Row("… the empty tasks, s", ", ".join(f"{name} {theirs:.1f}" for name, (_, theirs) in tasks.items())),
    ]


def _work(folder: Path, repetitions: int) -> dict[str, list[dict[str, Any]]]:
    """Start Airflow and make the runs."""
    from launcher.home import Home
    from launcher.request import DEFAULT_PAIR
    from launcher.services import Services
    from launcher.session import start

    home = Home.prepare(folder / "airflow")
    services = Services(home, CHECKOUT)
    runs: dict[str, list[dict[str, Any]]] = {SYNC: [], EMPTY: []}
    try:
        session = start("run", [DEFAULT_PAIR], home, CHECKOUT, services, asked=os.environ)
        airflow = services.wait_for_airflow(session.url)
        airflow.warm_up()
        for dag_id in runs:
            services.wait(dag_id, lambda dag_id=dag_id: airflow.dag(dag_id) is not None)  # type: ignore[misc]  # a bound default
            airflow.pause(dag_id, paused=False)
            _run(airflow, dag_id, services)  # the first: it sends everything, and Airflow warms up
        for _ in range(repetitions):
            for dag_id, seen in runs.items():
                seen.append(_run(airflow, dag_id, services))
    finally:
        services.end()
    return runs


def _run(airflow: Any, dag_id: str, services: Any) -> dict[str, Any]:
    """Make one run and return its seconds, and those of its tasks."""
    run_id = airflow.trigger(dag_id, {})
    while (state := airflow.run_state(dag_id, run_id)) not in ("success", "failed"):
        services.check()
        time.sleep(0.2)
    assert state == "success", f"{dag_id} {run_id}: {state}"
    run = airflow._find(f"/dags/{dag_id}/dagRuns/{run_id}")
    tasks = airflow.tasks(dag_id, run_id)
    return {
        "seconds": _seconds(run),
        "tasks": {task["task_id"].rpartition(".")[2]: round(_seconds(task), 2) for task in tasks},
    }


def _seconds(ran: Mapping[str, str]) -> float:
    return (datetime.fromisoformat(ran["end_date"]) - datetime.fromisoformat(ran["start_date"])).total_seconds()


if __name__ == "__main__":
    print(json.dumps(_work(Path(sys.argv[1]), int(sys.argv[2]))))
