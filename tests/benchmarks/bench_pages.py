"""How long each page takes at 1,000 runs and 1,000,000 contact states: the whole answer, through the app as mounted."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.bench_history import CONTACTS, fill
from tests.benchmarks.figures import Row, median
from tests.benchmarks.world import CHECKOUT

RUNS = 1_000
#: Seconds that a page may take.
TARGET = 0.3

#: The last run rejected 20,000 members.
PAGES = {
    "overview": "/ometria/",
    "runs": "/ometria/runs",
    "runs, of one state": "/ometria/runs?state=failed",
    "a run": f"/ometria/runs/{RUNS}",
    "its rejections": f"/ometria/runs/{RUNS}/rejections",
}


def measure(*, quick: bool = False) -> list[Row]:
    """Return the seconds of each page."""
    contacts, runs = (CONTACTS // 10, RUNS // 10) if quick else (CONTACTS, RUNS)
    with tempfile.TemporaryDirectory(prefix="ometria-bench-") as name:
        file = Path(name) / "ledger.db"
        fill(file, contacts, runs)
        return _measured(file, name, contacts, runs)


def _measured(file: Path, home: str, contacts: int, runs: int) -> list[Row]:
    os.environ.update(
        AIRFLOW_HOME=home,
        AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN=f"sqlite:///{file}",
        AIRFLOW__OMETRIA__MAPPINGS_FOLDER=str(CHECKOUT / "include" / "mappings"),
        AIRFLOW__OMETRIA__WORKFLOWS_FOLDER=str(CHECKOUT / "include" / "workflows"),
    )
    sys.path.insert(0, str(CHECKOUT / "tests" / "support"))
    from pages import pages

    client = pages("USER")
    rows = []
    for name, path in PAGES.items():
        seconds = _time(client, path.replace(str(RUNS), str(runs)))
        figure = f"Page “{name}” at {runs:,} runs and {contacts:,} contact states"
        rows.append(Row(figure, f"{seconds * 1000:,.0f} ms", "", f"under {TARGET * 1000:,.0f} ms", seconds < TARGET))
    return rows


def _time(client: Any, path: str) -> float:
    assert client.get(path).status_code == 200  # and what is compiled once in a process is
    times = []
    for _ in range(5):
        started = time.perf_counter()
        client.get(path)
        times.append(time.perf_counter() - started)
    return median(times)
