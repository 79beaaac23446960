"""Campaign events: a backlog at Ometria's limit, and single ones while contacts are being pushed at it."""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks.bench_memory import run_tasks
from tests.benchmarks.figures import Row
from tests.benchmarks.task import peak_memory
from tests.benchmarks.world import CHECKOUT, World, world

RATE, LATENCY_MS, BATCH = 8, 500, 100
BACKLOG, CONTACTS = 50_000, 100_000
MEMBERS = 100

#: Bytes by which ten times the backlog may raise a run's peak memory: the allocator's own doing.
FLAT = 40_000_000

#: Seconds that an event may wait for its slot.
PATIENCE = 2.0

WORKFLOW = {
    "trigger": {"event": "reward"},
    "action": {
        "event_type": "bench",
        "payload": [
            {"loyalty": "reward.name", "remote": "reward_name"},
            {"loyalty": "event.points", "remote": "points"},
            {"loyalty": "customer.score", "remote": "balance"},
        ],
    },
    "reward_id": "event.properties.reward",
    "contact_mapping": "customers",
    "start": "2020-01-01",
}


def measure(*, quick: bool = False) -> list[Row]:
    """Return all figures."""
    return [*backlog(quick=quick), *(beside(pushes, quick=quick) for pushes in (1, 3))]


