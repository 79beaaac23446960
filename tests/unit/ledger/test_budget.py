import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from ometria_provider.exceptions import Retryable
from ometria_provider.ledger.budget import CATCH_UP, COURTESY, LOST, PACE, PUNCTUAL, RateBudget
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


def next_at(ledger: Ledger) -> float:
    with ledger.read() as connection:
        return float(connection.execute(text("SELECT next_at FROM rate_budget")).scalar_one())


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
        queue.leased_at = time.monotonic()
        wait = next(leases)
        queue.taken = 0 if wait else 1
        return wait

    monkeypatch.setattr(limiter, "_lease", lease)
    monkeypatch.setattr(time, "sleep", slept.append)
    limiter.acquire("push")
    assert slept == [pytest.approx(0.1 + later)]


def test_departures_that_a_busy_machine_holds_up_never_exceed_the_rate(ledger: Ledger) -> None:
    """A server counts when a request comes: without a word of those that left late nine would come within 0.95 s."""
    first, second = budget(ledger), budget(ledger)  # as two processes have them
    left: list[float] = []

    def work(shared: RateBudget, held_up: list[float]) -> None:
        for seconds in held_up:
            shared.acquire("push")
            time.sleep(seconds)
            left.append(time.monotonic())
            shared.departed("push")

    stalls = [[0, 0.08, 0, 0.05, 0, 0.2, 0, 0.08], [0.07, 0, 0, 0.08, 0, 0.08, 0.03, 0], [0, 0, 0.1, 0, 0, 0.08, 0, 0]]
    of = (first, first, second)
    threads = [threading.Thread(target=work, args=pair) for pair in zip(of, stalls, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(left) == 24
    assert closest_nine(sorted(left)) >= 1.0


def test_departure_on_time_moves_no_slot(sqlite_ledger: Ledger) -> None:
    limiter = budget(sqlite_ledger)
    limiter.acquire("push")
    before = next_at(sqlite_ledger)
    limiter.departed("push")
    assert next_at(sqlite_ledger) == before
    limiter._mine.at -= 0.05
    limiter.departed("push")
    assert next_at(sqlite_ledger) - before == pytest.approx(0.05 - PUNCTUAL, abs=0.03)
    limiter._mine.at -= 60
    limiter.departed("push")
    one_slot_more = 0.05 - PUNCTUAL + 1 / RATE / PACE
    assert next_at(sqlite_ledger) - before == pytest.approx(one_slot_more, abs=0.03), "one slot at most"


def test_departure_that_the_ledger_cannot_be_told_of_raises_nothing(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer to the request is still to come, and must be heard."""
    limiter = budget(sqlite_ledger)
    limiter.acquire("push")
    limiter._mine.at -= 0.05

    def gone(_self: Ledger) -> None:
        raise Retryable("gone")

    monkeypatch.setattr(Ledger, "write_at_once", gone)
    limiter.departed("push")
    assert "the ledger could not be told: gone" in caplog.text


def test_slot_whose_time_passed_while_it_was_leased_is_left_unused(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = budget(sqlite_ledger, 1_000.0)
    original, stalls = limiter._lease, iter([LOST + 0.1, 0.0])

    def lease(bucket: str, queue: Any) -> float:
        wait = original(bucket, queue)
        if not wait:
            queue.leased_at -= next(stalls)
        return wait

    monkeypatch.setattr(limiter, "_lease", lease)
    limiter.acquire("push")
    assert next(stalls, None) is None, "it was leased twice"
    assert limiter.granted["push"] == 1
