"""The launcher's command line: arguments, signals, exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from launcher.environment import home_path
from launcher.errors import LauncherError
from launcher.home import Home
from launcher.processes import die_with_parent
from launcher.shell import leave_shell

#: Exit code after Ctrl-C or a request to end, as shells have it: 128 + the signal's number.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None, *, checkout: Path) -> int:
    """Run one command and return its exit code.

    :param checkout: root of this project's checkout.
    """
    parser = argparse.ArgumentParser(prog="local.py", description="Run this checkout on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run", help="run one mapping, or one workflow, and print its report")
    run_parser.add_argument("--mapping", default=os.environ.get("MAPPING") or "customers", help="default: $MAPPING")
    run_parser.add_argument("--workflow", default=os.environ.get("WORKFLOW") or "", help="default: $WORKFLOW")
    run_parser.add_argument("--params", default=os.environ.get("PARAMS") or "", help="JSON; default: $PARAMS")
    commands.add_parser("up", help="run Airflow's UI, scheduler, workers and the sandbox until Ctrl-C")
    options = parser.parse_args(arguments)

    os.umask(0o077)  # staged members, logs and passwords are nobody else's
    _end_on_signals()
    leave_shell(os.environ)
    try:
        home = Home.prepare(home_path(os.environ, checkout))
        return _command(options, home, checkout)
    except LauncherError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED


def _command(options: argparse.Namespace, home: Home, checkout: Path) -> int:
    if options.command == "run":
        from launcher.run import run

        return run(options.mapping, options.workflow, options.params, home, checkout)
    from launcher.up import up

    return up(home, checkout)


def _end_on_signals() -> None:
    """Let every request to end take the way of Ctrl-C; the end of `make`, which may be killed, is one too."""
    if "MAKELEVEL" in os.environ:
        die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # once is enough: what follows ends everything, within seconds
    raise KeyboardInterrupt
