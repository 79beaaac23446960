"""Processes of ours: started so that they die with us, marked so that every one of them is found again."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

#: Variable that marks every process of a home: children, grandchildren, and those that outlived their parent.
MARKER = "OMETRIA_LOCAL"

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Ask the kernel to end this process (SIGTERM) when its parent dies, by kill -9 too."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def spawn(
    command: Sequence[str], *, home: Path, environment: Mapping[str, str], log: Path, cwd: Path
) -> subprocess.Popen[bytes]:
    """Start a process of a home.

    It gets a process group of its own: Ctrl-C in the terminal reaches the launcher alone, which ends the others in
    order.

    :param log: file for its output; what an earlier process wrote there is dropped.
    """
    marked = {
        **environment,
        MARKER: str(home),
        # Without this, processes that set their title overwrite the place where others read the marker.
        "SPT_NOENV": "1",
    }
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env=marked,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=die_with_parent,  # noqa: PLW1509 (the launcher has one thread)
        )


def find(home: Path) -> list[psutil.Process]:
    """Return every living process that was started for a home, but this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == str(home):
                found.append(process)
        except psutil.Error:
            continue  # gone, a zombie, or somebody else's
    return found


def ask_to_end(home: Path) -> None:
    """Ask every process of a home to end, without waiting for it."""
    _signal(find(home), signal.SIGTERM)


def end(home: Path, *, patience: float) -> int:
    """End every process of a home and return how many there were; none is left when this returns.

    :param patience: seconds that they get to end by themselves; 0 kills at once.
    """
    first = found = find(home)
    if patience:
        _signal(found, signal.SIGTERM)
        found = _left(home, patience)
    deadline = time.monotonic() + 10
    while found and time.monotonic() < deadline:  # again: one of them may have started another meanwhile
        _signal(found, signal.SIGKILL)
        found = _left(home, 1)
    return len(first)


def _left(home: Path, seconds: float) -> list[psutil.Process]:
    """Return those that still live after so long, or none as soon as there is none."""
    deadline = time.monotonic() + seconds
    # A dead process that nobody has looked at yet has no marker any more, so it counts as gone.
    while (found := find(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue
