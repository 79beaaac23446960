"""Every process of a home is found and ended, whoever its parent is by now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from launcher import processes

SCRIPTS = Path(__file__).parents[3] / "scripts"
SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
#: Leaves a grandchild behind that ignores requests to end and has a title of its own, as Airflow's workers do.
ORPHAN = """
import os, signal, time, setproctitle
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    setproctitle.setproctitle("a title much longer than the command line that this process was started with" * 20)
    print("ready", flush=True)
    time.sleep(60)
"""

_STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture
def home(tmp_path):
    yield tmp_path
    processes.end(tmp_path, patience=0)
    while _STARTED:
        _STARTED.pop().wait()


def _spawn(home, command):
    log = home / "log"
    process = processes.spawn(command, home=home, environment=os.environ, log=log, cwd=home)
    _STARTED.append(process)
    _until(lambda: "ready" in log.read_text())
    return process


def _until(done):
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_find_another_homes_processes_are_not_found(home, tmp_path_factory):
    _spawn(home, SLEEP)
    assert processes.find(tmp_path_factory.mktemp("other")) == []
    assert len(processes.find(home)) == 1


def test_end_orphan_that_ignores_the_request_is_killed(home):
    parent = _spawn(home, [sys.executable, "-c", ORPHAN])
    parent.wait()
    assert [process.ppid() for process in processes.find(home)] != [os.getpid()]
    assert processes.end(home, patience=0.2) == 1
    assert processes.find(home) == []


def test_end_nothing_there_is_nothing(home):
    assert processes.end(home, patience=1) == 0


def test_spawn_after_kill_nine_of_the_launcher_the_child_ends(home):
    launcher = (
        "import os, sys, time, pathlib; from launcher import processes; home = pathlib.Path(sys.argv[1]);"
        f"processes.spawn({SLEEP!r}, home=home, environment=os.environ, log=home / 'log', cwd=home); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen([sys.executable, "-c", launcher, str(home)], env=environment) as parent:
        _until(lambda: (home / "log").exists() and "ready" in (home / "log").read_text())
        child = processes.find(home)[0]
        parent.send_signal(signal.SIGKILL)
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()
