from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from ometria_provider.ledger import deliveries, inbox
from ometria_provider.ledger.deliveries import ACKNOWLEDGED, SKIPPED, Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from pages import pages


@pytest.fixture
def delivered(known: Ledger) -> Ledger:
    """Return a ledger with two runs of the workflow `thanks`, and an event that waits."""
    at = datetime.now(UTC) - timedelta(seconds=9)
    inbox.put(
        known,
        "antavo_default",
        [Collected(f"e{n}", "reward", "ann", at, b"{}", ("thanks",)) for n in range(4)],
        inbox.ASKED,
    )
    ids = [row.id for row in deliveries.waiting(known, "antavo_default", limit=9, workflow="thanks")]
    deliveries.write(known, "run one", settled=[Settled(ids[0], ACKNOWLEDGED)])
    deliveries.write(known, "run two", settled=[Settled(ids[1], ACKNOWLEDGED), Settled(ids[2], SKIPPED, "opted out")])
    return known


@pytest.mark.usefixtures("delivered")
def test_campaign_shows_its_runs_and_why_events_were_not_mailed():
    text = pages("VIEWER").get("/ometria/campaigns/thanks").text
    assert "2 events sent to Ometria and acknowledged; 1 skipped." in text
    assert "opted out" in text
    assert 'data-airflow href="/dags/campaign_events__antavo_default/runs/run%20two"' in text
    one = pages("VIEWER").get("/ometria/campaigns/thanks?run=run%20one").text
    assert "1 event sent to Ometria and acknowledged, none left out." in one
    assert "opted out" not in one


@pytest.mark.usefixtures("delivered")
def test_campaign_is_shown_to_who_may_read_its_dag(viewer: TestClient):
    assert pages("").get("/ometria/campaigns/thanks").status_code == 404
    assert viewer.get("/ometria/campaigns/other").status_code == 404
