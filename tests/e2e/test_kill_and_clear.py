"""A contact sync with a real scheduler and workers: killed in the middle of its push, cleared, and run again.

One Airflow serves these tests, in their order; each begins where the one before ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from launcher import processes
from launcher.api import Airflow, Login
from launcher.environment import free_port
from launcher.home import Home
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from sqlalchemy import text

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CHECKOUT = Path(__file__).parents[2]
DAG = "contact_sync__customers"
LIMIT = 90.0  # seconds
CONCURRENCY = 3


class Site:
    """A home with the shipped mapping, a sandbox of its own, and an Airflow that can be killed and started again."""

    def __init__(self, folder: Path, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self.home = folder.resolve() / "home"
        self.output = folder / "output"
        self.mappings = folder / "mappings"
        self.mappings.mkdir()
        shipped = (CHECKOUT / "include" / "mappings" / "customers.yaml").read_text()
        (self.mappings / "customers.yaml").write_text(shipped.replace('schedule: "@hourly"', "schedule: null"))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self.environment = {
            **inherited,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_ANTAVO_DEFAULT": sandbox.antavo_connection(),
            "AIRFLOW_CONN_OMETRIA_DEFAULT": sandbox.ometria_connection(concurrency=CONCURRENCY),
            "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": str(self.mappings),
            "AIRFLOW__API__PORT": str(free_port()),
        }
        self.up: subprocess.Popen[bytes] | None = None

    def launch(self, *arguments: str, output: Path | None = None) -> subprocess.Popen[bytes]:
        with (output or self.output).open("wb") as file:
            return subprocess.Popen(
                [sys.executable, str(CHECKOUT / "scripts" / "local.py"), *arguments],
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> Airflow:
        """Start everything that `make up` starts, and return a client of it."""
        self.up = up = self.launch("up")
        wait_for(lambda: "Password" in self.output.read_text(), lambda: up.poll() is None, self.output.read_text)
        return self.airflow()

    def airflow(self) -> Airflow:
        """Return a client of the Airflow that is up."""
        return Airflow(json.loads((self.home / "launcher.json").read_text())["url"], Login.read(self.home))

    def kill(self) -> None:
        """Kill -9 the launcher and all that it started, as a power cut does."""
        assert self.up is not None
        for process in [psutil.Process(self.up.pid), *processes.find(self.home)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.up.wait()

    def run(self) -> tuple[int, str]:
        """Do what `make run` does; return its exit code and what it said."""
        output = self.output.with_name("run-output")
        code = self.launch("run", output=output).wait(timeout=LIMIT)
        return code, output.read_text()

    def log(self, part: str) -> str:
        """Return what a part of Airflow has said since it was started."""
        return Home(self.home).log_file(part).read_text(errors="replace")

    @property
    def ledger(self) -> Ledger:
        return open_ledger(f"sqlite:///{self.home / 'ometria_ledger.db'}")

    def query(self, statement: str) -> list[dict[str, Any]]:
        with self.ledger.read() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

    def batches(self, state: str) -> int:
        """Count the requests of the newest run that the ledger has in a state."""
        newest = "(SELECT max(id) FROM sync_run)"
        found = self.query(f"SELECT count(*) AS n FROM push_batch WHERE sync_run_id={newest} AND state='{state}'")
        return int(found[0]["n"])

    def received(self) -> dict[str, int]:
        counts: dict[str, int] = self.sandbox.control("stats")["contacts"]["customers"]
        return counts

    def slow(self, *, latency_ms: int) -> None:
        self.sandbox.control("settings", {"latency_ms": latency_ms})


def wait_for(done: Callable[[], Any], alive: Callable[[], bool] = lambda: True, say: Callable[[], str] = str) -> Any:
    deadline = time.monotonic() + LIMIT
    while not (found := done()):
        assert alive(), say()
        assert time.monotonic() < deadline, say()
        time.sleep(0.2)
    return found


def wait_for_run(airflow: Airflow, run_id: str) -> dict[str, str]:
    """Wait for the end of a run; return its state and those of its tasks."""

    def over() -> dict[str, str] | None:
        state = airflow.run_state(DAG, run_id)
        tasks = {task["task_id"]: str(task["state"]) for task in airflow.tasks(DAG, run_id)}
        return {"run": state, **tasks} if state in {"success", "failed"} else None

    found: dict[str, str] = wait_for(over, say=lambda: str(airflow.tasks(DAG, run_id)))
    return found


def clear(airflow: Airflow, run_id: str, *tasks: str) -> None:
    """Clear tasks and what follows them, as the button in the UI does."""
    content = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": list(tasks),
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    airflow._call("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", content)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(SandboxSettings(port=0, members=2_000, validation_delay_ms=50)) as sandbox:
        made = Site(tmp_path_factory.mktemp("site"), sandbox)
        yield made
        processes.end(made.home, patience=0)
        made.ledger.engine.dispose()


def balanced(row: dict[str, Any]) -> bool:
    parts = ("unchanged", "filtered", "rejected", "accepted", "pending")
    return bool(row["read"] == sum(row[name] for name in parts))


def test_everything_killed_in_the_push_then_push_cleared_sends_nothing_twice(site: Site) -> None:
    airflow = site.start()
    wait_for(lambda: airflow.dag(DAG), say=lambda: str(airflow.import_errors()))
    site.slow(latency_ms=400)
    run_id = airflow.trigger(DAG, {})
    airflow.pause(DAG, paused=False)
    going_on = {"queued", "running"}
    wait_for(
        lambda: site.batches("acknowledged") >= 5,
        lambda: airflow.run_state(DAG, run_id) in going_on,
        lambda: str(airflow.tasks(DAG, run_id)),
    )
    site.kill()
    in_flight, acknowledged = site.batches("sending"), site.batches("acknowledged")
    assert 0 < in_flight <= CONCURRENCY
    assert acknowledged >= 5
    site.slow(latency_ms=0)

    airflow = site.start()
    clear(airflow, run_id, "push")
    states = wait_for_run(airflow, run_id)
    assert states == dict.fromkeys(states, "success"), states

    (row,) = site.query("SELECT * FROM sync_run")
    assert row["state"] == "succeeded"
    assert balanced(row)
    assert row["read"] == 2_000
    assert row["pending"] == 0
    received = site.received()
    assert received["contacts"] == row["accepted"] == row["sent"] > 1_800
    assert received["received"] - received["contacts"] <= in_flight * 100, "only what was in flight went twice"
    assert received["most_for_one"] <= 2
    assert site.batches("unanswered") == in_flight
    assert site.batches("acknowledged") >= acknowledged


def test_run_again_sends_nothing_and_says_so(site: Site) -> None:
    before = site.received()
    code, said = site.run()
    assert code == 0, said
    assert site.received() == before
    row = site.query("SELECT * FROM sync_run ORDER BY id")[-1]
    assert (row["state"], row["sent"], row["accepted"]) == ("succeeded", 0, 0)
    assert balanced(row)
    assert "unchanged" in said
    assert "no request" in said.lower() or "nothing" in said.lower()


def test_worker_killed_in_the_push_is_retried_and_goes_on(site: Site) -> None:
    before = site.received()
    changed = site.sandbox.control("members", {"change": 1_500, "set": {"score": 4_711}})["changed"]
    site.slow(latency_ms=300)
    with_output = site.output.with_name("run-output")
    process = site.launch("run", output=with_output)
    runs = len(site.query("SELECT id FROM sync_run"))
    wait_for(lambda: len(site.query("SELECT id FROM sync_run")) > runs, lambda: process.poll() is None)
    wait_for(lambda: site.batches("acknowledged") >= 4, lambda: process.poll() is None, with_output.read_text)
    (run,) = site.query("SELECT run_id FROM sync_run ORDER BY id DESC LIMIT 1")
    (push,) = [task for task in site.airflow().tasks(DAG, run["run_id"]) if task["task_id"] == "push"]
    process_of(site, push["id"]).kill()
    in_flight = site.batches("sending")
    assert 0 < in_flight <= CONCURRENCY
    site.slow(latency_ms=0)
    code = process.wait(timeout=LIMIT)
    assert code == 0, with_output.read_text()

    row = site.query("SELECT * FROM sync_run ORDER BY id")[-1]
    assert balanced(row)
    assert row["state"] == "succeeded"
    received = site.received()
    new = received["received"] - before["received"]
    assert row["accepted"] == row["sent"] > 1_300
    assert row["sent"] <= len(changed)
    assert row["sent"] <= new <= row["sent"] + in_flight * 100


def test_limit_broken_waits_for_a_person_who_approves_refuses_or_does_not_answer(site: Site) -> None:
    airflow, before = site.airflow(), site.received()["received"]
    file = site.mappings / "customers.yaml"
    shipped = file.read_text()
    changed = site.sandbox.control("members", {"change": 400, "set": {"score": 815}})["changed"]

    def waiting(within: str) -> tuple[str, str]:
        strict = f"\napprove_within: {within}\nlimits:\n  max_changed_share: 0.1\n"
        file.write_text(shipped.replace("\nlimits:\n", strict))
        run_id = airflow.trigger(DAG, {})
        airflow.pause(DAG, paused=False)

        def parked() -> bool:
            states = {task["task_id"]: task["state"] for task in airflow.tasks(DAG, run_id)}
            return states.get("gate") == "awaiting_input"

        wait_for(parked, say=lambda: str(airflow.tasks(DAG, run_id)))
        (row,) = site.query("SELECT state, id FROM sync_run ORDER BY id DESC LIMIT 1")
        assert row["state"] == "awaiting_approval"
        # A person takes longer than a scheduler that has yet to hear that the worker was given back: an answer before
        # that makes Airflow start the task twice, and the gate ask again.
        heard = re.compile(rf"TaskInstance Finished: dag_id={DAG}, task_id=gate, run_id={re.escape(run_id)},")
        wait_for(lambda: heard.search(site.log("scheduler")))
        return run_id, f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/gate/-1/hitlDetails"

    def ended() -> tuple[str, str, str]:
        found = site.query(
            "SELECT r.state, r.reason, a.answer FROM sync_run r JOIN approval a ON a.sync_run_id = r.id "
            "ORDER BY r.id DESC LIMIT 1"
        )[0]
        return found["state"], found["answer"], found["reason"] or ""

    run_id, place = waiting("PT1H")
    shown = airflow._call("GET", place)
    assert "would change" in shown["body"]
    assert f"{airflow.url}/ometria/runs/" in shown["body"]
    airflow._call("PATCH", place, {"chosen_options": ["Reject"], "params_input": {}})
    states = wait_for_run(airflow, run_id)
    assert (states["run"], states["gate"], states["report"]) == ("failed", "failed", "failed"), states
    assert ended()[:2] == ("halted", "refused")
    assert "refused it" in ended()[2]

    run_id, _ = waiting("PT20S")
    assert wait_for_run(airflow, run_id)["run"] == "failed"
    assert ended()[:2] == ("halted", "timed_out")
    assert site.received()["received"] == before

    run_id, place = waiting("PT1H")
    airflow._call("PATCH", place, {"chosen_options": ["Approve"], "params_input": {}})
    states = wait_for_run(airflow, run_id)
    assert states == dict.fromkeys(states, "success"), states
    assert ended()[:2] == ("succeeded", "approved")
    assert 300 < site.received()["received"] - before <= len(changed)
    file.write_text(shipped)


def test_nothing_personal_and_no_key_in_logs_and_airflows_database(site: Site) -> None:
    names, needles = set(), {b"sandbox-secret", b"sandbox-ometria-key"}
    for member in site.sandbox.control("members?limit=2000")["ids"][::40]:
        contact = site.sandbox.control(f"contacts/customers/{member}")["contact"] or {}
        needles |= {contact[field].encode() for field in ("email", "phone_number") if contact.get(field)}
        needles |= {str(contact["member_number"]).encode()} if contact.get("member_number") else set()
        names.add(contact.get("lastname"))
    assert len(needles) > 50
    assert len(names) > 5
    logs = [path for path in (site.home / "logs").rglob("*.log") if path.is_file()]
    assert any("task_id=push" in str(path) for path in logs)
    for path in [*logs, *site.home.glob("airflow.db*"), *site.home.glob("ometria_ledger.db*"), site.output]:
        content = path.read_bytes()
        assert [needle for needle in needles if needle in content] == [], path


def test_end_leaves_no_process(site: Site) -> None:
    assert site.up is not None
    os.killpg(site.up.pid, signal.SIGINT)
    assert site.up.wait(timeout=60) == 0
    assert processes.find(site.home) == []


def process_of(site: Site, task_id: str) -> psutil.Process:
    """Return the process that runs a task's code: it names itself after the task instance's id.

    The name may be cut: there is as much room for it as the command line took.
    """
    named = f"airflow worker -- {task_id[:30]}"
    found = [process for process in processes.find(site.home) if " ".join(process.cmdline()).startswith(named)]
    assert found, [" ".join(process.cmdline()) for process in processes.find(site.home)]
    return found[0]
