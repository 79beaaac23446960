"""How much of Ometria's rate limit a push keeps up, against a server that takes half a second for each answer."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from tests.benchmarks.figures import Row
from tests.benchmarks.world import world

RATE, LATENCY_MS, SECONDS, BATCH = 8, 500, 60, 100


def measure(*, quick: bool = False) -> list[Row]:
    """Return the share for one process and for two that share the ledger."""
    seconds = 20 if quick else SECONDS
    return [_row(processes, seconds) for processes in (1, 2)] + [_row(2, seconds, mappings=True)]


def _row(processes: int, seconds: int, *, mappings: bool = False) -> Row:
    """Measure one constellation.

    :param mappings: each process pushes for a mapping of its own, all to the one account.
    """
    records = RATE * seconds * BATCH
    with world(ometria_push_per_second=RATE, latency_ms=LATENCY_MS, members=1) as here:
        here.task("bench_rate", "prepare", str(processes))
        share = [str(records // processes), "own" if mappings else "shared"]
        with ThreadPoolExecutor(processes) as pool:
            done = list(pool.map(lambda index: here.task("bench_rate", "send", str(index), *share), range(processes)))
        stats = here.sandbox.control("stats")
    limit = stats["limits"]["ometria push"]
    # The first request opens the clock, so there is one interval less than requests.
    rate = (limit["admitted"] - 1) / limit["seconds_from_first_to_last"]
    refused = limit["refused"] + sum(usage["throttled"] for usage in done)
    whole = stats["pushed"]["records"] == records
    who = "one process" if processes == 1 else f"{processes} processes, one ledger"
    who = f"{processes} mappings, one account" if mappings else who
    return Row(
        f"Push at {RATE}/s, {LATENCY_MS} ms latency, {seconds} s, {who}",
        f"{rate / RATE:.1%} of the limit, {refused} × 429",
        f"limit {RATE}/s, any second",
        "97 %, no 429",
        whole and rate / RATE >= 0.97 and refused == 0,
    )


def _prepare(count: int) -> dict[str, int]:
    """Open a run for each of so many mappings."""
    from ometria_provider.ledger import runs
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.settings import read_settings

    ledger = open_ledger(read_settings().ledger_url)
    ledger.ready()
    names = [f"bench{index}" for index in range(count)]
    return {name: runs.open_run(ledger, dag_id=name, run_id="1", mapping=name, dry_run=False).id for name in names}


def _send(index: int, count: int, whose: str) -> dict[str, int]:
    """Send made-up records as one slice, with the product's own hook, budget, sender and ledger."""
    from dataclasses import asdict

    from ometria_provider.delivery.batches import Outgoing
    from ometria_provider.delivery.digests import digest, encode
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.operators.accounts import ometria_hook
    from ometria_provider.operators.sender import Sender, Target
    from ometria_provider.settings import read_settings

    ledger = open_ledger(read_settings().ledger_url)
    hook = ometria_hook(ledger, "ometria_default")
    name, run, slice_ = (f"bench{index}", index + 1, 0) if whose == "own" else ("bench", 1, index)
    sender = Sender(ledger, Target("ometria_default", name, run, slice_), hook=hook)

    def record(id_: str) -> Outgoing:
        body = encode({"@type": "contact", "@collection": name, "id": id_, "email": f"{id_}@example.org"})
        return Outgoing(id_, body, digest(body), None, None)

    sender.send([record(f"{index}-{number}") for number in range(count)], datetime.now(UTC))
    return asdict(hook.usage)


if __name__ == "__main__":
    command, *numbers = sys.argv[1:]
    if command == "prepare":
        print(json.dumps(_prepare(int(numbers[0]))))
    else:
        print(json.dumps(_send(int(numbers[0]), int(numbers[1]), numbers[2])))
