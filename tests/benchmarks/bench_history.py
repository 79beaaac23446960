"""How long questions to a large ledger take: a million contact states, and runs that rejected many."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Row, median

CONTACTS, RUNS, REJECTED = 1_000_000, 200, 20_000
#: Seconds: of a question about one member or of a list, and of everything else that people ask.
QUESTION, COMMAND = 0.2, 1.0


def measure(*, quick: bool = False) -> list[Row]:
    """Return the seconds of the questions that people ask, in this process and as commands."""
    contacts = CONTACTS // 10 if quick else CONTACTS
    with tempfile.TemporaryDirectory(prefix="ometria-bench-") as name:
        file = Path(name) / "ledger.db"
        fill(file, contacts)
        questions = {name: _time(ask) for name, ask in _questions(file).items()}
        commands = {name: _command(file, arguments) for name, arguments in COMMANDS.items()}
    of = f"at {contacts:,} contact states"
    return [
        *(
            _row(f"`{name}` {of}, the question", seconds, COMMAND if name == "show" else QUESTION)
            for name, seconds in questions.items()
        ),
        *(_row(f"`ometria-sync {name}` {of}, the process", seconds, COMMAND) for name, seconds in commands.items()),
    ]


def _row(figure: str, seconds: float, target: float) -> Row:
    return Row(figure, f"{seconds * 1000:,.0f} ms", "", f"under {target * 1000:,.0f} ms", seconds < target)


COMMANDS = {
    "history": ["history"],
    "show": ["show", str(RUNS)],
    "rejections": ["rejections", str(RUNS)],
    "trace": ["trace", "m0000007"],
}


def _questions(file: Path) -> dict[str, Callable[[], Any]]:
    from ometria_provider.ledger import history, rejections, undelivered
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.ledger.trace import trace
    from ometria_provider.report import run_report

    ledger = open_ledger(f"sqlite:///{file}")

    def refused() -> Any:
        run = history.run_row(ledger, history.find_run(ledger, "customers:latest"))
        rows = rejections.list_rejections(ledger, run.id)
        return undelivered.endings(ledger, run, [row.contact_id for row in rows])

    return {
        "history": lambda: history.list_runs(ledger),
        "show": lambda: run_report(ledger, RUNS),
        "rejections": refused,
        "trace": lambda: trace(ledger, "m0000007"),
    }


def _time(ask: Callable[[], Any]) -> float:
    ask()  # statements are compiled once in a process
    times = []
    for _ in range(5):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    return median(times)


def _command(file: Path, arguments: list[str]) -> float:
    environment = {**os.environ, "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN": f"sqlite:///{file}"}
    command = [str(Path(sys.executable).with_name("ometria-sync")), *arguments]
    times = []
    for _ in range(4):
        started = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return median(times[1:])


def fill(file: Path, contacts: int, runs: int = RUNS) -> None:
    """Write a year of runs: the ledger's own tables, filled as fast as SQLite goes."""
    from ometria_provider.ledger.engine import upgrade

    upgrade(f"sqlite:///{file}")
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA synchronous=OFF")
        for run in range(1, runs + 1):
            insert(database, "sync_run", [_run(run, began + timedelta(days=run), contacts)])
            insert(database, "sync_step", _steps(run, began + timedelta(days=run), contacts))
            insert(database, "push_batch", _batches(run, began + timedelta(days=run)))
            many = REJECTED if run in (runs - 1, runs) else 100
            insert(database, "rejection", _rejections(run, began + timedelta(days=run), many, contacts))
        insert(database, "contact_state", _contacts(contacts, began, runs))
        database.commit()
    database.close()


def insert(database: sqlite3.Connection, table: str, rows: Any) -> None:
    """Write rows into a table: dictionaries with the same keys."""
    rows = iter(rows)
    first = next(rows)
    names, marks = ", ".join(first), ", ".join("?" * len(first))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"
    database.execute(statement, tuple(first.values()))
    database.executemany(statement, (tuple(row.values()) for row in rows))


def at_text(moment: datetime) -> str:
    """Return a time (UTC) as SQLite keeps it in the ledger."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def _run(run: int, at: datetime, contacts: int) -> dict[str, Any]:
    return {
        "id": run,
        "dag_id": "contact_sync__customers",
        "run_id": f"scheduled__{run}",
        "mapping": "customers",
        "account": "ometria_default",
        "collection": "customers",
        "state": "succeeded",
        "strategy": "full",
        "dry_run": 0,
        "read": contacts,
        **dict.fromkeys(("unchanged", "filtered", "rejected", "sent", "accepted", "pending", "departed"), 0),
        "plan": "A complete scan.",
        "started_at": at_text(at),
        "ended_at": at_text(at + timedelta(minutes=20)),
    }


def _steps(run: int, at: datetime, contacts: int) -> Iterator[dict[str, Any]]:
    for step in ("plan", "extract", "map", "validate", "gate", "push", "reconcile", "report"):
        slices = range(contacts // 50_000) if step in ("extract", "map", "validate", "push") else [-1]
        for index in slices:
            yield {
                "sync_run_id": run,
                "step": step,
                "slice": index,
                "state": "done",
                "facts": '{"read": 50000, "requests": 50, "rate": 25, "seconds": 9.5}',
                "started_at": at_text(at),
                "ended_at": at_text(at + timedelta(minutes=1)),
            }


def _batches(run: int, at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(1_000):
        yield {
            "id": run * 1_000 + number,
            "sync_run_id": run,
            "slice": number // 50,
            "records": 100,
            "size": 40_000,
            "state": "acknowledged",
            "request_id": f"req-{run}-{number}",
            "started_at": at_text(at),
            "ended_at": at_text(at),
        }


def _rejections(run: int, at: datetime, count: int, contacts: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "sync_run_id": run,
            "slice": number % 20,
            "contact_id": f"m{number * (contacts // count):07}",
            "stage": ("mapping", "validation", "push")[number % 3],
            "field": ("phone_number", "date_of_birth", "email")[number % 3],
            "reason": f"is not what it should be ({number % 7})",
            "created_at": at_text(at),
        }


def _contacts(count: int, began: datetime, runs: int) -> Iterator[dict[str, Any]]:
    at = at_text(began + timedelta(days=runs))
    for number in range(count):
        yield {
            "account": "ometria_default",
            "collection": "customers",
            "contact_id": f"m{number:07}",
            "state": "rejected" if number % 50 == 0 else "accepted",
            "fingerprint": number.to_bytes(16, "big"),
            "source_digest": number.to_bytes(16, "big"),
            "filled": b"\xff\x0f",
            "snapshot_at": at,
            "sync_run_id": runs,
            "push_batch_id": (1 + number % runs) * 1_000 + number % 1_000,
            "changed_at": at,
        }
