"""A world to measure in: a sandbox, a ledger, staging and the shipped mapping, in a folder that goes away."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings

CHECKOUT = Path(__file__).resolve().parents[2]

#: No limits and no waiting: what is measured is our own work.
UNLIMITED = SandboxSettings(
    port=0,
    antavo_requests_per_minute=0,
    ometria_push_per_second=0,
    ometria_data_per_second=0,
    validation_delay_ms=0,
)
#: The rates that the connections name where the sandbox has no limit.
FAST = 100_000


@dataclass(frozen=True)
class World:
    """Where everything is.

    :param folder: a folder of its own, removed at the end.
    """

    folder: Path
    sandbox: RunningSandbox

    @property
    def environment(self) -> dict[str, str]:
        """What a task's process needs to know, beside what this process has."""
        settings = self.sandbox.settings
        rates = {
            "push_requests_per_second": settings.ometria_push_per_second or FAST,
            "data_requests_per_second": settings.ometria_data_per_second or FAST,
        }
        per_minute = settings.antavo_requests_per_minute or FAST * 60
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN": f"sqlite:///{self.folder}/ledger.db",
            "AIRFLOW__OMETRIA__STAGING_PATH": f"file://{self.folder}/staging",
            "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": str(CHECKOUT / "include" / "mappings"),
            "AIRFLOW__OMETRIA__EXPECTATIONS_FOLDER": str(CHECKOUT / "include" / "expectations"),
            "AIRFLOW_CONN_ANTAVO_DEFAULT": self.sandbox.antavo_connection(requests_per_minute=per_minute),
            "AIRFLOW_CONN_OMETRIA_DEFAULT": self.sandbox.ometria_connection(**rates),
            "PYTHONPATH": str(CHECKOUT),
        }

    def task(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
        """Run a module of this package in a fresh process and return the JSON of its last line."""
        command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
        done = subprocess.run(
            command,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def let_first(sandbox: RunningSandbox) -> None:
    """Let a sandbox go before all else on this machine, where we may: Ometria and Antavo have machines of their own.

    A server that waits for a core reads requests late, and counts those that left in time as too many at once.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, sandbox.process.pid, -10)


@contextlib.contextmanager
def world(**settings: Any) -> Iterator[World]:
    """Make a world, without limits unless the settings say so."""
    with (
        tempfile.TemporaryDirectory(prefix="ometria-bench-") as name,
        running(replace(UNLIMITED, **settings)) as sandbox,
    ):
        (Path(name) / "airflow").mkdir()
        let_first(sandbox)
        yield World(Path(name), sandbox)
