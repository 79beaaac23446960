"""Reading from Antavo: how fast a complete scan is, and how much of the rate limit detail calls keep up."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import requests

from tests.benchmarks.figures import Row
from tests.benchmarks.world import World, world

PER_MINUTE, LATENCY_MS = 1_500, 200

#: Scans, each after a script's.
ROUNDS = 5


def measure(*, quick: bool = False) -> list[Row]:
    """Return the share of the limit for details, and the speed of a complete scan beside the server's own."""
    return [_details(500 if quick else 1_500), _scan(20_000 if quick else 100_000)]


def _details(members: int) -> Row:
    with world(antavo_requests_per_minute=PER_MINUTE, latency_ms=LATENCY_MS, members=members) as here:
        ids = here.sandbox.control(f"members?limit={members}")["ids"]
        here.task("bench_read", *ids)
        limit = here.sandbox.control("stats")["limits"]["antavo"]
    seconds = limit["seconds_from_first_to_last"]
    share = (limit["admitted"] - 1) / seconds / (PER_MINUTE / 60)
    return Row(
        f"Details of {members:,} members, {LATENCY_MS} ms latency, {seconds:.0f} s",
        f"{share:.1%} of the limit, {limit['refused']} × 429",
        f"limit {PER_MINUTE:,} a minute",
        "97 %, no 429",
        share >= 0.97 and limit["refused"] == 0 and limit["admitted"] == members,
    )


def _scan(members: int) -> Row:
    # A limit that is never reached, so that the sandbox notes when requests came.
    with world(members=members, require_signature=False, antavo_requests_per_minute=1_000_000) as here:
        windows = _plan(here)
        # In turn, since what else the machine does changes from one second to the next.
        rounds = [(_bare(here, members, len(windows)), _staged(here, windows)) for _ in range(ROUNDS)]
    server, rate = (median(rates) for rates in zip(*rounds, strict=True))
    share = max(rate / (PER_MINUTE / 60), rate / server)
    return Row(
        f"Complete scan of {members:,} members, slices side by side: {len(windows)}",
        f"{rate:.1f} requests/s, staged (median of {ROUNDS})",
        f"{server:.1f} requests/s: a script that throws the pages away; limit {PER_MINUTE // 60}/s",
        "97 % of the limit or of the server's speed",
        share >= 0.97,
    )


def _staged(here: World, windows: list[dict[str, Any]]) -> float:
    """Return how many pages a second extract asks for, while it stages them."""
    here.sandbox.control("reset", {"what": ["stats"]})
    with ThreadPoolExecutor(len(windows)) as pool:
        list(pool.map(lambda window: here.task("task", "extract", "1", json.dumps(window)), windows))
    limit = here.sandbox.control("stats")["limits"]["antavo"]
    return float((limit["admitted"] - 1) / limit["seconds_from_first_to_last"])


def _bare(here: World, members: int, threads: int) -> float:
    """Return how many pages a second a script gets that throws them away."""
    connection = json.loads(here.sandbox.antavo_connection())
    url = f"{connection['extra']['read_api_url']}/v1/customers"
    query: dict[str, Any] = {"limit": 1_000, "sort[0][field]": "created_at", "api_key": connection["login"]}

    def read(offsets: range) -> int:
        with requests.Session() as session:
            for offset in offsets:
                session.get(url, params={**query, "offset": offset}, timeout=60).raise_for_status()
        return len(offsets)

    started = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        pages = sum(pool.map(read, (range(n * 1_000, members, threads * 1_000) for n in range(threads))))
    return pages / (time.monotonic() - started)


def _plan(here: World) -> list[dict[str, Any]]:
    windows: list[dict[str, Any]] = here.task("task", "plan", "1", "null")["returned"]
    return windows


def _ask(ids: list[str]) -> int:
    """Ask for the details of customers as extract does."""
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.operators.accounts import antavo_hook
    from ometria_provider.operators.asking import side_by_side
    from ometria_provider.settings import read_settings

    ledger = open_ledger(read_settings().ledger_url)
    ledger.ready()
    hook = antavo_hook(ledger, "antavo_default")
    return sum(1 for _ in side_by_side(lambda id_: hook.details(id_, ("expiring_points",)), ids, hook.in_flight))


if __name__ == "__main__":
    print(_ask(sys.argv[1:]))
