"""The deployment of docker-compose.yaml with two Celery workers, beside a sandbox and a bucket that tests can steer."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployment import Deployment
from env_file import write_env_file
from launcher.api import Airflow, Login
from network import Line, line
from object_store import ObjectStore, object_store
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from own_include import own_include
from sqlalchemy import text

from tests.benchmarks.world import let_first
from tests.scale.memory import Memory, known_as, task_of

DAG, CAMPAIGNS = "contact_sync__customers", "campaign_events__antavo_default"
#: Who may post to the webhooks' receiver.
WEBHOOK = {"login": "antavo", "password": "a password of these measurements"}
STEPS = ("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report")
#: Seconds within which a run must have ended.
LIMIT = 3_600.0

#: Airflow's own waiting, cut short: what is measured is how runs go on, not how patient Airflow is by default.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
}


def say(words: str) -> None:
    """Show progress."""
    print(f"{datetime.now():%H:%M:%S} {words}", file=sys.stderr, flush=True)


@dataclass
class Site:
    """A deployment at work.

    :param wire: between the workers and both APIs.
    :param include: its mapping and workflow files.
    """

    deployment: Deployment
    sandbox: RunningSandbox
    store: ObjectStore
    wire: Line
    include: Path
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        password = self.deployment.variables["AIRFLOW_ADMIN_PASSWORD"]
        self.airflow = Airflow(self.deployment.url("api-server", 8080), Login("admin", password))
        self.ledger: Ledger = open_ledger(self.deployment.ledger_url())

    def query(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Ask the ledger."""
        with self.ledger.read() as connection:
            return [dict(row) for row in connection.execute(text(statement), values).mappings()]

    def received(self) -> dict[str, int]:
        """Return what Ometria got: contacts stored, records received, repeats."""
        nothing = dict.fromkeys(("stored", "received", "repeats", "contacts", "most_for_one"), 0)
        found: dict[str, int] = self.sandbox.control("stats")["contacts"].get("customers", nothing)
        return found

    def start(self) -> str:
        """Start a run and return its run_id."""
        self.wait(lambda: self.airflow.dag(DAG), "the DAG processor to find the DAG")
        self.airflow.pause(DAG, paused=False)
        return self.airflow.trigger(DAG, {})

    def step(self, run_id: str, step: str) -> list[dict[str, Any]]:
        """Return the ledger's rows of a step of a run."""
        return self.query(
            "SELECT s.* FROM sync_step s JOIN sync_run r ON r.id = s.sync_run_id "
            "WHERE r.run_id = :run_id AND s.step = :step ORDER BY s.slice",
            run_id=run_id,
            step=step,
        )

    def acknowledged(self, run_id: str) -> Counter[int]:
        """Return how many requests of each slice of a run the ledger has as acknowledged."""
        return Counter({row["slice"]: row["requests"] for row in self._requests(run_id, "acknowledged")})

    def in_flight(self, run_id: str, slices: Collection[int] | None = None) -> int:
        """Return how many records are in requests that the ledger has as on their way.

        :param slices: of these; None: of all.
        """
        found = self._requests(run_id, "sending")
        return sum(int(row["records"]) for row in found if slices is None or row["slice"] in slices)

    def _requests(self, run_id: str, state: str) -> list[dict[str, Any]]:
        return self.query(
            "SELECT b.slice, count(*) AS requests, sum(b.records) AS records FROM push_batch b "
            "JOIN sync_run r ON r.id = b.sync_run_id WHERE r.run_id = :run_id AND b.state = :state GROUP BY b.slice",
            run_id=run_id,
            state=state,
        )

    def end(self, run_id: str, *, limit: float = LIMIT) -> dict[str, Any]:
        """Wait for a run's end; return its row in the ledger, `colour` being Airflow's."""
        told = time.monotonic()

        def over() -> str | None:
            nonlocal told
            for name in self.deployment.revive():
                say(f"    {name} ended by itself and is started again")
            if time.monotonic() - told > 30:
                told = time.monotonic()
                say(f"    {self._standing(run_id)}")
            with contextlib.suppress(Exception):  # the API server may be the part that is being restarted
                state = self.airflow.run_state(DAG, run_id)
                return state if state in {"success", "failed"} else None
            return None

        colour = self.wait(over, f"run {run_id} to end", limit=limit, pause=1.0)
        rows = self.query("SELECT * FROM sync_run WHERE run_id = :run_id", run_id=run_id)
        return {"colour": colour, **(rows[0] if rows else {})}

    def wait(self, done: Callable[[], Any], what: str, *, limit: float = 300.0, pause: float = 0.25) -> Any:
        """Return what is waited for when it is there.

        :raises TimeoutError: after so many seconds.
        """
        deadline = time.monotonic() + limit
        while not (found := done()):
            if time.monotonic() > deadline:
                logs = [self.deployment.end_of_log(each, 15) for each in self.deployment.containers.values()]
                raise TimeoutError("\n".join([f"Waited {limit:.0f} s for {what}", *logs]))
            time.sleep(pause)
        return found

    def at_work(self, run_id: str, step: str) -> dict[int, set[int]]:
        """Return the numbers of the workers that are at work on a step, and on which slices each is."""
        slices = {known_as(task["id"]): task["map_index"] for task in self._tasks(run_id, step, "running")}
        found: dict[int, set[int]] = {}
        for (name, number), container in self.deployment.containers.items():
            if name == "worker":
                its = {slices[id_] for process in container.tree() if (id_ := task_of(process)) in slices}
                found |= {number: its} if its else {}
        return found

    def workers_at_once(self, run_id: str, step: str) -> int:
        """Return on how many workers slices of a step, which is over, were at work at once, at most."""
        workers = {
            task["map_index"]: self.deployment.who_logged("worker", task["id"])
            for task in self._tasks(run_id, step, "success")
        }
        rows = self.step(run_id, step)
        return max(
            len({workers.get(row["slice"]) for row in rows if row["started_at"] <= at <= row["ended_at"]} - {None})
            for at in (row["started_at"] for row in rows)
        )

    def told(self) -> int:
        """Return how often the triggerer told Airflow that something came into the inbox."""
        return int(self.airflow._call("GET", "/api/v2/assets/events?limit=1")["total_entries"])

    def slow_down(self, milliseconds: int) -> None:
        """Let every answer of both APIs take so long from now on."""
        self.sandbox.control("settings", {"latency_ms": milliseconds})

    def _tasks(self, run_id: str, step: str, state: str) -> list[dict[str, Any]]:
        tasks = self.airflow.tasks(DAG, run_id)
        return [task for task in tasks if task["task_id"].rpartition(".")[2] == step and task["state"] == state]

    def peaks(self, run_id: str) -> dict[str, float]:
        """Return the largest peak of each step's tasks in a run, in MB."""
        found: dict[str, float] = {}
        for task in self.airflow.tasks(DAG, run_id):
            step = task["task_id"].rpartition(".")[2]
            if peak := self.memory.peaks.get(known_as(task["id"])):
                found[step] = max(found.get(step, 0.0), peak / 1e6)
        return found

    def seconds(self, run_id: str) -> dict[str, float]:
        """Return the wall time of each step of a run, from its first task's start to its last one's end."""
        rows = self.query(
            "SELECT s.step, min(s.started_at) AS since, max(s.ended_at) AS until FROM sync_step s "
            "JOIN sync_run r ON r.id = s.sync_run_id WHERE r.run_id = :run_id GROUP BY s.step",
            run_id=run_id,
        )
        return {row["step"]: (row["until"] - row["since"]).total_seconds() for row in rows if row["until"]}

    def _standing(self, run_id: str) -> str:
        with contextlib.suppress(Exception):
            done = self.query(
                "SELECT s.step, count(*) FILTER (WHERE s.state = 'done') AS done, count(*) AS n FROM sync_step s "
                "JOIN sync_run r ON r.id = s.sync_run_id WHERE r.run_id = :run_id GROUP BY s.step",
                run_id=run_id,
            )
            steps = {row["step"]: f"{row['step']} {row['done']}/{row['n']}" for row in done}
            said = ", ".join(steps[step] for step in STEPS if step in steps)
            return f"{said}; {self.acknowledged(run_id).total():,} requests acknowledged"
        return "the ledger does not answer"


