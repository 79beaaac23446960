"""A claim becomes a custom event through real API server, triggerer, scheduler and worker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from launcher.api import Airflow
from live import Live
from ometria_provider.sandbox.process import running
from ometria_provider.sandbox.settings import SandboxSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Airflow]]:
    with running(SandboxSettings(port=0, members=200, validation_delay_ms=100)) as sandbox:
        live = Live(tmp_path_factory.mktemp("live"), sandbox)
        with live.up() as airflow:
            yield live, airflow


def away_from_the_full_minute() -> None:
    """Wait until the clock's own run is neither at work nor near."""
    while not 15 < time.time() % 60 < 35:
        time.sleep(0.2)


def test_claim_by_webhook_starts_a_run_at_once_and_arrives_once(site):
    live, airflow = site
    assert f"{airflow.url}/ometria/webhooks/antavo" in live.output.read_text()
    live.post_webhooks(airflow, copies=3)
    away_from_the_full_minute()
    before = {run["dag_run_id"] for run in live.runs(airflow)}
    (id_,) = live.sandbox.control("claims", {"count": 1, "within": 0})["ids"]

    delivery = f"SELECT state, reason, run_id FROM event_delivery WHERE event_id = '{id_}'"
    live.wait_for(lambda: [row for row in live.query(delivery) if row["state"] == "acknowledged"])
    (row,) = live.query(delivery)
    started = [run for run in live.runs(airflow) if run["dag_run_id"] not in before]
    assert [run["run_type"] for run in started] == ["asset_triggered"]
    assert row["run_id"] == started[0]["dag_run_id"]
    assert live.query(f"SELECT source FROM event_inbox WHERE event_id = '{id_}'") == [{"source": "webhook"}]
    # All three posts were answered 200, and the runs that ask for events come across it too.
    live.wait_for(lambda: live.sandbox.control("webhooks")["answers"] == {"200": 3})
    live.wait_for(lambda: len(live.runs(airflow, state="success", run_type="scheduled")) >= 3, limit=200)
    events = live.sandbox.control("stats")["events"]
    assert (events["stored"], events["received"], events["most_for_one"]) == (1, 1, 1)
    assert len(live.query("SELECT id FROM event_inbox")) == 1
