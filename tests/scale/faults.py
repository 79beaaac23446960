"""Faults in the middle of a run, one after the other on one deployment: what Ometria got in the end is what counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ometria_provider.sandbox.settings import SandboxSettings

from tests.benchmarks.figures import Row
from tests.scale.site import Site, say, site

MEMBERS, CONCURRENCY = 12_000, 8
#: Requests that are acknowledged when a fault strikes a push.
UNDER_WAY = 20
#: Seconds that Antavo takes for a page when a fault is to strike an extract.
SLOW_MS = 1_500
LIMIT = 420.0


@dataclass(frozen=True)
class Fault:
    """What happens to a run.

    :param step: during which it happens.
    :param strike: lets it happen, and ends it.
    """

    name: str
    step: str
    strike: Callable[[Site, str], None]


def measure(*, only: str | None = None) -> list[Row]:
    """Return a row for each fault."""
    settings = SandboxSettings(
        port=0, members=MEMBERS, antavo_requests_per_minute=6_000, ometria_data_per_second=20, validation_delay_ms=0
    )
    chosen = [fault for fault in FAULTS if only is None or any(word in fault.name for word in only.split(","))]
    with site(settings, ometria={"concurrency": CONCURRENCY, "settle_seconds": 2}) as here:
        return [_row(here, number, fault) for number, fault in enumerate(chosen)]


def _row(here: Site, number: int, fault: Fault) -> Row:
    say(f"  {fault.name}")
    if number:
        # Every member differs from what Ometria has, so that every run has all of them to push.
        here.sandbox.control("members", {"change": MEMBERS, "set": {"score": 10_000 + number}, "silently": True})
    before, began = here.received(), time.monotonic()
    here.sandbox.control("settings", {"latency_ms": SLOW_MS if fault.step == "extract" else 0})
    run_id = here.start()
    _wait_for(here, run_id, fault.step)
    fault.strike(here, run_id)
    here.sandbox.control("settings", {"latency_ms": 0})
    row = here.end(run_id, limit=LIMIT)
    after = here.received()
    received, twice = (after[name] - before[name] for name in ("received", "repeats"))
    in_flight = CONCURRENCY * 100
    whole = _is_whole(row) and received - twice == row["sent"] and row["sent"] > MEMBERS * 0.9
    return Row(
        fault.name,
        f"{row['colour']} after {time.monotonic() - began:.0f} s; {received - twice:,} of {row.get('sent', 0):,} "
        f"delivered, {twice} twice",
        "",
        f"green, none lost, at most {in_flight} twice" if fault.step == "push" else "green, none lost, none twice",
        row["colour"] == "success" and whole and twice <= (in_flight if fault.step == "push" else 0),
    )


def _is_whole(row: dict[str, Any]) -> bool:
    parts = ("unchanged", "filtered", "rejected", "accepted", "pending")
    return bool(row.get("read") == MEMBERS == sum(row[name] for name in parts) and row["pending"] == 0)


def _wait_for(here: Site, run_id: str, step: str) -> None:
    """Return when a run is in the middle of a step."""
    if step == "push":
        here.wait(lambda: here.acknowledged(run_id) >= UNDER_WAY, "the push to be under way", pause=0.1)
    elif step == "extract":
        here.worker_of(run_id, "extract")


def _kill_worker(step: str) -> Callable[[Site, str], None]:
    def strike(here: Site, run_id: str) -> None:
        here.deployment.kill("worker", here.worker_of(run_id, step))
        time.sleep(2)

    return strike


def _restart(name: str, *, kill: bool = False) -> Callable[[Site, str], None]:
    def strike(here: Site, _run_id: str) -> None:
        (here.deployment.kill if kill else here.deployment.stop)(name, 1)
        time.sleep(1)
        here.deployment.start(name, 1)

    return strike


def _cut(here: Site, _run_id: str) -> None:
    here.wire.cut()
    time.sleep(15)
    here.wire.mend()


def _failing_bucket(here: Site, run_id: str) -> None:
    here.store.fail(status=503, code="SlowDown", share=0.2)
    here.wait(lambda: here.step(run_id, "gate"), "the gate", limit=LIMIT, pause=1)
    struck = here.store.stats()["struck"]
    here.store.mend()
    assert struck, "no request of the bucket failed"


def _full_bucket(here: Site, run_id: str) -> None:
    here.store.fail(status=507, code="InsufficientStorage", methods="PUT POST")
    here.sandbox.control("settings", {"latency_ms": 0})

    def has_failed() -> bool:
        return any(step["state"] == "failed" for step in here.step(run_id, "extract"))

    here.wait(has_failed, "extract to fail", limit=LIMIT, pause=1)
    here.store.mend()


def _two_schedulers(here: Site, _run_id: str) -> None:
    here.deployment.start("scheduler", 2)
    here.wait(lambda: here.deployment.is_well("scheduler", 2), "the second scheduler", pause=1)
    here.deployment.kill("scheduler", 1)
    here.deployment.stopped.add(("scheduler", 1))


FAULTS = (
    Fault("none, to compare with", "push", lambda _here, _run_id: None),
    Fault("worker killed (kill -9) in extract", "extract", _kill_worker("extract")),
    Fault("worker killed (kill -9) in push", "push", _kill_worker("push")),
    Fault("PostgreSQL restarted in extract", "extract", _restart("postgres")),
    Fault("PostgreSQL restarted in push", "push", _restart("postgres")),
    Fault("broker restarted in push", "push", _restart("redis")),
    Fault("scheduler killed and started in push", "push", _restart("scheduler", kill=True)),
    Fault("triggerer killed and started in push", "push", _restart("triggerer", kill=True)),
    Fault("network cut between workers and both APIs for 15 s, in push", "push", _cut),
    Fault("bucket answers 503 to every fifth request, extract to gate", "extract", _failing_bucket),
    Fault("bucket full in extract", "extract", _full_bucket),
    Fault("two schedulers, the first one killed in push", "push", _two_schedulers),
)
