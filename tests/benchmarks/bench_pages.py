"""How long each page takes at 1,000 runs, 1,000,000 contact states and 100,000 events.

It is the whole answer, through the app as mounted.

What a page asks Antavo and Ometria on a button is measured apart: it waits for the systems, and for the rate limits.
"""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.benchmarks.bench_history import CONTACTS, at_text, fill, insert
from tests.benchmarks.figures import Row
from tests.benchmarks.world import CHECKOUT, world

#: The last run rejected 20,000 members.
RUNS = 1_000
#: Events of a busy workflow, and of a rare one: all of them older than those.
BUSY, RARE = 100_000, 50
#: Events that one run delivers.
EACH = 100
#: Seconds that a page may take.
TARGET = 0.3
#: What Antavo and Ometria let through, as the connections have it.
LIMITS = {"antavo_requests_per_minute": 1500, "ometria_push_per_second": 8, "ometria_data_per_second": 4}


def measure(*, quick: bool = False) -> list[Row]:
    """Return the seconds of each page, and of each question to the systems."""
    contacts, runs, busy = (CONTACTS // 10, RUNS // 10, BUSY // 10) if quick else (CONTACTS, RUNS, BUSY)
    with world(members=2_000, **LIMITS) as here:
        fill(here.folder / "ledger.db", contacts, runs)
        fill_events(here.folder / "ledger.db", {"rare": RARE, "busy": busy})
        workflows = here.folder / "workflows"
        workflows.mkdir()
        for name in ("rare", "busy"):
            shutil.copy(CHECKOUT / "include" / "workflows" / "reward_claimed.yaml", workflows / f"{name}.yaml")
        environment = {"AIRFLOW__OMETRIA__WORKFLOWS_FOLDER": str(workflows)}
        seen = here.task("page_times", str(runs), environment=environment)
    of = f"at {runs:,} runs, {contacts:,} contact states and {busy:,} events"
    return [
        *(_row(f"Page “{name}” {of}", seconds) for name, seconds in seen["pages"].items()),
        *(
            Row(
                f"Button “{name}”, of Ometria's 4 reads a second and Antavo's 25", f"{seconds:.1f} s, requests: {count}"
            )
            for name, (seconds, count) in seen["live"].items()
        ),
    ]


def fill_events(file: Path, workflows: dict[str, int]) -> None:
    """Write what runs made of so many events of each workflow, one workflow after the other."""
    with sqlite3.connect(file) as database:
        for name, events in workflows.items():
            insert(database, "event_inbox", (_event(name, number)[0] for number in range(events)))
            insert(database, "event_delivery", (_event(name, number)[1] for number in range(events)))
        database.commit()
    database.close()


def _event(workflow: str, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an event, done, and its delivery; each tenth was left out."""
    came = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    done, key = at_text(came + timedelta(seconds=30)), {"account": "antavo_default", "event_id": f"{workflow}-{number}"}
    ended = {"state": "acknowledged", "acknowledged_at": done, "reason": None}
    left = {"state": "skipped", "acknowledged_at": None, "reason": "opted out"}
    inbox = {
        **key,
        "action": "reward",
        "customer_id": f"m{number:07}",
        "occurred_at": at_text(came),
        "received_at": at_text(came),
        "source": "asked",
        "done_at": done,
    }
    delivery = {
        **key,
        **(ended if number % 10 else left),
        "workflow": workflow,
        "run_id": f"scheduled__{workflow}-{number // EACH}",
        "attempts": 1,
        "created_at": at_text(came),
        "updated_at": done,
    }
    return inbox, delivery


def _row(figure: str, seconds: float) -> Row:
    return Row(figure, f"{seconds * 1000:,.0f} ms", "", f"under {TARGET * 1000:,.0f} ms", seconds < TARGET)
