import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from ometria_provider.ledger.budget import CATCH_UP, COURTESY, PACE, RateBudget
from ometria_provider.ledger.engine import Ledger
from sqlalchemy import text

RATE = 8.0

#: Writes down, by the database's clock, each moment at which a slot was taken.
LOG_LEASES = {
    "sqlite": (
        "CREATE TABLE lease (at DOUBLE)",
        "CREATE TRIGGER log_lease AFTER UPDATE ON rate_budget BEGIN"
        " INSERT INTO lease VALUES ((julianday('now') - 2440587.5) * 86400.0); END",
    ),
    "postgresql": (
        "CREATE TABLE lease (at DOUBLE PRECISION)",
        "CREATE FUNCTION log_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO lease VALUES (extract(epoch from clock_timestamp())); RETURN NULL; END $$",
        "CREATE TRIGGER log_lease AFTER UPDATE ON rate_budget FOR EACH ROW EXECUTE FUNCTION log_lease()",
    ),
}

WORKER = """
import sys, threading
from ometria_provider.ledger.budget import RateBudget
from ometria_provider.ledger.engine import open_ledger
budget = RateBudget(open_ledger(sys.argv[1]), "ometria_default", {"push": float(sys.argv[2])})
def work():
    for _ in range(int(sys.argv[3])):
        budget.acquire("push")
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def log_leases(ledger: Ledger) -> None:
    with ledger.write() as connection:
        for statement in LOG_LEASES[ledger.dialect]:
            connection.exec_driver_sql(statement)


def leases(ledger: Ledger) -> list[float]:
    with ledger.read() as connection:
        return list(connection.execute(text("SELECT at FROM lease ORDER BY at")).scalars())


def closest_nine(times: list[float]) -> float:
    return min(ninth - first for first, ninth in zip(times, times[8:], strict=False))


def budget(ledger: Ledger, rate: float = RATE, account: str = "ometria_default") -> RateBudget:
    return RateBudget(ledger, account, {"push": rate, "data": rate})


def test_leases_of_two_processes_with_three_threads_each_never_exceed_the_rate(ledger: Ledger, ledger_url: str) -> None:
    log_leases(ledger)
    command = [sys.executable, "-c", WORKER, ledger_url, str(RATE), "4"]
    workers = [subprocess.Popen(command) for _ in range(2)]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    times = leases(ledger)
    assert len(times) == 24
    assert closest_nine(times) >= 1.0


def test_leases_of_many_threads_use_the_rate_and_no_more(ledger: Ledger) -> None:
    log_leases(ledger)
    shared, fast = budget(ledger, rate := 100.0), 60
    threads = [threading.Thread(target=lambda: [shared.acquire("push") for _ in range(fast // 6)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = leases(ledger)
    assert len(times) == fast
    ideal = (fast - 1) / (rate * PACE)
    assert ideal - CATCH_UP - 0.002 <= times[-1] - times[0] <= 3 * ideal


def test_leases_after_a_pause_do_not_catch_up(ledger: Ledger) -> None:
    log_leases(ledger)
    shared = budget(ledger, 50.0)
    shared.acquire("push")
    time.sleep(0.2)  # ten leases' worth, not to be had later
    for _ in range(3):
        shared.acquire("push")
    times = leases(ledger)
    assert times[3] - times[1] >= 2 / 50 - CATCH_UP


def test_leases_of_two_accounts_and_buckets_do_not_wait_for_each_other(ledger: Ledger) -> None:
    slow = budget(ledger, rate=0.01)
    started = time.monotonic()
    slow.acquire("push")
    slow.acquire("data")
    budget(ledger, rate=0.01, account="other").acquire("push")
    assert time.monotonic() - started < 5


def test_yield_for_holds_everybody_back(ledger: Ledger) -> None:
    first, second = budget(ledger, 1_000.0), budget(ledger, 1_000.0)
    first.acquire("push")
    started = time.monotonic()
    first.yield_for("push", 0.3)
    second.acquire("push")
    assert time.monotonic() - started >= 0.29
    assert second.waited > 0


def test_leases_after_yielding_are_spaced_and_no_herd(ledger: Ledger) -> None:
    """Everybody waits for the same moment, in several processes; then they go one by one."""
    rate = 50.0
    shared, others = budget(ledger, rate), budget(ledger, rate)
    shared.acquire("push")
    shared.yield_for("push", 0.3)
    log_leases(ledger)
    threads = [threading.Thread(target=each.acquire, args=("push",)) for each in (shared, others) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = leases(ledger)
    assert len(times) == 12
    for apart in range(1, 12):
        closest = min(later - earlier for earlier, later in zip(times, times[apart:], strict=False))
        assert closest >= apart / rate - CATCH_UP - 0.002


def test_yield_for_less_than_somebody_asked_for_already_changes_nothing(ledger: Ledger) -> None:
    shared = budget(ledger, 1_000.0)
    shared.acquire("push")
    started = time.monotonic()
    shared.yield_for("push", 0.3)
    shared.yield_for("push", 0.01)
    shared.acquire("push")
    assert time.monotonic() - started >= 0.25


@pytest.mark.parametrize("rate", [0.5, 8.0, 333.3])
def test_pace_keeps_a_margin_below_the_rate(sqlite_ledger: Ledger, rate: float) -> None:
    assert budget(sqlite_ledger, rate)._intervals["push"] > 1 / rate


@pytest.mark.parametrize(("urgent", "later"), [(True, 0.0), (False, COURTESY)])
def test_whoever_sends_by_the_thousand_asks_a_moment_after_the_slot_is_due(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, urgent: bool, later: float
) -> None:
    slept: list[float] = []
    limiter = RateBudget(ledger, "ometria_default", {"push": RATE}, urgent=urgent)
    leases = iter([0.1, 0.0])

    def lease(_bucket: str, queue: Any) -> float:
        queue.taken = 1
        wait = next(leases)
        queue.taken = 0 if wait else 1
        return wait

    monkeypatch.setattr(limiter, "_lease", lease)
    monkeypatch.setattr(time, "sleep", slept.append)
    limiter.acquire("push")
    assert slept == [pytest.approx(0.1 + later)]
