"""The launcher with a real Airflow, scheduler and workers, and a DAG of empty tasks in the place of the real one.

`scripts/empty_dag.py` is that DAG. A file tells its second task what to do, so that runs can be held, killed and
failed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from launcher import processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

CHECKOUT = Path(__file__).parents[2]
LIMIT = 300.0  # seconds; a run takes about 25 on an idle machine


class World:
    """A home, a DAG folder, and a file that says how the DAG behaves: ``go``, ``wait`` or ``fail``."""

    def __init__(self, folder: Path) -> None:
        self.home = folder.resolve() / "home"
        self.behaviour = folder / "behaviour"
        self.output = folder / "output"
        dags = folder / "dags"
        dags.mkdir()
        shutil.copy(CHECKOUT / "scripts" / "empty_dag.py", dags)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self.environment = {
            **inherited,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "EMPTY_DAG_BEHAVIOUR": str(self.behaviour),
        }

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        """Start the launcher; what it says goes to ``output``."""
        command = [sys.executable, str(CHECKOUT / "scripts" / "local.py"), *arguments]
        with self.output.open("wb") as output:
            return subprocess.Popen(
                command, env=self.environment | more, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def run(self, *arguments: str, **more: str) -> tuple[int, str]:
        """Let the launcher run to its end; return its exit code and what it said."""
        code = self.start(*arguments, **more).wait(timeout=LIMIT)
        return code, self.said()

    def said(self) -> str:
        return self.output.read_text()

    def until(self, what: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until the launcher says something."""
        deadline = time.monotonic() + LIMIT
        while what not in self.said():
            assert process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launcher")
    made = World(folder)
    yield made
    processes.end(made.home, patience=0)


@pytest.fixture
def world(shared):
    shared.behaviour.write_text("go")
    yield shared
    processes.end(shared.home, patience=0)


def test_run_green_ends_with_zero_and_leaves_nothing(world):
    code, said = world.run("run")
    assert code == 0, said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("  ✓")] == [
        *("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report")
    ]
    assert processes.find(world.home) == []
    private = [path for path in world.home.iterdir() if path.stat().st_mode & 0o077]
    assert private == []


def test_run_after_kill_nine_of_everything_is_not_blocked_and_red_when_a_task_fails(world):
    world.behaviour.write_text("wait")
    first = world.start("run")
    world.until("✓ plan", first)
    for process in [psutil.Process(first.pid), *processes.find(world.home)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    first.wait()
    world.behaviour.write_text("fail")
    code, said = world.run("run")
    assert code == 1, said
    assert "Closing the unfinished run of contact_sync__customers" in said
    assert "ValueError: told to fail" in said
    log = next(line.split("Log: ")[1] for line in said.splitlines() if "Log: " in line)
    assert "told to fail" in Path(log).read_text()


def test_run_broken_dag_folder_shows_the_error(world, tmp_path):
    (tmp_path / "contact_sync.py").write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    code, said = world.run("run", AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path))
    assert code == 1
    assert "No module named 'no_such_module'" in said
    assert processes.find(world.home) == []


def test_up_serves_this_machine_only_and_a_run_until_interrupted(world):
    up = world.start("up")
    world.until("Password", up)
    found = processes.find(world.home)
    addresses = {
        each.laddr.ip
        for process in found
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
    code, said = world.run("run")
    assert code == 0, said
    assert "Running in the Airflow of `make up`" in said
    code, said = world.run("run", AIRFLOW_CONN_OMETRIA_DEFAULT='{"host": "http://127.0.0.1:1"}')
    assert code == 2, said
    os.killpg(up.pid, signal.SIGINT)  # as a terminal does it
    assert up.wait(timeout=60) == 0
    assert processes.find(world.home) == []
    assert [process for process in found if _lives(process)] == []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE  # which nobody has looked at yet, that is all
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"MAPPING": "custmers"}, "Did you mean customers?"),
        ({"PARAMS": '{"dryrun": true}'}, "did you mean `dry_run`?"),
        ({"AIRFLOW_CONN_OMETRIA_DEFAULT": '{"conn_type": "ometria", "password": "k"}'}, "made-up members"),
    ],
    ids=["mapping", "params", "one real account"],
)
def test_run_used_wrongly_starts_nothing(world, more, said):
    code, output = world.run("run", **more)
    assert code == 2
    assert said in output
    assert processes.find(world.home) == []
