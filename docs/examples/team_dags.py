"""Airflow DAGs of a team that has its files beside its DAGs: contact syncs, campaigns, and a DAG of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, task
from ometria_provider.campaign_factory import campaign_event_dags
from ometria_provider.factory import contact_sync_dags
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.notifications.ometria import SyncNotifier
from ometria_provider.operators.ometria import OmetriaPushOperator
from ometria_provider.upkeep_factory import upkeep_dags

INCLUDE = Path(__file__).parent / "include"
MAPPINGS, WORKFLOWS, EXPECTATIONS = INCLUDE / "mappings", INCLUDE / "workflows", INCLUDE / "expectations"

globals().update(contact_sync_dags(MAPPINGS, expectations=EXPECTATIONS))
globals().update(campaign_event_dags(WORKFLOWS, mappings=MAPPINGS, expectations=EXPECTATIONS))
globals().update(upkeep_dags(mappings=MAPPINGS, workflows=WORKFLOWS))

with DAG(
    "push_staff",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags={"ometria"},
    default_args={"owner": "shop", "retries": 3},
):

    @task
    def look() -> dict[str, int]:
        """Ask both accounts through their hooks; counts only, for what a task returns stays in Airflow's database."""
        return {"members": AntavoHook().count_active(), "lists": len(OmetriaHook().lists())}

    push = OmetriaPushOperator(
        task_id="push",
        records=(Path(__file__).parent / "staff.jsonl").as_uri(),
        collection="staff",
        list_id=4821,
        on_success_callback=[SyncNotifier()],
        on_failure_callback=[SyncNotifier()],
    )
    look() >> push
