"""Faults in the middle of a run, one after the other on one deployment: what Ometria got in the end is what counts.

A run has two slices, and a worker does one task at a time: when a fault strikes, each worker is at work on a slice.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ometria_provider.sandbox.settings import SandboxSettings
from own_include import change_constant

from tests.benchmarks.figures import Row, broken_off
from tests.scale.site import CAMPAIGNS, WEBHOOK, Site, balances, say, site

MEMBERS, SLICES, CONCURRENCY = 60_000, 2, 8
#: Raised limits: at 40 requests a second a push takes a quarter of a minute, and longer while it is struck.
PUSH, DATA, ANTAVO = 40, 20, 6_000
#: Requests of each slice that are acknowledged when a fault strikes a push.
UNDER_WAY = 3
#: Milliseconds that an answer takes until the fault has struck: the smaller slice is still at work then.
SLOW_MS = 1_500
LIMIT = 420.0


@dataclass(frozen=True)
class Fault:
    """What happens to a run.

    :param step: during which it happens.
    :param strike: lets it happen, ends it, and returns how many records may come twice: those in requests that it
        broke.
    :param before: makes what else has to be at work, before the run.
    """

    name: str
    step: str
    strike: Callable[[Site, str], int]
    before: Callable[[Site], None] = lambda _here: None


def measure(*, only: str | None = None) -> Iterator[Row]:
    """Yield a row for each fault; behind one that broke off, a new deployment meets the others."""
    settings = SandboxSettings(
        port=0,
        members=MEMBERS,
        antavo_requests_per_minute=ANTAVO,
        ometria_push_per_second=PUSH,
        ometria_data_per_second=DATA,
        validation_delay_ms=0,
    )
    left = [fault for fault in FAULTS if only is None or any(word in fault.name for word in only.split(","))]
    while left:
        with site(settings, ometria={"concurrency": CONCURRENCY, "settle_seconds": 2}, concurrency=1) as here:
            is_sound = True
            while left and is_sound:
                fault = left.pop(0)
                try:
                    row = _row(here, fault)
                except Exception as error:  # noqa: BLE001 (whatever it was, it is shown)
                    traceback.print_exc()
                    row, is_sound = broken_off(fault.name, error), False
                yield row


def _row(here: Site, fault: Fault) -> Row:
    say(f"  {fault.name}")
    fault.before(here)
    # So that every run has all members to push.
    change_constant(here.include, f"fault{FAULTS.index(fault)}")
    before, began = here.received(), time.monotonic()
    run_id = here.start()
    workers = _both_at_work(here, run_id, fault.step)
    twice_at_most = fault.strike(here, run_id)
    here.slow_down(0)
    row = here.end(run_id, limit=LIMIT)
    after = here.received()
    received, twice = (after[name] - before[name] for name in ("received", "repeats"))
    is_whole = balances(row, MEMBERS) and row["pending"] == 0 and received - twice == row["sent"] > MEMBERS * 0.9
    return Row(
        fault.name,
        f"{row['colour']} after {time.monotonic() - began:.0f} s; {received - twice:,} of {row['sent']:,} delivered, "
        f"{twice} twice",
        f"{SLICES} slices at work on {len(workers)} workers",
        f"green, none lost, {f'at most {twice_at_most}' if twice_at_most else 'none'} twice",
        row["colour"] == "success" and is_whole and twice <= twice_at_most,
    )


def _both_at_work(here: Site, run_id: str, step: str) -> dict[int, set[int]]:
    """Return which worker is at work on which slices when all are in the middle of a step, which is slow by then."""
    before = "gate" if step == "push" else "plan"
    here.wait(lambda: _is_done(here, run_id, before), before, limit=LIMIT, pause=0.1)
    here.slow_down(SLOW_MS)

    def at_work() -> dict[int, set[int]] | None:
        acknowledged = here.acknowledged(run_id)
        if step == "push" and min(acknowledged[slice_] for slice_ in range(SLICES)) < UNDER_WAY:
            return None
        found = here.at_work(run_id, step)
        return found if sum(map(len, found.values())) == SLICES else None

    found: dict[int, set[int]] = here.wait(at_work, f"{step} of all slices to be at work", pause=0.1)
    return found


def _is_done(here: Site, run_id: str, step: str) -> bool:
    return any(row["state"] == "done" for row in here.step(run_id, step))


def _nothing(_here: Site, _run_id: str) -> int:
    return 0


def _kill_worker(step: str) -> Callable[[Site, str], int]:
    """Kill the worker that is at work on the first slice, the larger one."""

    def strike(here: Site, run_id: str) -> int:
        number, slices = next((one, its) for one, its in here.at_work(run_id, step).items() if 0 in its)
        here.deployment.kill("worker", number)
        broken = here.in_flight(run_id, slices)
        time.sleep(2)
        return broken

    return strike


def _restart(name: str, *, kill: bool = False) -> Callable[[Site, str], int]:
    """Restart a part that no request to Ometria passes: none comes twice."""

    def strike(here: Site, _run_id: str) -> int:
        (here.deployment.kill if kill else here.deployment.stop)(name)
        time.sleep(1)
        here.deployment.start(name)
        return 0

    return strike


def _restart_database(here: Site, run_id: str) -> int:
    """Restart PostgreSQL: a task that cannot write what was answered in the meantime may fail, and send it again."""
    broken = here.in_flight(run_id)
    _restart("postgres")(here, run_id)
    return broken


def _cut(here: Site, run_id: str) -> int:
    here.wire.cut()
    broken = here.in_flight(run_id)
    time.sleep(15)
    here.wire.mend()
    return broken


def _failing_bucket(here: Site, run_id: str) -> int:
    here.store.fail(status=503, code="SlowDown", share=0.2)
    here.slow_down(0)
    here.wait(lambda: _is_done(here, run_id, "gate"), "the gate", limit=LIMIT, pause=1)
    struck = here.store.stats()["struck"]
    here.store.mend()
    assert struck, "no request of the bucket failed"
    return 0


def _full_bucket(here: Site, run_id: str) -> int:
    here.store.fail(status=507, code="InsufficientStorage", methods="PUT POST")
    here.slow_down(0)

    def has_failed() -> bool:
        return any(step["state"] == "failed" for step in here.step(run_id, "extract"))

    here.wait(has_failed, "extract to fail", limit=LIMIT, pause=1)
    here.store.mend()
    return 0


def _watch_inbox(here: Site) -> None:
    """Let claims come by webhook, and see the triggerer tell of the first: a contact sync alone needs no triggerer."""
    here.airflow.pause(CAMPAIGNS, paused=False)
    here.sandbox.control("webhooks", {"url": f"{here.airflow.url}/ometria/webhooks/antavo", **WEBHOOK})
    told = here.told()
    here.sandbox.control("claims", {"count": 1, "within": 0})
    here.wait(lambda: here.told() > told, "the inbox to be watched")


def _kill_triggerer(here: Site, _run_id: str) -> int:
    """Kill the triggerer, and see the next one tell of a claim that came while there was none."""
    here.deployment.kill("triggerer")
    told, answered = here.told(), here.sandbox.control("webhooks")["answers"].get("200", 0)
    here.sandbox.control("claims", {"count": 1, "within": 0})
    here.wait(lambda: here.sandbox.control("webhooks")["answers"].get("200", 0) > answered, "the webhook's answer")
    assert here.told() == told, "something told of the claim that is not the triggerer"
    here.deployment.start("triggerer")
    here.wait(lambda: here.told() > told, "the inbox to be watched again", limit=120)
    return 0


def _two_schedulers(here: Site, _run_id: str) -> int:
    here.deployment.start("scheduler", 2)
    here.wait(lambda: here.deployment.is_well("scheduler", 2), "the second scheduler", pause=1)
    here.deployment.kill("scheduler", 1)
    here.deployment.stopped.add(("scheduler", 1))
    return 0


FAULTS = (
    Fault("none, to compare with", "push", _nothing),
    Fault("worker killed (kill -9) in extract", "extract", _kill_worker("extract")),
    Fault("worker killed (kill -9) in push", "push", _kill_worker("push")),
    Fault("PostgreSQL restarted in extract", "extract", _restart_database),
    Fault("PostgreSQL restarted in push", "push", _restart_database),
    Fault("broker restarted in push", "push", _restart("redis")),
    Fault("scheduler killed and started in push", "push", _restart("scheduler", kill=True)),
    Fault("triggerer killed and started in push, an inbox being watched", "push", _kill_triggerer, _watch_inbox),
    Fault("network cut between workers and both APIs for 15 s, in push", "push", _cut),
    Fault("bucket answers 503 to every fifth request, extract to gate", "extract", _failing_bucket),
    Fault("bucket full in extract", "extract", _full_bucket),
    Fault("two schedulers, the first one killed in push", "push", _two_schedulers),
)
