"""Work of a contact sync's tasks outside Airflow's task runner: the same operators, the same `execute`."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

SLICE_STEPS = ("extract", "map", "validate")


def operator(step: str, window: dict[str, Any] | None, mapping: str = "customers") -> Any:
    """Return the operator of one step."""
    from airflow.sdk import DAG
    from ometria_provider.dagdefaults import contact_sync_id
    from ometria_provider.operators.antavo import ExtractOperator, PlanOperator
    from ometria_provider.operators.mapping import MapOperator
    from ometria_provider.operators.ometria import OmetriaPushOperator
    from ometria_provider.operators.reconcile import ReconcileOperator
    from ometria_provider.operators.run import GateOperator, ReportOperator
    from ometria_provider.operators.validate import ValidateOperator

    kinds = (
        PlanOperator,
        ExtractOperator,
        MapOperator,
        ValidateOperator,
        GateOperator,
        OmetriaPushOperator,
        ReconcileOperator,
        ReportOperator,
    )
    kind = next(kind for kind in kinds if kind.step == step)
    with DAG(contact_sync_id(mapping), start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None):
        return kind(task_id=step, mapping=mapping, window=window)


def execute(task: Any, run_id: str) -> Any:
    """Let a task work as the task runner does."""
    from airflow.sdk.bases.operator import ExecutorSafeguard

    context = {"run_id": run_id, "params": {}, "dag_run": SimpleNamespace(conf={})}
    key = f"{type(task).__name__}__sentinel"
    return task.execute(context, **{key: ExecutorSafeguard.sentinel_value})
