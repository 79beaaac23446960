"""Who is in the loyalty programme now: the made-up members, less those who left, plus changes and new joiners."""

from __future__ import annotations

import copy
import datetime
import random
import sqlite3
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import msgspec

from ometria_provider.sandbox.members import Customer, Generator, iso
from ometria_provider.sandbox.shapes import unix
from ometria_provider.sandbox.state import commit

_STATUSES = ("active", "inactive", "pending", "suspended", "banned", "merged")


class Directory:
    """The members in order of ``created_at``; positions shift when somebody joins or leaves, as in the real thing.

    A member is its number in the generator, or, for joiners, a number from the generator's count on. The table
    ``customer`` holds only who differs from the generator: a body, or null for those who left.
    """

    def __init__(self, generator: Generator, database: sqlite3.Connection) -> None:
        self.generator, self._database = generator, database
        self._changed: dict[int, Customer] = {}
        self._gone: list[int] = []  # base members who left, sorted
        self._joined: list[tuple[int, int]] = []  # (created_at, number) of joiners, sorted
        self._numbers: dict[str, int] = {}  # id → number of joiners
        self._next_number = generator.count
        self._columns: dict[str, array[int]] = {}
        self._statuses: list[tuple[str, list[int]]] | None = None
        self._restore()

    def _restore(self) -> None:
        made = f"{self.generator.seed}/{self.generator.count}"
        row = self._database.execute("select value from meta where name='members'").fetchone()
        if row is None or row[0] != made:  # other members: what was changed on the old ones means nothing
            self._database.execute("delete from customer")
            self._database.execute("insert or replace into meta values ('members', ?)", (made,))
            commit(self._database)
        for customer_id, number, body in self._database.execute(
            "select id, number, body from customer order by number"
        ):
            self._next_number = max(self._next_number, number + 1)
            if body is None:
                self._gone += [number] if number < self.generator.count else []
            else:
                self._place(customer_id, number, msgspec.json.decode(body))

    def _place(self, customer_id: str, number: int, customer: Customer) -> None:
        self._changed[number] = customer
        if number >= self.generator.count and customer_id not in self._numbers:
            self._numbers[customer_id] = number
            insort(self._joined, (unix(customer["created_at"]) or 0, number))

    # Reading

    def __len__(self) -> int:
        return self.generator.count - len(self._gone) + len(self._joined)

    def get(self, customer_id: str) -> Customer | None:
        """Return a member by id, or None."""
        number = self._number(customer_id)
        return None if number is None else self._member(number)

    def _number(self, customer_id: str) -> int | None:
        if customer_id in self._numbers:
            return self._numbers[customer_id]
        number = self.generator.index(customer_id)
        return None if number is None or self._is_gone(number) else number

    def _is_gone(self, number: int) -> bool:
        at = bisect_left(self._gone, number)
        return at < len(self._gone) and self._gone[at] == number

    def _member(self, number: int) -> Customer:
        return self._changed.get(number) or self.generator.member(number)

    def page(self, numbers: Sequence[int], offset: int, limit: int) -> list[Customer]:
        """Return the members at some positions of an order."""
        return [self._member(number) for number in numbers[offset : offset + limit]]

    def order(self) -> Numbers:
        """Return all members by ``created_at``."""
        return Numbers(self.generator.count, self._gone, self._joined, self.created)

    def created(self, number: int) -> int:
        """Return a member's ``created_at`` in unix seconds."""
        if number < self.generator.count:
            return self.generator.joined(number)
        return unix(self._changed[number]["created_at"]) or 0

    def by_status(self) -> list[tuple[str, list[int]]]:
        """Return each status with its members by ``created_at``."""
        if self._statuses is not None:
            return self._statuses
        codes = self._column("status")
        found: dict[str, list[int]] = {name: [] for name in _STATUSES}
        for number in self.order():
            changed = self._changed.get(number)
            found.setdefault(changed["status"] if changed else _STATUSES[codes[number]], []).append(number)
        self._statuses = sorted(found.items())
        return self._statuses

    def updated(self) -> Iterator[tuple[int, int]]:
        """Return each member's number and ``updated_at`` in unix seconds."""
        times = self._column("updated_at")
        for number in self.order():
            changed = self._changed.get(number)
            yield number, (unix(changed["updated_at"]) or 0) if changed else times[number]

    def _column(self, name: str) -> array[int]:
        """Return one attribute of all base members, worked out on first use."""
        if name not in self._columns:
            every = range(self.generator.count)
            self._columns[name] = (
                array("q", map(self.generator.updated, every))
                if name == "updated_at"
                else array("b", (_STATUSES.index(self.generator.status(i)) for i in every))
            )
        return self._columns[name]

    # Changing

    def some(self, count: int, seed: str | None = None) -> list[str]:
        """Return the ids of ``count`` members drawn at random (the same for the same seed, if nobody came or went)."""
        order = self.order()
        drawn = random.Random(seed).sample(range(len(order)), min(count, len(order)))  # noqa: S311 (test data)
        return [self._member(order[at])["_id"] for at in drawn]

    def change(self, customer_id: str, fields: dict[str, Any]) -> bool:
        """Set fields (dotted paths into the Read API's shape) and ``updated_at``; False when nobody has the id."""
        number = self._number(customer_id)
        if number is None:
            return False
        customer = copy.deepcopy(self._member(number))
        for path, value in {"updated_at": _now(), **fields}.items():
            *parents, name = path.split(".")
            target = customer
            for parent in parents:
                target = target.setdefault(parent, {})
            target[name] = value
        self._store(customer_id, number, customer)
        return True

    def remove(self, customer_id: str) -> bool:
        """Let a member leave; False when nobody has the id."""
        number = self._number(customer_id)
        if number is None:
            return False
        customer = self._changed.pop(number, None)
        if number < self.generator.count:
            insort(self._gone, number)
        elif customer is not None:
            self._joined.remove((unix(customer["created_at"]) or 0, number))
            del self._numbers[customer_id]
        self._store(customer_id, number, None)
        return True

    def add(self, fields: dict[str, Any] | None = None) -> str:
        """Let somebody join, now unless ``created_at`` says otherwise; return the id.

        :param fields: dotted paths into the Read API's shape, over a made-up member.
        """
        number, now = self._next_number, _now()
        customer = copy.deepcopy(self.generator.member(number))
        customer["_id"] = str((fields or {}).get("_id") or customer["_id"])
        customer |= {"created_at": now, "optin_at": now, "last_login_at": None}
        self._next_number += 1
        customer |= {key: value for key, value in (fields or {}).items() if "." not in key and key != "_id"}
        self._store(customer["_id"], number, customer)
        self.change(customer["_id"], {key: value for key, value in (fields or {}).items() if "." in key})
        return str(customer["_id"])

    def _store(self, customer_id: str, number: int, customer: Customer | None) -> None:
        if customer is not None:
            self._place(customer_id, number, customer)
        self._statuses = None
        body = None if customer is None else msgspec.json.encode(customer)
        self._database.execute("insert or replace into customer values (?,?,?)", (customer_id, number, body))


