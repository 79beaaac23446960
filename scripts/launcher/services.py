"""The parts of the local Airflow and the sandbox: started side by side, watched, and ended together."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from ometria_provider.sandbox.process import RunningSandbox
from ometria_provider.sandbox.settings import SandboxSettings

from launcher import processes
from launcher.api import Airflow, Login
from launcher.environment import HOST, free_port
from launcher.errors import Broken
from launcher.home import Home

#: What runs, by command. Log servers would listen on every address of the machine.
PARTS = {
    "run": {"api-server": [], "dag-processor": [], "scheduler": ["--skip-serve-logs"]},
    "up": {
        "api-server": [],
        "dag-processor": [],
        "scheduler": ["--skip-serve-logs"],
        "triggerer": ["--skip-serve-logs"],
    },
}
#: The API server builds a million objects that stay before it answers: looking through them for garbage again and again
#: is a quarter of the CPU time of its start.
_LAZY_COLLECTOR = (
    "-c",
    "import gc, runpy; gc.set_threshold(50_000, 50, 50); runpy.run_module('airflow', None, '__main__', True)",
)
#: What tasks import of others' packages. The tasks of `up` are forked from its scheduler: what is there when it starts
#: none of them waits for. Of ours it is only what imports Great Expectations: an edit counts from the next task on.
AT_HAND = (
    "pandas",
    "pyarrow.compute",
    "escherauth",
    "airflow.providers.http.hooks.http",
    "great_expectations.execution_engine.pandas_execution_engine",
    "great_expectations.validator.validator",
)
_WITH_ALL_AT_HAND = (
    "-c",
    "import importlib, runpy\n"
    "from ometria_provider.validation.quiet import import_great_expectations\n"
    "import_great_expectations()\n"
    f"[importlib.import_module(name) for name in {AT_HAND}]\n"
    "runpy.run_module('airflow', None, '__main__', True)",
)
#: Seconds within which a part must answer; it takes about ten on two cores.
START_LIMIT = 180


class Services:
    """Processes of one home. Use as a context: at its end none of them is left.

    :param cwd: folder that they run in.
    """

    def __init__(self, home: Home, cwd: Path) -> None:
        self.home = home
        self._cwd = cwd
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start_sandbox(self, environment: Mapping[str, str]) -> RunningSandbox:
        """Start the sandbox; it keeps its state in the home. :meth:`wait_for_sandbox` says when it answers."""
        settings = SandboxSettings(port=free_port(), state=self.home.sandbox_state)
        module = [sys.executable, "-m", "ometria_provider.sandbox"]
        process = self._start("sandbox", [*module, *settings.arguments()], environment)
        # The process is not what that class expects to own; only addresses and connections are asked of it.
        return RunningSandbox(f"http://{HOST}:{settings.port}", settings, process)  # type: ignore[arg-type]

    def start_airflow(self, command: str, environment: Mapping[str, str]) -> None:
        """Start Airflow's parts for a command, ``run`` or ``up``."""
        for part, flags in PARTS[command].items():
            self._start(part, [sys.executable, *_beginning(part, command), part, *flags], environment)

    def wait_for_sandbox(self, sandbox: RunningSandbox) -> None:
        """Return when the sandbox answers.

        :raises Broken: when it ended, or does not answer in time.
        """
        self.wait("the sandbox", lambda: _answers(f"{sandbox.url}/_sandbox/health"))

    def wait_for_airflow(self, url: str) -> Airflow:
        """Return a client of the API server when that answers.

        :raises Broken: when a part ended, or does not answer in time.
        """
        self.wait("Airflow's API server", lambda: Airflow.is_up(url))
        return Airflow(url, Login.read(self.home.path))

    def wait(self, what: str, ready: Callable[[], bool], *, limit: float = START_LIMIT) -> None:
        """Return when something is ready.

        :raises Broken: when a part ended meanwhile, or after ``limit`` seconds.
        """
        deadline = time.monotonic() + limit
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise Broken(f"{what} did not answer within {limit:.0f} s. See {self.home.log_file('*')}.")
            time.sleep(0.1)

    def check(self) -> None:
        """See that every part is alive.

        :raises Broken: with the last lines of one that is not.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self.home.log_file(name)
                last = "\n".join("    " + line for line in log.read_text(errors="replace").splitlines()[-12:])
                raise Broken(f"{name} ended by itself (exit {process.returncode}). Its last lines in {log}:\n{last}")

    def ask_to_end(self) -> None:
        """Let the processes begin to end while there is something else to do; :meth:`end` must follow."""
        processes.ask_to_end(self.home.path)

    def end(self, *, patience: float = 8) -> None:
        """End all processes of the home.

        :param patience: seconds that they get to end by themselves.
        """
        processes.end(self.home.path, patience=patience)
        for process in self._running.values():
            process.wait()
        self._running.clear()

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        log = self.home.log_file(name)
        process = processes.spawn(command, home=self.home.path, environment=environment, log=log, cwd=self._cwd)
        self._running[name] = process
        return process


def _beginning(part: str, command: str) -> tuple[str, ...]:
    """Return how Python is to start a part of Airflow."""
    match part, command:
        case "api-server", _:
            return _LAZY_COLLECTOR
        case "scheduler", "up":
            return _WITH_ALL_AT_HAND
    return ("-m", "airflow")


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
