"""The button on Airflow's task pages that leads to the page of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from airflow.sdk import BaseOperatorLink

from ometria_provider.addresses import in_airflow, run_of

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from ometria_provider.operators.base import PatientOperator


class SyncLink(BaseOperatorLink):
    """Airflow asks for the address when a task ends, and keeps it as an XCom: no member's data is in it."""

    name = "Ometria sync"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the run's page, without asking the ledger: the page finds its number."""
        return in_airflow(run_of(cast("PatientOperator", operator).ledger_dag_id(ti_key), ti_key.run_id))
