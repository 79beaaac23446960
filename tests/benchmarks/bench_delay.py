"""How long a claim takes to become a custom event: by webhook, one alone and a stream, with everything real."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Row, median
from tests.benchmarks.world import CHECKOUT

if TYPE_CHECKING:
    from launcher.api import Airflow

    from tests.support.live import Live

LONE, LONE_AIM = 30, 5.0
NEW = 10
STREAM_RATE, STREAM_SECONDS, STREAM_AIM = 5, 300, 20.0
RUNS_A_MINUTE = 4
CONTACTS = "contact_sync__customers"


def measure(*, quick: bool = False) -> list[Row]:
    """Return the delays; in a process of its own, as the launcher's modules lie beside the package."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_delay", *(["--quick"] if quick else [])],
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'scripts'}"},
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the delays could not be measured: {done.stdout[-2000:]}")
    *_, unknown, known, stream, runs, kept = done.stdout.strip().splitlines()
    new, alone, (mid, p95, _) = _numbers(unknown), _numbers(known), _numbers(stream)
    return [
        Row(
            "A claim alone, by webhook, until Ometria acknowledged its event, p95",
            f"{alone[1]:.1f} s (median {alone[0]:.1f} s, {alone[2]:.0f} claims)",
            target=f"{LONE_AIM:.0f} s",
            met=alone[1] < LONE_AIM,
        ),
        Row(
            "… of a member whose contact Ometria lacks, and is pushed first, p95",
            f"{new[1]:.1f} s (median {new[0]:.1f} s, {new[2]:.0f} claims)",
        ),
        Row(
            f"… of {STREAM_RATE} claims a second, p95",
            f"{p95:.1f} s (median {mid:.1f} s)",
            target=f"{STREAM_AIM:.0f} s",
            met=p95 < STREAM_AIM,
        ),
        Row("… runs in the fullest minute", runs, target=f"{RUNS_A_MINUTE}", met=int(runs) <= RUNS_A_MINUTE),
        Row("… events that arrived other than once", kept, target="0", met=kept == "0"),
    ]


def _numbers(line: str) -> tuple[float, float, float]:
    mid, p95, count = map(float, line.split())
    return mid, p95, count


def _work(*, quick: bool) -> None:
    from ometria_provider.sandbox.process import running
    from ometria_provider.sandbox.settings import SandboxSettings

    from tests.support.live import Live

    with (
        tempfile.TemporaryDirectory(prefix="ometria-bench-") as name,
        running(SandboxSettings(port=0, members=2000)) as sandbox,
    ):
        live = Live(Path(name), sandbox)
        with live.up() as airflow:
            live.post_webhooks(airflow)
            _tell("waiting for Airflow to watch the inbox")
            _until_the_inbox_is_watched(live, airflow)
            print(_lone(live, 6 if quick else NEW))
            _tell("bringing all contacts to Ometria")
            _sync_contacts(live, airflow)
            print(_lone(live, 6 if quick else LONE))
            print(*_stream(live, airflow, 70 if quick else STREAM_SECONDS), sep="\n")
        stats = sandbox.control("stats")["events"]
        sent = live.query("SELECT count(*) AS n FROM event_delivery WHERE state = 'acknowledged'")[0]["n"]
        print(abs(sent - stats["stored"]) + stats["received"] - stats["stored"])


def _until_the_inbox_is_watched(live: Live, airflow: Airflow) -> None:
    """Let members claim until a webhook starts a run: Airflow takes a parse of the DAG to start its watcher."""
    while not live.runs(airflow, state="success", run_type="asset_triggered"):
        live.sandbox.control("claims", {"count": 1})
        time.sleep(20)


def _sync_contacts(live: Live, airflow: Airflow) -> None:
    """Bring all members to Ometria, as a contact sync does long before anybody claims."""
    airflow.pause(CONTACTS, paused=False)
    run_id = airflow.trigger(CONTACTS, {})
    live.wait_for(lambda: airflow.run_state(CONTACTS, run_id) == "success", limit=600)


def _lone(live: Live, count: int) -> str:
    """Let members claim one by one, at any time of the minute, far enough apart to be alone."""
    rng = random.Random(7)
    first = live.query("SELECT max(id) AS id FROM event_inbox")[0]["id"]
    for number in range(count):
        _tell(f"claim {number + 1} of {count}, each alone")
        live.sandbox.control("claims", {"count": 1})
        time.sleep(rng.uniform(20, 35))
    return _delays(live, first)


def _stream(live: Live, airflow: Airflow, seconds: int) -> tuple[str, int]:
    """Let members claim all the time."""
    first = live.query("SELECT max(id) AS id FROM event_inbox")[0]["id"]
    before = {run["dag_run_id"] for run in live.runs(airflow)}
    _tell(f"{STREAM_RATE} claims a second for {seconds} s")
    live.sandbox.control("claims", {"count": STREAM_RATE * seconds, "every": 1 / STREAM_RATE})
    time.sleep(seconds)
    runs = [run for run in live.runs(airflow, order_by="-run_after") if run["dag_run_id"] not in before]
    minutes = Counter(_moment(run["start_date"]).strftime("%H:%M") for run in runs if run["start_date"])
    live.wait_for(lambda: not live.query("SELECT id FROM event_delivery WHERE state IN ('waiting', 'sending')"))
    return _delays(live, first), max(minutes.values())


def _delays(live: Live, after: int) -> str:
    """Return median, p95 and number of the delays from claim to acknowledgement of the events after one."""
    live.wait_for(lambda: not live.query("SELECT id FROM event_delivery WHERE state IN ('waiting', 'sending')"))
    rows = live.query(
        "SELECT i.occurred_at AS began, d.acknowledged_at AS ended FROM event_inbox i "
        f"JOIN event_delivery d ON d.event_id = i.event_id WHERE i.id > {after} AND d.state = 'acknowledged'"
    )
    delays = sorted((_moment(row["ended"]) - _moment(row["began"])).total_seconds() for row in rows)
    _tell("the longest delays: " + ", ".join(f"{delay:.1f} s" for delay in delays[-5:]))
    return f"{median(delays)} {delays[min(len(delays) - 1, int(0.95 * len(delays)))]} {len(delays)}"


def _tell(news: str) -> None:
    """Say what goes on, with the time, as all of it takes 25 minutes."""
    print(f"{datetime.now():%H:%M:%S} {news}", file=sys.stderr, flush=True)


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value.replace("Z", "+00:00")).replace(tzinfo=None)


if __name__ == "__main__":
    _work(quick="--quick" in sys.argv)
