"""Peak memory of the tasks of a deployment, as the kernel counts it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

#: What the process that runs a task's code calls itself, before the task instance's id.
_TASK = "airflow worker -- "
#: As many letters of a task instance's id as Airflow puts into that name.
_KNOWN = 30


def task_of(process: psutil.Process) -> str:
    """Return the id of the task instance that a process works on, as `known_as` has it; "" when it is none's."""
    with contextlib.suppress(psutil.Error, OSError):
        command = " ".join(process.cmdline())
        if command.startswith(_TASK):
            return known_as(command.removeprefix(_TASK).strip())
    return ""


def known_as(id_: str) -> str:
    """Return as much of a task instance's id as its process shows."""
    return id_[:_KNOWN]


@dataclass
class Memory:
    """Peak memory of task processes, by the task instance's id: the kernel's high-water mark while they live."""

    peaks: dict[str, int] = field(default_factory=dict)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look until told to stop."""
        while not self._is_over.wait(1.0):
            for process in psutil.process_iter():
                if id_ := task_of(process):
                    with contextlib.suppress(OSError, StopIteration, ValueError):
                        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
                        peak = int(next(row for row in status.splitlines() if row.startswith("VmHWM")).split()[1])
                        self.peaks[id_] = max(self.peaks.get(id_, 0), peak * 1024)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block works."""
        thread = threading.Thread(target=self.watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()
