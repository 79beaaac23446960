"""docker-compose.yaml as plain processes: PostgreSQL, broker, FAB users, a sandbox, two workers and two schedulers."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from deployment import Deployment, deployed
from env_file import write_env_file
from launcher.api import Airflow, Login
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.sandbox.members import Generator, iso
from ometria_provider.sandbox.settings import SandboxSettings
from own_include import change_constant, own_include
from sqlalchemy import text

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="Redis is not installed (apt-get install redis)"),
]

DAG = "contact_sync__customers"
#: Members of two slices, of 50,000 and the rest. The mapping takes those who joined after these: a push takes its time.
MEMBERS, OLD = 52_000, 49_000


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    env_file = tmp_path_factory.mktemp("compose") / ".env"
    write_env_file(env_file, ["celery", "sandbox", "s3"])
    with env_file.open("a", encoding="utf-8") as file:
        file.write("WORKER_CONCURRENCY=1\n")  # two slices at work are at work on two workers
    with deployed(env_file, scale={"scheduler": 2}, prepare=of_two_slices) as found:
        yield found


def of_two_slices(deployment: Deployment) -> None:
    """Let the sandbox have members of two slices, and the mapping take some of each."""
    sandbox = deployment.services["sandbox"]
    command = [*(sandbox.command or []), "--members", str(MEMBERS)]
    deployment.services = {**deployment.services, "sandbox": replace(sandbox, command=command)}
    file = own_include(deployment) / "mappings" / "customers.yaml"
    since = iso(Generator(SandboxSettings.seed, MEMBERS).joined(OLD))
    whole = file.read_text()
    some = whole.replace("\nwhere:\n", f"\nwhere:\n  created_at: {{gte: '{since}'}}\n")
    assert some != whole
    file.write_text(some)


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
    assert run["read"] == MEMBERS == run["accepted"] + run["filtered"] + run["rejected"]
    arrived = sandbox(deployment, "contacts")["collections"]["customers"]
    assert arrived["contacts"] == arrived["received"] == run["accepted"] > 1500
    # Both workers are of the same queue; each has a disk of its own, and staging went through the bucket.
    assert not list((deployment.folder / "volumes" / "staging").iterdir())

    signed_out = requests.get(f"{url}/ometria/runs", timeout=60, allow_redirects=False)
    assert signed_out.status_code in (302, 303, 307, 401)
    page = sign_in(url, password).get(f"{url}/ometria/runs/{run['id']}", timeout=60)
    assert page.ok, page.text[:500]
    assert f"Run {run['id']} of" in page.text


def test_deployment_whose_parts_restart_and_die_while_both_workers_push_loses_and_repeats_nothing(
    deployment: Deployment,
) -> None:
    url, password = deployment.url("api-server", 8080), deployment.variables["AIRFLOW_ADMIN_PASSWORD"]
    airflow = Airflow(url, Login("admin", password))
    change_constant(deployment.folder / "volumes" / "include", "again")
    before = sandbox(deployment, "contacts")["collections"]["customers"]
    run_id = airflow.trigger(DAG, {})

    def count(query: str) -> int:
        with open_ledger(deployment.ledger_url()).read() as connection:
            found = f"SELECT count(*) FROM {query} x JOIN sync_run r ON r.id = x.sync_run_id WHERE r.run_id = :run_id"
            return int(connection.execute(text(found), {"run_id": run_id}).scalar_one())

    def acknowledged() -> int:
        return count("(SELECT * FROM push_batch WHERE state = 'acknowledged')")

    def pushing() -> set[int | None]:
        """The workers that are pushing a slice now."""
        tasks = [task for task in airflow.tasks(DAG, run_id) if task["task_id"] == "push"]
        return {deployment.who_logged("worker", task["id"]) for task in tasks if task["state"] == "running"}

    # 30 requests of four seconds, 8 at once for each slice, leave time to strike in.
    opened = "(SELECT * FROM sync_step WHERE step = 'gate' AND state = 'done')"
    deployment.wait_for(lambda: count(opened), lambda: "scheduler-1 scheduler-2 worker-1 worker-2")
    sandbox(deployment, "settings", {"latency_ms": 4000})
    deployment.wait_for(
        lambda: pushing() == {1, 2} and acknowledged() >= 3, lambda: "scheduler-1 scheduler-2 worker-1 worker-2"
    )
    assert acknowledged() < 25, "the push was over too soon to be struck"
    deployment.kill("scheduler", 1)
    deployment.stopped.add(("scheduler", 1))
    for name in ("postgres", "redis"):
        deployment.stop(name)
        deployment.start(name)
    sandbox(deployment, "settings", {"latency_ms": 0})
    assert ended(deployment, airflow, run_id) == "success"

    run = books(deployment, run_id)
    assert run["read"] == MEMBERS == run["accepted"] + run["filtered"] + run["rejected"]
    after = sandbox(deployment, "contacts")["collections"]["customers"]
    assert after["received"] - before["received"] == run["accepted"] > 1500
    assert after["contacts"] == before["contacts"]
