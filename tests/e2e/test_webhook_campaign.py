"""A claim becomes a custom event through real API server, triggerer, scheduler and worker."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator

import pytest
from launcher.api import Airflow
from live import DAG, Live
from ometria_provider.sandbox.process import running
from ometria_provider.sandbox.settings import SandboxSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Airflow]]:
    with running(SandboxSettings(port=0, members=200, validation_delay_ms=100)) as sandbox:
        live = Live(tmp_path_factory.mktemp("live"), sandbox)
        with live.up() as airflow:
            yield live, airflow


def is_watched(live: Live) -> bool:
    """Say whether the triggerer has taken up the watch of the inbox, which may be a while after Airflow is up."""
    with contextlib.closing(sqlite3.connect(live.home / "airflow.db")) as database:
        return bool(database.execute("SELECT 1 FROM trigger WHERE triggerer_id IS NOT NULL").fetchall())


def away_from_the_clock(live: Live, airflow: Airflow) -> None:
    """Wait until no run of the clock is at work or near: the first one comes when Airflow has read the DAG."""
    live.wait_for(lambda: is_watched(live))
    live.wait_for(lambda: live.runs(airflow, state="success", run_type="scheduled"))
    live.wait_for(
        lambda: 15 < time.time() % 60 < 35 and not {run["state"] for run in live.runs(airflow)} & {"queued", "running"}
    )


def test_claim_by_webhook_starts_a_run_at_once_and_arrives_once(site):
    live, airflow = site
    assert f"{airflow.url}/ometria/webhooks/antavo" in live.output.read_text()
    live.post_webhooks(airflow, copies=3)
    away_from_the_clock(live, airflow)
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
    for _ in range(2):
        asking = airflow.trigger(DAG, {})
        live.wait_for(lambda run_id=asking: airflow.run_state(DAG, run_id) == "success")
        (task,) = airflow.tasks(DAG, asking)
        counts = airflow.xcom(task, "return_value")
        assert counts["read"] >= 1, "the claim was asked for again"
        assert counts["new"] == 0
    events = live.sandbox.control("stats")["events"]
    assert (events["stored"], events["received"], events["most_for_one"]) == (1, 1, 1)
    assert len(live.query("SELECT id FROM event_inbox")) == 1