class Numbers(Sequence[int]):
    """The members' numbers by ``created_at``, found by position without listing them all."""

    def __init__(
        self, count: int, gone: list[int], joined: list[tuple[int, int]], created: Callable[[int], int]
    ) -> None:
        self._count, self._gone, self._created = count, gone, created
        self._alive = count - len(gone)
        # Position of each joiner among all: the base members up to its created_at, and the joiners before it.
        self._joiners = [number for _, number in joined]
        self._places = [self._base_before(time + 1) + n for n, (time, _) in enumerate(joined)]

    def __len__(self) -> int:
        return self._alive + len(self._joiners)

    def __iter__(self) -> Iterator[int]:
        return iter(self[0 : len(self)])

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> list[int]: ...
    def __getitem__(self, at: int | slice) -> int | list[int]:
        if isinstance(at, int):
            return self._slice(at, at + 1)[0]
        return self._slice(*at.indices(len(self))[:2])

    def between(self, low: float, high: float) -> Sequence[int]:
        """Return those created from ``low`` to before ``high`` (unix seconds)."""
        return _Part(self, self._before(low), self._before(high))

    def _before(self, time: float) -> int:
        return self._base_before(time) + bisect_left(self._joiners, time, key=self._created)

    def _base_before(self, time: float) -> int:
        number = bisect_left(range(self._count), time, key=self._created)
        return number - bisect_left(self._gone, number)

    def _slice(self, start: int, stop: int) -> list[int]:
        joiner = bisect_left(self._places, start)
        at, stop = start, min(stop, len(self))
        number = self._base(start - joiner)
        gone = bisect_right(self._gone, number)
        found: list[int] = []
        while at < stop:
            if joiner < len(self._places) and self._places[joiner] == at:
                found.append(self._joiners[joiner])
                joiner += 1
            else:
                while gone < len(self._gone) and self._gone[gone] == number:
                    number, gone = number + 1, gone + 1
                found.append(number)
                number += 1
            at += 1
        return found

    def _base(self, rank: int) -> int:
        """Return the number of the ``rank``-th base member still here."""
        if not self._gone:
            return rank
        return bisect_right(range(self._count), rank, key=lambda n: n + 1 - bisect_right(self._gone, n))


class _Part(Sequence[int]):
    """A stretch of ``Numbers``, cut without copying."""

    def __init__(self, whole: Numbers, start: int, stop: int) -> None:
        self._whole, self._range = whole, range(start, max(start, stop))

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> list[int]: ...
    def __getitem__(self, at: int | slice) -> int | list[int]:
        if isinstance(at, int):
            return self._whole[self._range[at]]
        part = self._range[at]
        return self._whole[part.start : part.stop]


def _now() -> str:
    return iso(int(datetime.datetime.now(datetime.UTC).timestamp()))
