"""docker-compose.yaml, started as plain processes: PostgreSQL, broker, two Celery workers, FAB users, the sandbox."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from deployment import Deployment, deployed
from env_file import write_env_file
from launcher.api import Airflow, Login
from ometria_provider.ledger.engine import open_ledger
from sqlalchemy import text

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="Redis is not installed (apt-get install redis)"),
]

DAG = "contact_sync__customers"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    env_file = tmp_path_factory.mktemp("compose") / ".env"
    write_env_file(env_file, ["celery", "sandbox", "s3"])
    # No run of the clock: begun at a full hour, it would do the work of a test's own run.
    with deployed(env_file, extra={"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"}) as found:
        yield found


def sandbox(deployment: Deployment, path: str, content: Any = None) -> Any:
    """Ask the sandbox's control plane: GET, or POST when there is content."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(f"{deployment.url('sandbox', 8765)}/_sandbox/{path}", data=body)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def sign_in(url: str, password: str) -> requests.Session:
    """Sign in by the form that FAB shows, as a browser does."""
    session = requests.Session()
    session.trust_env = False
    form = session.get(f"{url}/auth/login/?next={url}/ometria/", timeout=60)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.text)
    assert token, form.text[:500]
    answer = session.post(
        form.url,
        data={"csrf_token": token[1], "username": "admin", "password": password},
        headers={"Referer": form.url},
        timeout=60,
    )
    assert answer.ok
    return session


def ended(deployment: Deployment, airflow: Airflow, run_id: str) -> str:
    """Wait for a run's end and return its state."""
    state = ""

    def is_over() -> bool:
        nonlocal state
        deployment.revive()
        with contextlib.suppress(Exception):  # the API server cannot answer while its database restarts
            state = airflow.run_state(DAG, run_id)
        return state in {"success", "failed"}

    deployment.wait_for(is_over, lambda: "scheduler-1 worker-1 worker-2")
    return state


def books(deployment: Deployment, run_id: str) -> dict[str, Any]:
    """Return a run's row in the ledger."""
    with open_ledger(deployment.ledger_url()).read() as connection:
        query = text("SELECT * FROM sync_run WHERE run_id = :run_id")
        return dict(connection.execute(query, {"run_id": run_id}).mappings().one())


def test_deployment_syncs_on_celery_and_shows_it_behind_the_login(deployment: Deployment) -> None:
    url, password = deployment.url("api-server", 8080), deployment.variables["AIRFLOW_ADMIN_PASSWORD"]
    airflow = Airflow(url, Login("admin", password))
    deployment.wait_for(lambda: airflow.dag(DAG), lambda: "dag-processor-1")
    airflow.pause(DAG, paused=False)
    run_id = airflow.trigger(DAG, {})
    assert ended(deployment, airflow, run_id) == "success"

    run = books(deployment, run_id)
    assert run["read"] == 2000 == run["accepted"] + run["filtered"] + run["rejected"]
    arrived = sandbox(deployment, "contacts")["collections"]["customers"]
    assert arrived["contacts"] == arrived["received"] == run["accepted"] > 1500
    # Both workers are of the same queue; each has a disk of its own, and staging went through the bucket.
    assert not list((deployment.folder / "volumes" / "staging").iterdir())

    signed_out = requests.get(f"{url}/ometria/runs", timeout=60, allow_redirects=False)
    assert signed_out.status_code in (302, 303, 307, 401)
    page = sign_in(url, password).get(f"{url}/ometria/runs/{run['id']}", timeout=60)
    assert page.ok, page.text[:500]
    assert f"Run {run['id']} of" in page.text


def test_deployment_whose_database_and_broker_restart_in_push_loses_and_repeats_nothing(deployment: Deployment) -> None:
    url, password = deployment.url("api-server", 8080), deployment.variables["AIRFLOW_ADMIN_PASSWORD"]
    airflow = Airflow(url, Login("admin", password))
    # Everybody differs from what Ometria has, and 20 requests of two seconds, 8 at once, leave time to strike in.
    sandbox(deployment, "members", {"change": 2000, "set": {"score": 4711}, "silently": True})
    sandbox(deployment, "settings", {"latency_ms": 2000})
    before = sandbox(deployment, "contacts")["collections"]["customers"]
    run_id = airflow.trigger(DAG, {})

    def acknowledged() -> int:
        batches = (
            "SELECT count(*) FROM push_batch b JOIN sync_run r ON r.id = b.sync_run_id "
            "WHERE r.run_id = :run_id AND b.state = 'acknowledged'"
        )
        with open_ledger(deployment.ledger_url()).read() as connection:
            return int(connection.execute(text(batches), {"run_id": run_id}).scalar_one())

    deployment.wait_for(lambda: acknowledged() >= 3, lambda: "worker-1 worker-2")
    assert acknowledged() < 15, "the push was over too soon for a restart to strike it"
    for name in ("postgres", "redis"):
        deployment.stop(name)
        deployment.start(name)
    sandbox(deployment, "settings", {"latency_ms": 0})
    assert ended(deployment, airflow, run_id) == "success"

    run = books(deployment, run_id)
    assert run["read"] == 2000 == run["accepted"] + run["filtered"] + run["rejected"]
    after = sandbox(deployment, "contacts")["collections"]["customers"]
    assert after["received"] - before["received"] == run["accepted"] > 1500
    assert after["contacts"] == before["contacts"]
    # Either worker has done a part of it.
    for number in (1, 2):
        logs = deployment.folder.glob(f"worker-{number}*.log")
        assert any("succeeded in" in log.read_text() for log in logs)
