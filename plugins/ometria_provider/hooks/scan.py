"""Read every customer by ``created_at``, missing nobody who stays (design.md "No customer missed").

Offset pages drift while members join or leave, but ``created_at`` never changes: each request asks from the last value
seen. A page from offset 0 holds everybody with a smaller value than its last, so only customers that share one value
(a bulk import) ever need offsets. There each page overlaps the one before: as long as it begins with somebody known,
nobody slipped between the two; otherwise it is asked again further back.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from ometria_provider.exceptions import Misconfigured, Retryable

Customer = dict[str, Any]
Instant = datetime.datetime
FetchPage = Callable[[Instant | None, int], list[Customer]]  # (created_at from here on, offset) -> rows, ascending

MAX_PASSES = 20  # over the customers that share one value
MAX_STEPS_BACK = 40  # without getting further than before
FIRST_STEP_BACK = 16  # rows
SLACK = 1000  # rows by which an offset may exceed the customers that were seen there

log = logging.getLogger(__name__)


@dataclass
class _Row:
    id: str | None
    at: Instant | None
    customer: Customer


@dataclass
class _Walk:
    """Where the scan stands: the last value seen, and who was seen with it (or with no readable value)."""

    fetch: FetchPage
    warn: Callable[[str], None]
    key: Instant | None
    seen: set[str] = field(default_factory=set)
    undated: set[str] = field(default_factory=set)
    longest: int = 0

    def read(self, offset: int) -> list[_Row]:
        """Read a page; refuse one whose order or filter would make the scan miss somebody."""
        rows = [_row(customer) for customer in self.fetch(self.key, offset)]
        self.longest = max(self.longest, len(rows))
        dates = [row.at for row in rows if row.at is not None]
        if dates != sorted(dates):
            raise Misconfigured("The Read API does not sort by created_at, so that a scan would miss customers.")
        if dates and self.key is not None and dates[-1] < self.key:
            raise Misconfigured("The Read API does not filter by created_at, so that a scan would miss customers.")
        unnamed = sum(row.id is None for row in rows)
        if unnamed and unnamed == len(rows):
            raise Misconfigured("The Read API's customers have no _id; check read_api_url of the connection.")
        if unnamed:
            self.warn(f"{unnamed} customers without _id left out")
        return rows

    def take(self, rows: list[_Row]) -> list[Customer]:
        """Remember the rows and return the customers that are new; those before the key were had already."""
        new = []
        for row in rows:
            known = self.undated if row.at is None else self.seen
            if row.id is None or row.id in known or (row.at and self.key and row.at < self.key):
                continue
            known.add(row.id)
            new.append(row.customer)
        return new

    def knows(self, row: _Row) -> bool:
        return row.id in (self.undated if row.at is None else self.seen)

    def is_later(self, row: _Row) -> bool:
        return row.at is not None and (self.key is None or row.at > self.key)

    @property
    def equals(self) -> set[str]:
        """Who was seen with the key as value."""
        return self.undated if self.key is None else self.seen

    def move(self, key: Instant, rows: list[_Row]) -> None:
        """Go on from a later value."""
        self.key = key
        self.seen = {row.id for row in rows if row.at == key and row.id is not None}


def walk(
    fetch: FetchPage, *, gte: Instant | None = None, warn: Callable[[str], None] = log.warning
) -> Iterator[list[Customer]]:
    """Yield lists of customers: each that is there during the whole scan, exactly once.

    The end is a page that brings nothing new, not a short one: the server may cap pages. A customer without a readable
    ``created_at`` is yielded where the server puts it; one without ``_id`` is left out with a warning.

    :param fetch: gives the rows from a value and offset on, ascending by ``created_at``; a page of two rows or more.
    :raises Misconfigured: the server ignores the order or the filter.
    :raises Retryable: the customers that share one value keep moving.
    """
    walk = _Walk(fetch, warn, gte)
    while True:
        rows = walk.read(0)
        if new := walk.take(rows):
            yield new
        last = max((row.at for row in rows if row.at is not None), default=None)
        if last is not None and (walk.key is None or last > walk.key):
            walk.move(last, rows)
            continue
        if not rows or (len(rows) == 1 and walk.longest > 1):
            return
        following = yield from _share_one_value(walk, start=len(rows) - 1)
        if following is None:
            return
        walk.move(following, [])


def _share_one_value(walk: _Walk, *, start: int) -> Generator[list[Customer], None, Instant | None]:
    """Read all customers of the walk's value by offset, and return the next value, None at the end.

    When the server's order among equals proves unstable, or fewer were seen than there are, they are passed over again.
    """
    for _ in range(MAX_PASSES):
        done = yield from _pass(walk, start)
        if len(walk.equals) >= done.total and (done.tidy or not done.brought):
            return done.following
        start = 0
    raise Retryable(
        f"Customers created at {walk.key} keep moving while they are read; start the scan again when fewer change."
    )


@dataclass
class _Pass:
    end: int = 0  # the position behind the last customer of the value
    others: set[int] = field(default_factory=set)  # positions before it of rows that are not such customers
    following: Instant | None = None  # the next value
    brought: bool = False  # somebody new
    tidy: bool = True  # nobody known came after somebody new: the order among equals is stable

    @property
    def total(self) -> int:
        """How many customers share the value, by their positions."""
        return self.end - len(self.others)


def _pass(walk: _Walk, start: int) -> Generator[list[Customer], None, _Pass]:
    result, offset, back, steps, furthest = _Pass(), start, FIRST_STEP_BACK, 0, -1
    while True:
        rows = walk.read(offset)
        one_by_one = walk.longest == 1 and not rows  # nothing ever came but single rows: this is the end
        if offset and not one_by_one and not (rows and walk.knows(rows[0])):
            # Somebody before this page left: those after it moved up, perhaps past its begin.
            if (steps := steps + 1) > MAX_STEPS_BACK:
                raise Retryable(f"Customers created at {walk.key} move faster than they can be read; try later.")
            offset, back = max(0, offset - back), back * 2
            continue
        back = FIRST_STEP_BACK
        if offset > furthest:
            steps, furthest = 0, offset
        cut = next((i for i, row in enumerate(rows) if walk.is_later(row)), len(rows))
        known = [walk.knows(row) for row in rows[:cut]]
        result.tidy &= known == sorted(known, reverse=True)
        result.others |= {offset + i for i, row in enumerate(rows[:cut]) if row.at != walk.key or row.id is None}
        result.end = offset + cut
        if new := walk.take(rows[:cut]):
            result.brought = True
            yield new
        if cut < len(rows):
            result.following = rows[cut].at
            return result
        if not rows or (len(rows) == 1 and walk.longest > 1):
            return result
        offset += max(1, len(rows) - 1)
        if offset > 2 * (len(walk.equals) + len(result.others)) + SLACK:
            raise Misconfigured("The Read API ignores the offset, so that a scan would miss customers.")


def instant(text: object) -> Instant | None:
    """Read a time of the Read API (ISO 8601, no offset means UTC) as UTC, None when it cannot be read."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None


def instant_text(moment: Instant) -> str:
    """Write a UTC time for a query: ``2026-01-15T12:00:00.123456Z``, the fraction only when there is one."""
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def _row(customer: Customer) -> _Row:
    identifier = customer.get("_id")
    known = identifier is not None and identifier != ""
    return _Row(str(identifier) if known else None, instant(customer.get("created_at")), customer)