@contextlib.contextmanager
def site(
    settings: SandboxSettings, *, ometria: Mapping[str, Any] | None = None, concurrency: int = 3
) -> Iterator[Site]:
    """Start everything, and end it.

    :param ometria: extras of the Ometria connection.
    :param concurrency: tasks that a worker does at once.
    """
    folder = Path(tempfile.mkdtemp(prefix="scale-")).resolve()
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        sandbox = stack.enter_context(running(settings))
        let_first(sandbox)
        store = stack.enter_context(object_store())
        address = urlsplit(sandbox.url)
        wire = stack.enter_context(line((str(address.hostname), int(address.port or 0))))
        env_file = folder / ".env"
        write_env_file(env_file, ["celery"])
        with env_file.open("a", encoding="utf-8") as file:
            lines = [*_variables(sandbox, store, wire, ometria or {}), f"WORKER_CONCURRENCY={concurrency}"]
            file.writelines(f"{line}\n" for line in lines)
        (folder / "deployment").mkdir(mode=0o711)
        made = Deployment(env_file, folder / "deployment", extra=IMPATIENT)
        include = own_include(made)
        stack.callback(made.down)
        say("  starting PostgreSQL, broker, API server, scheduler, DAG processor, triggerer, two workers ...")
        made.up()
        found = Site(made, sandbox, store, wire, include)
        stack.callback(found.ledger.engine.dispose)
        with found.memory.watching():
            yield found


def _variables(sandbox: RunningSandbox, store: ObjectStore, wire: Line, ometria: Mapping[str, Any]) -> list[str]:
    """Return lines of `.env`: both APIs by the wire, the bucket, and limits as the sandbox has them."""
    place = f"http://127.0.0.1:{wire.port}"
    antavo = sandbox.antavo_connection().replace(sandbox.url, place)
    connection = sandbox.ometria_connection(**ometria).replace(sandbox.url, place)
    return [
        f"AIRFLOW_CONN_ANTAVO_DEFAULT='{antavo}'",
        f"AIRFLOW_CONN_OMETRIA_DEFAULT='{connection}'",
        f"AIRFLOW_CONN_AWS_DEFAULT='{store.connection}'",
        f"AIRFLOW_CONN_ANTAVO_WEBHOOK='{json.dumps({'conn_type': 'http', **WEBHOOK})}'",
        f"STAGING_PATH={store.staging_path}",
        "AIRFLOW_PARALLELISM=8",
    ]


def balances(row: Mapping[str, Any], members: int) -> bool:
    """Say whether all members were read, and each is in one account of the run's books."""
    parts = ("unchanged", "filtered", "rejected", "accepted", "pending")
    return bool(row["read"] == members == sum(row[name] for name in parts))


def pretty(numbers: Mapping[str, float], unit: str = "") -> str:
    """Return a figure for each step, in the steps' order."""
    return ", ".join(f"{step} {numbers[step]:.0f}{unit}" for step in STEPS if step in numbers)
