"""Everything that `make up` starts, with a sandbox of its own whose *Webhook message* node posts to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from launcher import processes
from launcher.api import Airflow, Login
from launcher.environment import free_port
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.sandbox.process import RunningSandbox
from sqlalchemy import text

CHECKOUT = Path(__file__).parents[2]
DAG = "campaign_events__antavo_default"
LIMIT = 120.0  # seconds
_LOGIN, _PASSWORD = "antavo", "a password of this test"


class Live:
    """An Airflow that is up, with the shipped mapping and workflow.

    :param folder: a folder of its own.
    """

    def __init__(self, folder: Path, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self.home = folder.resolve() / "home"
        self.output = folder / "output"
        mappings = folder / "mappings"
        mappings.mkdir()
        self.mapping = mappings / "customers.yaml"
        shipped = (CHECKOUT / "include" / "mappings" / "customers.yaml").read_text()
        self.mapping.write_text(shipped.replace('schedule: "@hourly"', "schedule: null"))
        workflows = folder / "workflows"
        workflows.mkdir()
        shutil.copy(CHECKOUT / "include" / "workflows" / "reward_claimed.yaml", workflows)
        webhook = {"conn_type": "http", "login": _LOGIN, "password": _PASSWORD}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_ANTAVO_DEFAULT": sandbox.antavo_connection(),
            "AIRFLOW_CONN_OMETRIA_DEFAULT": sandbox.ometria_connection(),
            "AIRFLOW_CONN_ANTAVO_WEBHOOK": json.dumps(webhook),
            "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": str(mappings),
            "AIRFLOW__OMETRIA__WORKFLOWS_FOLDER": str(workflows),
            "AIRFLOW__API__PORT": str(free_port()),
        }

    @contextlib.contextmanager
    def up(self) -> Iterator[Airflow]:
        """Start everything, and yield a client of it when the campaign DAG has run for the first time."""
        with self.output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, str(CHECKOUT / "scripts" / "local.py"), "up"],
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.wait_for(lambda: "Password" in self.output.read_text())
            airflow = Airflow(json.loads((self.home / "launcher.json").read_text())["url"], Login.read(self.home))
            self.wait_for(lambda: airflow.dag(DAG))
            airflow.pause(DAG, paused=False)
            airflow.trigger(DAG, {})  # the clock's first run may be a minute away
            self.wait_for(lambda: self.runs(airflow, state="success"))
            yield airflow
        finally:
            process.terminate()
            process.wait()
            assert processes.find(self.home) == []

    def post_webhooks(self, airflow: Airflow, **more: Any) -> None:
        """Let the sandbox post every claim to the receiver."""
        url = f"{airflow.url}/ometria/webhooks/antavo"
        node = {"url": url, "actions": ["reward"], "login": _LOGIN, "password": _PASSWORD, **more}
        self.sandbox.control("webhooks", node)

    def runs(self, airflow: Airflow, **query: str) -> list[dict[str, Any]]:
        """Return the campaign DAG's runs."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        found: list[dict[str, Any]] = airflow._call("GET", f"/api/v2/dags/{DAG}/dagRuns?limit=100&{asked}")["dag_runs"]
        return found

    def query(self, statement: str) -> list[dict[str, Any]]:
        """Ask the ledger."""
        with open_ledger(f"sqlite:///{self.home / 'ometria_ledger.db'}").read() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

    def wait_for(self, done: Callable[[], Any], *, limit: float = LIMIT) -> Any:
        """Return what is waited for when it is there."""
        deadline = time.monotonic() + limit
        while not (found := done()):
            if time.monotonic() > deadline:
                raise TimeoutError(self.output.read_text()[-3000:])
            time.sleep(0.1)
        return found
