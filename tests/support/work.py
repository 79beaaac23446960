"""One run at work in this process: its steps, done one after the other or watched as Airflow does them, and its end."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import airflow.sdk.definitions.dag as sdk_dag
from airflow.sdk import DAG
from ometria_provider.dagdefaults import CONTACT_SYNC
from ometria_provider.operators.antavo import ExtractOperator, PlanOperator
from ometria_provider.operators.base import SyncOperator
from ometria_provider.operators.mapping import MapOperator
from ometria_provider.operators.ometria import OmetriaPushOperator
from ometria_provider.operators.reconcile import ReconcileOperator
from ometria_provider.operators.run import GateOperator, ReportOperator
from ometria_provider.operators.validate import ValidateOperator

OPERATORS: dict[str, type[SyncOperator]] = {
    operator.step: operator
    for operator in (
        PlanOperator,
        ExtractOperator,
        MapOperator,
        ValidateOperator,
        GateOperator,
        OmetriaPushOperator,
        ReconcileOperator,
        ReportOperator,
    )
}

SLICED = ("extract", "map", "validate", "push")


@dataclass
class Work:
    """A run at work.

    :param state: Airflow's colour of the run.
    :param tasks: states of its tasks: ``plan``, ``push[0]``, …
    :param errors: what failed tasks raised.
    :param attempts: how often each was tried, when Airflow did the trying.
    :param windows: the slices, as plan listed them.
    """

    dag_id: str
    run_id: str
    conf: dict[str, Any]
    state: str = ""
    tasks: dict[str, str] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    windows: list[dict[str, Any]] = field(default_factory=lambda: [{"index": 0, "gte": None, "lt": None}])

    def steps(self, names: list[str]) -> None:
        """Do steps in their order; after a failure only those that come whatever happened before."""
        for name in names:
            if self.errors and name not in {"reconcile", "report"}:
                continue
            for window in self.windows if name in SLICED else [None]:
                self._do(name, window)
        self.state = "failed" if self.errors else "success"

    def _do(self, step: str, window: dict[str, Any] | None) -> None:
        name = step_name(step, window["index"] if window else -1)
        with DAG(self.dag_id):
            task = OPERATORS[step](task_id=step, mapping=self.dag_id.removeprefix(CONTACT_SYNC), window=window)
        dag_run = SimpleNamespace(conf=self.conf)
        context: Any = {"run_id": self.run_id, "params": dict(self.conf), "dag_run": dag_run}
        self.tasks[name] = "running"
        try:
            result = task.execute(context)
        except BaseException as error:  # noqa: BLE001 (what a task raises is what a test looks at)
            self.tasks[name], self.errors[name] = "failed", error
            return
        self.tasks[name] = "success"
        if step == "plan":
            self.windows = result


@dataclass
class Outcome:
    """What a run left behind.

    :param row: the ledger's ``sync_run`` row; empty when there is none.
    :param steps: the ledger's rows of its steps, by name and slice (``plan``, ``push[0]``).
    """

    work: Work
    row: dict[str, Any]
    steps: dict[str, dict[str, Any]]
    rejections: list[dict[str, Any]]
    batches: list[dict[str, Any]]

    @property
    def state(self) -> str:
        return self.work.state

    @property
    def tasks(self) -> dict[str, str]:
        return self.work.tasks

    @property
    def errors(self) -> dict[str, BaseException]:
        return self.work.errors

    @property
    def green(self) -> bool:
        return self.state == "success"

    @property
    def books(self) -> dict[str, int]:
        """Accounts that are not empty."""
        names = ("read", "unchanged", "filtered", "rejected", "sent", "accepted", "pending")
        return {name: self.row[name] for name in names if self.row[name]}

    @property
    def text(self) -> str:
        """All that people are told of what went wrong."""
        said = [str(error) for error in self.errors.values()]
        return "\n".join([*said, self.row.get("reason") or ""])

    def facts(self, step: str) -> dict[str, Any]:
        """Return what a step counted, its slices added up."""
        total: dict[str, Any] = {}
        for name, row in self.steps.items():
            if name.partition("[")[0] == step:
                for fact, value in json.loads(row["facts"]).items():
                    total[fact] = total[fact] + value if isinstance(total.get(fact), int) else value
        return total

    def assert_balanced(self) -> None:
        row = self.row
        parts = ("unchanged", "filtered", "rejected", "accepted", "pending")
        assert row["read"] == sum(row[name] for name in parts), {name: row[name] for name in ("read", *parts)}
        if self.green:
            assert row["state"] == "succeeded"
            assert row["pending"] == 0
        else:
            assert row["state"] in {"failed", "halted"}
            assert row["reason"]


@contextlib.contextmanager
def watched(run: Work) -> Iterator[None]:
    """Note what each task came to while ``dag.test()`` works."""
    run_task = sdk_dag._run_task

    def noted(*, ti: Any, task: Any, run_triggerer: bool = False) -> Any:
        result = run_task(ti=ti, task=task, run_triggerer=run_triggerer)
        name = step_name(ti.task_id.rpartition(".")[2], ti.map_index)
        run.tasks[name] = ti.state.value
        run.attempts[name] += 1
        if result is not None and result.error is not None:
            run.errors[name] = result.error
        return result

    sdk_dag._run_task = noted
    try:
        yield
    finally:
        sdk_dag._run_task = run_task


def step_name(step: str, slice_: int) -> str:
    """Return what a step is called here: ``plan``, ``push[0]``."""
    return step if slice_ < 0 else f"{step}[{slice_}]"