def backlog(*, quick: bool = False) -> list[Row]:
    """Deliver a backlog, and a tenth of one to compare memory with."""
    count = BACKLOG // 5 if quick else BACKLOG
    small, whole = _deliver(count // 10), _deliver(count)
    rate = whole["rate"] / RATE
    once = whole["events"]["stored"] == whole["events"]["received"] == count
    grown = whole["peak"] - small["peak"]
    return [
        Row(
            f"Backlog of {count:,} events, {LATENCY_MS} ms latency, {MEMBERS} members",
            f"{rate:.1%} of the limit, {whole['refused']} × 429, each {whole['events']['most_for_one']} ×",
            f"limit {RATE}/s, any second",
            "97 %, no 429, each once",
            once and rate >= 0.97 and not whole["refused"],
        ),
        Row(
            f"Peak memory with {count:,} events waiting",
            f"{whole['peak'] / 1e6:.0f} MB",
            f"{small['peak'] / 1e6:.0f} MB with {count // 10:,}",
            f"{FLAT / 1e6:.0f} MB more at most",
            grown <= FLAT,
        ),
    ]


def beside(pushes: int, *, quick: bool = False) -> Row:
    """Send single events while contacts are pushed by so many tasks at once.

    :param pushes: processes that share the limit.
    """
    contacts = CONTACTS // 6 if quick else CONTACTS
    with world(ometria_push_per_second=RATE, latency_ms=LATENCY_MS, members=1) as here:
        here.task("bench_rate", "prepare", str(pushes))
        share = str(contacts // pushes)
        with ThreadPoolExecutor(pushes + 1) as pool:
            pushed = [pool.submit(here.task, "bench_rate", "send", str(n), share, "own") for n in range(pushes)]
            claims = pool.submit(here.task, "bench_campaigns", "claims", str(contacts // (RATE * BATCH) - 2))
            waits = sorted(claims.result())
            for each in pushed:
                each.result()
        stats = here.sandbox.control("stats")
    limit = stats["limits"]["ometria push"]
    if stats["events"]["received"] != len(waits):
        raise RuntimeError(f"{len(waits)} events were to be sent, and {stats['events']['received']} came")
    tasks = "1 task" if pushes == 1 else f"{pushes} tasks"
    return Row(
        f"Events while {tasks} push {contacts:,} contacts at {RATE}/s: wait for a slot",
        f"median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s of {len(waits)}, {limit['refused']} × 429",
        f"{1 / RATE:.3f} s between slots",
        f"{PATIENCE:g} s, no 429",
        waits[-1] <= PATIENCE and not limit["refused"],
    )


def _deliver(count: int) -> dict[str, Any]:
    with world(ometria_push_per_second=RATE, members=2 * MEMBERS) as here:
        environment = {
            "AIRFLOW__OMETRIA__WORKFLOWS_FOLDER": _workflows(here),
            "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": _mappings(here),
        }
        run_tasks(here, "contacts")
        members = [id_ for id_ in here.sandbox.control("members")["ids"] if _is_contact(here, id_)][:MEMBERS]
        reward = here.sandbox.control("rewards")[0]["id"]
        here.sandbox.control("settings", {"latency_ms": LATENCY_MS})
        here.sandbox.control("reset", {"what": ["stats"]})
        here.task("bench_campaigns", "fill", str(count), reward, *members, environment=environment)
        done = here.task("bench_campaigns", "deliver", environment=environment)
        stats = here.sandbox.control("stats")
    limit = stats["limits"]["ometria push"]
    # The first request opens the clock, so there is one interval less than requests.
    rate = (limit["admitted"] - 1) / limit["seconds_from_first_to_last"]
    return {**done, "rate": rate, "refused": limit["refused"], "events": stats["events"]}


def _workflows(here: World) -> str:
    folder = here.folder / "workflows"
    folder.mkdir()
    (folder / "bench.yaml").write_text(json.dumps(WORKFLOW))
    return str(folder)


def _mappings(here: World) -> str:
    """Make a folder of the one mapping that is shipped in legacy mode: its members are those whom events are about."""
    (folder := here.folder / "mappings").mkdir()
    shutil.copy(CHECKOUT / "include" / "mappings" / "customers.yaml", folder)
    return str(folder)


def _is_contact(here: World, customer: str) -> bool:
    return here.sandbox.control(f"contacts/customers/{customer}")["contact"] is not None


def _ledger() -> Any:
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.settings import read_settings

    ledger = open_ledger(read_settings().ledger_url)
    ledger.ready()
    return ledger


def _fill(count: int, reward: str, members: list[str]) -> int:
    """Put events into the inbox, as if they had been collected."""
    from ometria_provider.ledger import inbox
    from ometria_provider.ledger.inbox import Collected
    from ometria_provider.workflows.events import Event

    ledger, now = _ledger(), datetime.now(UTC)

    def event(number: int) -> Collected:
        customer = members[number % len(members)]
        made = Event(
            id=str(number), action="reward", customer_id=customer, timestamp=now, properties={"reward": reward}
        )
        return Collected(made.id, made.action, customer, now, made.encode(), ("bench",))

    return sum(inbox.put(ledger, "antavo_default", [event(number) for number in range(count)], inbox.ASKED))


def _run() -> dict[str, Any]:
    """Deliver all that waits, as a campaign's task does."""
    import airflow.sdk.execution_time.task_runner  # noqa: F401 (what a real task's process has loaded)
    from ometria_provider.operators.deliver import complaint, deliver
    from ometria_provider.settings import read_settings
    from ometria_provider.workflows.files import load_folder

    workflows, _ = load_folder(read_settings().workflows_folder)
    tally = deliver(_ledger(), workflows, "antavo_default", "bench")
    if error := complaint(tally):
        raise error
    return {"states": tally.states, "peak": peak_memory()}


def _claims(seconds: int) -> list[float]:
    """Send single events with the product's own hook, budget and sender; return how long each waited for its slot.

    By the clock around the budget: with what its queue, the ledger's lock and a busy machine add to the sleep.
    """
    from ometria_provider.delivery.campaign import Tally
    from ometria_provider.delivery.digests import encode
    from ometria_provider.ledger import deliveries, inbox
    from ometria_provider.ledger.inbox import Collected
    from ometria_provider.operators.accounts import ometria_hook
    from ometria_provider.operators.event_sender import EventSender, OutgoingEvent

    ledger, chance = _ledger(), random.Random(7)
    hook = ometria_hook(ledger, "ometria_default", urgent=True)
    assert hook.limiter is not None
    acquire, waits = hook.limiter.acquire, list[float]()

    def clocked(bucket: str) -> None:
        began = time.monotonic()
        acquire(bucket)
        waits[-1] += time.monotonic() - began

    hook.limiter.acquire = clocked
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.2, 1.5))
        id_ = f"claim-{len(waits)}"
        record = {
            "@type": "custom_event",
            "id": id_,
            "event_type": "bench",
            "timestamp": datetime.now(UTC).isoformat(),
            "identity_email": "ann@example.org",
        }
        inbox.put(ledger, "antavo_default", [Collected(id_, "reward", "ann", None, b"{}", ("bench",))], inbox.WEBHOOK)
        (row,) = deliveries.waiting(ledger, "antavo_default", limit=2)
        waits.append(0.0)
        EventSender(hook=hook, ledger=ledger, run_id="bench", tally=Tally()).send(
            iter([(OutgoingEvent(row.id, id_, encode(record)),)])
        )
    return waits


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", count, reward, *members]:
            print(json.dumps(_fill(int(count), reward, members)))
        case ["claims", seconds]:
            print(json.dumps(_claims(int(seconds))))
        case _:
            print(json.dumps(_run()))
