from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from ledgers import green_run
from ometria_provider.addresses import run_of
from ometria_provider.ledger import deliveries, inbox, runs
from ometria_provider.ledger.deliveries import ACKNOWLEDGED, Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from pages import pages

RUN = "manual__2026-03-01T12:00:00+00:00"


def test_run_of_airflow_leads_to_its_page(known: Ledger, viewer: TestClient):
    green_run(run_id=RUN).write(known)
    answer = viewer.get("/ometria" + run_of("contact_sync__customers", RUN))
    assert (answer.status_code, answer.headers["location"]) == (303, "/ometria/runs/1")
    assert pages("").get("/ometria" + run_of("contact_sync__customers", RUN)).status_code == 403
    assert viewer.get("/ometria" + run_of("contact_sync__customers", "another")).status_code == 404


@pytest.mark.parametrize("dag_id", ["own.push", "own"], ids=["of the task", "of its DAG"])
def test_task_that_pushes_a_file_leads_to_its_run(known: Ledger, viewer: TestClient, dag_id: str):
    push = runs.open_run(known, dag_id="own.push", run_id=RUN, mapping="shop", dry_run=False)
    answer = viewer.get("/ometria" + run_of(dag_id, RUN))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ometria/runs/{push.id}")


def test_run_of_a_mapping_whose_name_begins_so_is_not_taken_for_it(known: Ledger, viewer: TestClient):
    green_run(run_id=RUN, mapping="customers.uk").write(known)
    assert viewer.get("/ometria" + run_of("contact_sync__customers", RUN)).status_code == 404


def test_run_of_campaigns_leads_to_a_workflow(known: Ledger, viewer: TestClient):
    event = Collected("e1", "reward", "ann", datetime.now(UTC), b"{}", ("thanks",))
    inbox.put(known, "antavo_default", [event], inbox.ASKED)
    (row,) = deliveries.waiting(known, "antavo_default", limit=9, workflow="thanks")
    deliveries.write(known, RUN, settled=[Settled(row.id, ACKNOWLEDGED)])
    answer = viewer.get("/ometria" + run_of("campaign_events__antavo_default", RUN))
    assert answer.headers["location"].startswith("/ometria/campaigns/thanks?run=manual__2026")
    assert viewer.get(answer.headers["location"]).status_code == 200


def test_run_of_campaigns_leads_to_a_workflow_of_its_own_dag_among_runs_of_the_same_name(
    known: Ledger, viewer: TestClient
):
    for account, workflow in (("antavo_a", "another"), ("antavo_b", "thanks")):
        inbox.put(
            known, account, [Collected("e1", "reward", "ann", datetime.now(UTC), b"{}", (workflow,))], inbox.ASKED
        )
        (row,) = deliveries.waiting(known, account, limit=9, workflow=workflow)
        deliveries.write(known, RUN, settled=[Settled(row.id, ACKNOWLEDGED)])
    answer = viewer.get("/ometria" + run_of("campaign_events__antavo_b", RUN))
    assert answer.headers["location"].startswith("/ometria/campaigns/thanks?")
    assert viewer.get("/ometria" + run_of("campaign_events__antavo_c", RUN)).status_code == 404
