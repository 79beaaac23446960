"""One rate budget for each account, kept in the ledger and so shared by every task on every worker.

A request leases the next slot just before it goes. A lease is for now, never for later: whoever finds the slot in
the future sleeps until then and asks again, so nobody holds a place in a queue and nobody needs priorities. Whoever
sends by the thousand asks a moment after the slot is due, so that a campaign event which waits beside gets it first.

Between lease and departure a busy machine may hold a request up. A server that counts in any window sees when it came,
not when it was leased: whoever left late takes that much from the slots that follow (ADR 42).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, literal, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Double

from ometria_provider.exceptions import SyncError
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import RateSlot
from ometria_provider.ledger.statements import Prepared, insert

log = logging.getLogger(__name__)

#: Share of the documented rate that is used. Requests leave evenly spaced, yet reach the server with some jitter;
#: the server may count in any window. At 0.975 nine requests of an 8/s account span 1.026 s.
PACE = 0.975

#: How long after its slot is due somebody asks who sends by the thousand, in seconds; less than CATCH_UP forgives.
COURTESY = 0.003

#: How late a request may be and still be counted on time, in seconds; what is later is lost, not caught up on.
CATCH_UP = 0.006

#: How long after its lease a request may leave and not move the slots behind it, in seconds; whoever leaves later moves
#: them by what goes beyond. With CATCH_UP it leaves half of what PACE spares for the way to the server.
PUNCTUAL = 0.006

#: Who comes back from leasing so much later, in seconds, leaves the slot unused: a whole window's may have gone since.
LOST = 0.5

#: Seconds of slots that one lease may take at once: one per cent of a second's, less than PACE leaves free.
BUNDLE = 0.01

#: Seconds; nobody is ever told to wait this long.
FAR_OFF = 600.0


class db_now(FunctionElement[float]):
    """The database's clock in seconds since 1970: workers' clocks differ."""

    type = Double()
    inherit_cache = True


@compiles(db_now, "sqlite")
def _sqlite_now(_element: db_now, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(db_now, "postgresql")
def _postgres_now(_element: db_now, _compiler: Any, **_options: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


@dataclass
class _Queue:
    """This process's threads that want a slot: one at a time asks the database, the others would only ask in vain.

    :param waiting: threads in the queue, the one whose turn it is included.
    :param taken: slots leased for those in the queue and not used yet.
    :param leased_at: when that was, on this process's clock.
    """

    turn: threading.Lock = field(default_factory=threading.Lock)
    counting: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0
    taken: int = 0
    leased_at: float = 0.0


class _Leased(threading.local):
    """When a thread's last slot was leased, on this process's clock."""

    at: float = 0.0


class RateBudget:
    """Leases of one account (implements the hooks' `Limiter`).

    :param ledger: where the slots are kept.
    :param account: the connection id; one connection stands for one account.
    :param rates: requests a second, by bucket (`push`, `data`, `requests`).
    :param urgent: for a few requests that somebody waits for; others leave them the slot that is due.
    """

    def __init__(self, ledger: Ledger, account: str, rates: Mapping[str, float], *, urgent: bool = False) -> None:
        self._courtesy = 0.0 if urgent else COURTESY
        self._ledger = ledger
        self._account = account
        self._intervals = {bucket: 1 / (rate * PACE) for bucket, rate in rates.items()}
        self._queues: dict[str, _Queue] = defaultdict(_Queue)
        self._mine = _Leased()
        self.granted: Counter[str] = Counter()

    def acquire(self, bucket: str) -> None:
        """Block until a request may go now.

        :raises Retryable: when the ledger does not answer.
        """
        queue = self._queues[bucket]
        with queue.counting:
            queue.waiting += 1
        try:
            with queue.turn:
                while not queue.taken:
                    if (wait := self._lease(bucket, queue)) > 0:
                        time.sleep(wait + self._courtesy)
                    elif time.monotonic() - queue.leased_at > LOST:
                        queue.taken = 0
                queue.taken -= 1
                self.granted[bucket] += 1
                self._mine.at = queue.leased_at
        finally:
            with queue.counting:
                queue.waiting -= 1

    def departed(self, bucket: str) -> None:
        """Hear that the request for which this thread acquired a slot is on its way.

        If it left late, the slots that follow move, whoever takes them: of a window that holds one request more than
        was meant, one of them is gone. One slot is enough, however late it left. Nothing is raised, as the answer is
        still to come.
        """
        late, interval = time.monotonic() - self._mine.at - PUNCTUAL, self._intervals[bucket]
        if late <= 0 or interval < BUNDLE:
            return
        later = RateSlot.next_at + literal(min(late, interval), Double)
        try:
            with self._ledger.write_at_once() as connection:
                connection.execute(update(RateSlot).where(*self._slot(bucket)).values(next_at=later))
        except SyncError as error:
            log.warning("A request left %.0f ms late, and the ledger could not be told: %s", late * 1000, error)

    def yield_for(self, bucket: str, seconds: float) -> None:
        """Let nobody go before `seconds` from now: the server said that the account is over its limit."""
        with self._ledger.write() as connection:
            connection.execute(
                update(RateSlot)
                .where(*self._slot(bucket), RateSlot.next_at < db_now() + literal(seconds, Double))
                .values(next_at=db_now() + literal(seconds, Double))
            )

    def _lease(self, bucket: str, queue: _Queue) -> float:
        """Take a slot that is due, and return 0; else return the seconds until it is.

        Where slots lie closer together than :data:`BUNDLE`, threads that wait side by side get theirs at once. A power
        cut may forget a lease: the slot is long past then, and waiting for the disk would be jitter to the server.
        """
        slot = {"of_account": self._account, "of_bucket": bucket}
        interval = self._intervals[bucket]
        slots = max(1, min(queue.waiting, int(BUNDLE / interval)))

        def work(connection: Connection) -> float | None:
            if _take(self._ledger).run(connection, **slot, interval=slots * interval).rowcount:
                queue.leased_at = time.monotonic()
                return None
            due_in: float | None = _due_in(self._ledger).run(connection, **slot).scalar()
            if due_in is None:
                values = {"account": self._account, "bucket": bucket, "next_at": 0.0}
                connection.execute(insert(self._ledger, RateSlot).values(values).on_conflict_do_nothing())
            return due_in or 0.0

        due_in = self._ledger.transact(work, at_once=True)
        if due_in is None:
            queue.taken = slots
            return 0.0
        return max(due_in, 0.0005)

    def _slot(self, bucket: str) -> tuple[Any, Any]:
        return RateSlot.account == self._account, RateSlot.bucket == bucket


_SLOT = (RateSlot.account == bindparam("of_account"), RateSlot.bucket == bindparam("of_bucket"))


@cache
def _take(ledger: Ledger) -> Prepared:
    earliest = db_now() - CATCH_UP
    base = case((RateSlot.next_at > earliest, RateSlot.next_at), else_=earliest)
    # A slot that far off was never leased: the database's clock was set back.
    due = or_(RateSlot.next_at <= db_now(), RateSlot.next_at > db_now() + FAR_OFF)
    base = case((RateSlot.next_at > db_now(), db_now()), else_=base)
    statement = update(RateSlot).where(*_SLOT, due)
    return Prepared(ledger, statement.values(next_at=base + bindparam("interval", type_=Double)))


@cache
def _due_in(ledger: Ledger) -> Prepared:
    return Prepared(ledger, select(RateSlot.next_at - db_now()).where(*_SLOT))
