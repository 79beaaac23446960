"""Show a run while it works, and why it failed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ometria_provider.exceptions import SyncError
from ometria_provider.ledger.batches import count_records
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.ledger.run_steps import StepRow, steps
from ometria_provider.ledger.runs import get_run
from ometria_provider.settings import read_settings
from rich.console import Console
from rich.status import Status

Task = Mapping[str, Any]

_MARKS = {"success": "✓", "failed": "✗", "skipped": "–", "upstream_failed": "–", "removed": "–"}
#: Without a terminal: how often a line says that a long task is still at it, in seconds.
_REPEAT = 10.0


class Progress:
    """A line for each task that ended, and one that moves for those at work.

    :param dag_id: whose run it is; its counts come from the ledger.
    :param why: returns what a failed task's log says last.
    """

    def __init__(self, dag_id: str, run_id: str, why: Callable[[Task], list[str]]) -> None:
        self._dag_id, self._run_id, self._why = dag_id, run_id, why
        self._console = Console(highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._shown: set[tuple[str, int, int]] = set()
        self._said, self._said_at = "", time.monotonic()

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._status = self._console.status("waiting for the scheduler")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def show(self, tasks: Iterable[Task], waiting_for: str | None = None) -> None:
        """Show a run's tasks as they are now.

        :param waiting_for: another run that goes first.
        """
        listed = sorted(tasks, key=lambda task: (str(task["start_date"] or "~"), task["map_index"]))
        ended = [task for task in listed if task["state"] in _MARKS and _key(task) not in self._shown]
        rows = self._rows() if ended else []
        for task in ended:
            self._shown.add(_key(task))
            self._line(f"  {_MARKS[task['state']]} {_name(task):<18}{_seconds(task)}   {_facts(task, rows)}".rstrip())
        for task in listed:
            if task["state"] == "up_for_retry" and _key(task) not in self._shown:
                self._shown.add(_key(task))
                self._line(f"  ↻ {_name(task)} failed and will be tried again: {' '.join(self._why(task)[-1:])}")
        self._now(_activity(listed, waiting_for, self._sent))

    def _now(self, text: str) -> None:
        if self._status:
            self._status.update(text)
            return
        now = time.monotonic()
        if text and text != self._said and now - self._said_at > _REPEAT:
            self._line(f"  … {text}")
            self._said, self._said_at = text, now

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False)
        sys.stdout.flush()
        self._said_at = time.monotonic()

    def _rows(self) -> list[StepRow]:
        try:
            ledger = open_ledger(read_settings().ledger_url)
            return steps(ledger, get_run(ledger, dag_id=self._dag_id, run_id=self._run_id).id)
        except SyncError:
            return []  # the ledger has no such run yet, or is busy: the counts come with the report

    def _sent(self) -> int:
        try:
            ledger = open_ledger(read_settings().ledger_url)
            run = get_run(ledger, dag_id=self._dag_id, run_id=self._run_id)
            return count_records(ledger, run.id, "acknowledged", "doubtful")
        except SyncError:
            return 0


def _key(task: Task) -> tuple[str, int, int]:
    return task["task_id"], task["map_index"], task["try_number"]


def _step(task: Task) -> str:
    return str(task["task_id"]).rpartition(".")[2]


def _name(task: Task) -> str:
    return _step(task) if task["map_index"] < 0 else f"{_step(task)} [{task['map_index'] + 1}]"


def _seconds(task: Task) -> str:
    return f"{task['duration']:6.1f} s" if task["duration"] is not None else " " * 8


def _facts(task: Task, rows: Iterable[StepRow]) -> str:
    """Return the whole numbers that a step counted, such as ``read 2,000 · requests 3``."""
    row = next((row for row in rows if (row.step, row.slice) == (_step(task), task["map_index"])), None)
    facts = row.facts.items() if row else ()
    return " · ".join(f"{name} {n:,}" for name, n in facts if isinstance(n, int) and not isinstance(n, bool) and n)


def _activity(tasks: Iterable[Task], waiting_for: str | None, sent: Any) -> str:
    tasks = list(tasks)
    at_work = [task for task in tasks if task["state"] == "running"]
    if at_work:
        names = ", ".join(map(_name, at_work))
        return f"{names}: {sent():,} records sent" if any(_step(task) == "push" for task in at_work) else names
    if any(task["state"] == "awaiting_input" for task in tasks):
        return "waiting for a person to approve it: Required Actions in Airflow"
    again = [task for task in tasks if task["state"] == "up_for_retry"]
    if again:
        return f"waiting to try {', '.join(map(_name, again))} again"
    return f"waiting for the run {waiting_for} to end" if waiting_for else ""


def complaint(lines: Iterable[Mapping[str, Any]], *, limit: int = 3) -> list[str]:
    """Return what a failed task's log says last: its errors, with type and text of the exception."""
    said: list[str] = []
    for line in lines:
        if str(line.get("level", "")).lower() not in ("error", "critical"):
            continue
        # What was raised comes first, and then what caused it.
        details = [d for d in line.get("error_detail") or () if isinstance(d, dict) and d.get("exc_type")]
        said += [f"{d['exc_type']}: {d.get('exc_value') or ''}".strip() for d in details[:1]] or [str(line["event"])]
    return list(dict.fromkeys(said))[-limit:]
