"""How much of Ometria's limit for reading a read-back keeps up, contact by contact."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from tests.benchmarks.figures import Row
from tests.benchmarks.world import world

RATE, LATENCY_MS, SUSPECTS = 4, 500, 1_000


def measure(*, quick: bool = False) -> list[Row]:
    """Return the share of the limit."""
    suspects = 100 if quick else SUSPECTS
    with world(ometria_data_per_second=RATE, latency_ms=LATENCY_MS, members=1) as here:
        done = here.task("bench_verify", str(suspects))
        limit = here.sandbox.control("stats")["limits"]["ometria data"]
    # The first request opens the clock, so there is one interval less than requests.
    rate = (limit["admitted"] - 1) / limit["seconds_from_first_to_last"]
    refused = limit["refused"] + done["throttled"]
    return [
        Row(
            f"Read-back of {suspects:,} suspects at {RATE}/s, {LATENCY_MS} ms latency",
            f"{rate / RATE:.1%} of the limit, {refused} × 429",
            f"limit {RATE}/s, any second",
            "97 %, no 429",
            done["read"] == suspects and done["convicted"] == 1 and rate / RATE >= 0.97 and refused == 0,
        )
    ]


def _read_back(count: int) -> dict[str, int]:
    """Push contacts, spoil the record of one, and read all back with the product's own hook, budget and ledger."""
    from time import monotonic

    from ometria_provider.delivery.batches import Outgoing
    from ometria_provider.delivery.digests import digest, encode
    from ometria_provider.ledger import late, runs
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.operators.accounts import ometria_hook
    from ometria_provider.operators.doubts import Doubts, Item
    from ometria_provider.operators.readback import Reader
    from ometria_provider.operators.sender import Sender, Target
    from ometria_provider.settings import read_settings

    account = collection = "ometria_default"
    ledger = open_ledger(read_settings().ledger_url)
    ledger.ready()
    run = runs.open_run(ledger, dag_id="bench", run_id="1", mapping="bench", dry_run=False)
    hook = ometria_hook(ledger, account)

    def body(id_: str, name: str) -> bytes:
        return encode({"@type": "contact", "@collection": collection, "id": id_, "lastname": name})

    ids = [f"c{number:05}" for number in range(count)]
    records = [Outgoing(id_, body(id_, "Lee"), digest(body(id_, "Lee")), None, None) for id_ in ids]
    Sender(ledger, Target(account, collection, run.id, 0), hook=hook).send(records, datetime.now(UTC))
    at = late.standings(ledger, account, collection, ids)
    sent = [body(id_, "Lee" if id_ != ids[0] else "Other") for id_ in ids]
    items = [Item(id_, sent[n], 0, at[id_].batch, "root > lastname", False) for n, id_ in enumerate(ids)]
    # A collection so large that no page is worth reading.
    late.collection_size = lambda *_: 10**9
    work: Any = SimpleNamespace(ledger=ledger, run=run, account=account, collection=collection)
    reader = Reader(work, hook, {}, monotonic() + 3_600)
    with Doubts() as doubts:
        doubts.add(items)
        reader.check(doubts)
    return {"read": reader.read, "convicted": reader.convicted, "throttled": hook.usage.throttled}


if __name__ == "__main__":
    print(json.dumps(_read_back(int(sys.argv[1]))))
