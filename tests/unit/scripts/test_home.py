"""One launcher at a time in a home, and no lock that outlives its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launcher.errors import Broken
from launcher.home import Home, Running

SCRIPTS = Path(__file__).parents[3] / "scripts"
HOLD = """
import sys, pathlib, time
from launcher.home import Home, Running
home = Home.prepare(pathlib.Path(sys.argv[1]))
with home.held(Running(1, "up", url="http://x")) as free:
    print(free, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path):
    return Home.prepare(tmp_path)


@pytest.fixture
def holder(home):
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", HOLD, str(home.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_held_by_another_process_is_not_free_and_says_by_whom(home, holder):
    with home.held(Running(2, "run")) as free:
        assert not free
        assert home.holder() == Running(1, "up", url="http://x")


def test_held_after_kill_nine_of_the_holder_is_free(home, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with home.held(Running(2, "run")) as free:
        assert free
        assert home.holder() == Running(2, "run")
    assert home.holder() is None


def test_holder_of_a_torn_file_is_unknown(home):
    (home.path / "launcher.json").write_text('{"pid": 1')
    assert home.holder() is None


def test_prepare_where_nothing_can_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Broken, match="AIRFLOW_HOME"):
        Home.prepare(tmp_path / "file" / "home")
