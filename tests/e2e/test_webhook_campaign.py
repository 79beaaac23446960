"""A claim becomes a custom event through real API server, triggerer, scheduler and worker.

One Airflow serves these tests, in their order; each begins where the one before ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from launcher.api import Airflow
from live import DAG, Live
from ometria_provider.sandbox.process import running
from ometria_provider.sandbox.settings import SandboxSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

#: Ten requests: at eight a second some are answered while others are on their way.
CLAIMS = 1_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Airflow]]:
    with running(SandboxSettings(port=0, members=200, validation_delay_ms=100)) as sandbox:
        live = Live(tmp_path_factory.mktemp("live"), sandbox)
        with live.up() as airflow:
            yield live, airflow


def in_airflow(live: Live, query: str) -> list[Any]:
    """Ask Airflow's own database, read-only."""
    with contextlib.closing(sqlite3.connect(f"file:{live.home / 'airflow.db'}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def is_watched(live: Live) -> bool:
    """Say whether the triggerer has taken up the watch of the inbox, which may be a while after Airflow is up."""
    return bool(in_airflow(live, "SELECT 1 FROM trigger WHERE triggerer_id IS NOT NULL"))


def is_between_runs(live: Live, airflow: Airflow) -> bool:
    """Say whether the clock's run of this minute is over, which may begin late, and the next one is not near."""
    now = datetime.now(UTC)
    runs = live.runs(airflow)
    done = {run["run_after"] for run in runs if run["run_type"] == "scheduled" and run["state"] == "success"}
    is_done = now.replace(second=0, microsecond=0) in map(datetime.fromisoformat, done)
    return is_done and now.second < 35 and not {run["state"] for run in runs} & {"queued", "running"}


def away_from_the_clock(live: Live, airflow: Airflow) -> None:
    """Wait until no run of the clock is at work or near: the first one comes when Airflow has read the DAG."""
    live.wait_for(lambda: is_watched(live))
    live.wait_for(lambda: is_between_runs(live, airflow))


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


def kill_the_task(live: Live) -> None:
    """Kill -9 the process in which the campaign DAG's task runs, whichever run it is of."""
    ((pid,),) = in_airflow(live, f"SELECT pid FROM task_instance WHERE dag_id = '{DAG}' AND state = 'running'")
    os.kill(pid, signal.SIGKILL)


def counted(live: Live, state: str) -> int:
    (row,) = live.query(f"SELECT count(*) AS n FROM event_delivery WHERE state = '{state}'")
    return int(row["n"])


def test_task_killed_between_sending_and_writing_it_down_sends_only_what_was_in_flight_again(site):
    live, airflow = site
    live.post_webhooks(airflow, copies=0)  # this time they are asked for
    (known,) = live.query("SELECT customer_id FROM event_inbox LIMIT 1")
    before = live.sandbox.control("stats")["events"]
    # Ometria takes a request at once, and answers later.
    live.sandbox.control("faults", {"kind": "slow", "api": "ometria", "path": "/v2/push", "seconds": 2})
    live.sandbox.control("claims", {"count": CLAIMS, "customers": [known["customer_id"]]})
    airflow.trigger(DAG, {})
    live.wait_for(lambda: counted(live, "acknowledged") >= before["stored"] + 100)
    kill_the_task(live)
    in_flight = counted(live, "sending")
    live.sandbox.control("faults", method="DELETE")
    assert 0 < in_flight < CLAIMS, "some were on their way, and some had arrived"

    live.wait_for(lambda: counted(live, "acknowledged") == before["stored"] + CLAIMS)
    live.sandbox.control("validate", {})
    events = live.sandbox.control("stats")["events"]
    assert events["stored"] == before["stored"] + CLAIMS, "whoever went twice went under the same id"
    assert 0 < events["received"] - before["received"] - CLAIMS <= in_flight
    assert events["most_for_one"] == 2
