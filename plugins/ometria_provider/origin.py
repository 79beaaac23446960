"""What in Airflow a run of the ledger is: its ids there are the ledger's own in a contact sync alone.

A file of contacts is pushed by one task of anybody's DAG. Two of them keep their books apart, so that each is a run of
the DAG `<dag>.<task>` in the ledger. A campaign that pushes contacts first makes runs with ids of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from ometria_provider.dagdefaults import CAMPAIGN_EVENTS, CAMPAIGNS, CONTACT_SYNC, contact_sync_id
from ometria_provider.ledger.runs import PUSHED_FIRST


class HasIds(Protocol):
    """A run as the ledger knows it."""

    @property
    def dag_id(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def mapping(self) -> str: ...


@dataclass(frozen=True)
class Origin:
    """Where a run of the ledger is found in Airflow.

    :param dag_id: the DAG: who may read or edit it may do so with the run.
    :param run_id: the DAG run; None: the ledger does not know which one it was.
    :param task: the one task whose run it is; None: each of its steps is a task.
    :param map_index: which one of a mapped task's; None: the task is not mapped.
    :param sync: the DAG of the mapping by which it made its records, which can try them again; None: there is none.
    """

    dag_id: str
    run_id: str | None
    task: str | None = None
    map_index: int | None = None
    sync: str | None = None


def file_push_id(dag_id: str, task_id: str, map_index: int | None) -> str:
    """Return the id by which the ledger knows a task that pushes a file.

    A task in a group has dots in its id, as a DAG may: here it has colons, so that the last dot parts the two.

    :param map_index: which one of a mapped task's; below 0, or None: the task is not mapped.
    """
    part = "" if map_index is None or map_index < 0 else f"[{map_index}]"
    return f"{dag_id}.{task_id.replace('.', ':')}{part}"


def origin_of(run: HasIds) -> Origin:
    """Return where a run of the ledger is found in Airflow."""
    if run.run_id.startswith(PUSHED_FIRST):
        return Origin(run.dag_id, None, task=CAMPAIGNS, sync=contact_sync_id(run.mapping))
    dag_id, task, map_index = _parts(run.dag_id)
    return Origin(dag_id, run.run_id, task, map_index, sync=run.dag_id if task is None else None)


def dag_of(dag_id: str) -> str:
    """Return Airflow's DAG of an id that the ledger knows."""
    return _parts(dag_id)[0]


def _parts(dag_id: str) -> tuple[str, str | None, int | None]:
    """Part the ledger's id into DAG, task and map index; the names of mappings and connections may hold dots too."""
    if dag_id.startswith((CONTACT_SYNC, CAMPAIGN_EVENTS)):
        return dag_id, None, None
    found = re.fullmatch(r"(.+)\.([^.]+?)(?:\[(\d+)\])?", dag_id)
    if found is None:
        return dag_id, None, None
    dag, task, index = found.groups()
    return dag, task.replace(":", "."), None if index is None else int(index)
