"""Do the push of one slice in a process of its own, so that a test can kill it."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

from airflow.sdk import DAG
from ometria_provider.operators.ometria import OmetriaPushOperator


def main(dag_id: str, run_id: str, mapping: str, window: str) -> None:
    with DAG(dag_id):
        task = OmetriaPushOperator(task_id="push", mapping=mapping, window=json.loads(window))
    context: Any = {"run_id": run_id, "params": {}, "dag_run": SimpleNamespace(conf={})}
    task.execute(context)


if __name__ == "__main__":
    main(*sys.argv[1:])
