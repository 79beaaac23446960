"""DAG files that name their folders themselves, as somebody's own Airflow has them: no option says where they are."""

from __future__ import annotations

import os
import shutil
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from campaign import ACCOUNT, Campaign
from ometria_provider.campaign_factory import campaign_event_dags
from ometria_provider.factory import contact_sync_dags
from ometria_provider.upkeep_factory import upkeep_dags
from sync import Sync
from work import OPERATORS, Work


@pytest.fixture
def own(sync: Sync) -> Sync:
    """Let the options name folders in which there is nothing."""
    for option in ("mappings_folder", "workflows_folder", "expectations_folder"):
        (empty := sync.folder / "elsewhere" / option).mkdir(parents=True)
        sync.set(option, empty)
    return sync


def execute(dag: DAG, task_id: str, params: dict[str, Any] | None = None, run_id: str = "") -> Any:
    """Do a task as a worker does, with the operator of the DAG that the worker read."""
    dag_run = SimpleNamespace(conf={}, run_after=datetime.now(UTC))
    context: Any = {
        "run_id": run_id or f"manual__{uuid.uuid4()}",
        "dag_run": dag_run,
        "params": params or {},
        "ti": None,
    }
    return dag.get_task(task_id).execute(context)


def test_sync_works_by_the_files_in_the_folder_that_its_dag_file_names(own: Sync) -> None:
    own.mapping()
    own.suite({"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "firstname"}})
    dag = contact_sync_dags(own.mappings, expectations=own.suites)["contact_sync__members"]
    run = Work(dag.dag_id, "manual__1", {}, windows=execute(dag, "plan", run_id="manual__1"))
    run.steps([step for step in OPERATORS if step != "plan"])  # by what plan kept
    assert run.state == "success", run.errors
    (row,) = own.query("SELECT * FROM sync_run")
    assert row["state"] == "succeeded"
    assert own.received()["stored"] == row["accepted"] > 0
    assert own.query("SELECT count(*) AS n FROM rule_result")[0]["n"], "the suite was not applied"


def test_people_hear_of_a_sync_whose_folder_no_option_names(own: Sync) -> None:
    own.ledger.ready()
    os.utime(own.file("members", "list: none"), (0, 0))  # it stands still: nobody is saving it just now
    report = contact_sync_dags(own.mappings)["contact_sync__members"].get_task("report")
    (notifier,) = report.on_failure_callback
    notifier.notify({"ti": SimpleNamespace(dag_id="contact_sync__members"), "run_id": "none"})
    assert [row["dag_id"] for row in own.query("SELECT * FROM incident")] == ["contact_sync__members"]


@pytest.fixture
def campaign(own: Sync) -> Campaign:
    own.mapping()
    made = Campaign(own)
    made.workflow()
    own.set("workflows_folder", own.folder / "elsewhere" / "workflows_folder")
    return made


def test_campaigns_work_by_the_folders_that_their_dag_file_names(campaign: Campaign) -> None:
    own = campaign.sync
    folders: dict[str, Any] = {"mappings": own.mappings, "expectations": own.suites}
    (dag,) = campaign_event_dags(campaign.folder, **folders).values()
    assert dag.dag_id == f"campaign_events__{ACCOUNT}"
    own.sandbox.control("claims", {"count": 3, "customers": own.members_to_send()[:3]})
    counts = execute(dag, "campaigns")
    assert (counts["new"], counts["acknowledged"]) == (3, 3)


def test_upkeep_gives_up_no_event_whose_workflow_is_in_the_folder_that_its_dag_file_names(campaign: Campaign) -> None:
    own = campaign.sync
    (dag,) = campaign_event_dags(campaign.folder, mappings=own.mappings, expectations=own.suites).values()
    own.sandbox.control("claims", {"count": 1, "customers": own.members_to_send()[:1]})
    shutil.move(own.mappings, own.folder / "away")  # its event waits
    with pytest.raises(Exception, match="members"):
        execute(dag, "campaigns")
    own.execute("UPDATE event_delivery SET updated_at = '2026-01-01 00:00:00'")  # nobody had the file for long
    upkeep = upkeep_dags(mappings=own.mappings, workflows=campaign.folder)
    execute(upkeep["maintain_ledger"], "prune", {"keep_days": 90})
    assert [row["state"] for row in own.query("SELECT state FROM event_delivery")] == ["waiting"]
