"""Searching for changed customers while they change: none is missed, where plain offset pages miss some."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.hooks.changes import walk_changes

T0 = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PAGE = 5
OVERLAP = 2


def at(second: int) -> datetime.datetime:
    return T0 + datetime.timedelta(seconds=second)


@dataclass
class Antavo:
    """Both APIs' paging over members who change, join and leave at every request.

    :param updated: second of each member's last change; the search goes by it, in no order that anybody promised.
    :param versions: how often each has changed.
    """

    rng: random.Random
    now: int = 100
    updated: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    calm: bool = False

    def change(self, member: str) -> None:
        # As in a database: what was changed stands elsewhere from then on.
        self.updated.pop(member, None)
        self.updated[member] = self.now
        self.versions[member] = self.versions.get(member, 0) + 1

    def live(self) -> None:
        """Let a little time pass: some change, one may join or leave."""
        self.requests += 1
        if self.calm:
            return
        self.now += self.rng.random() < 0.3
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            if self.updated:
                self.change(self.rng.choice(list(self.updated)))
        if self.rng.random() < 0.1:
            self.change(f"new{len(self.versions)}")
        if self.rng.random() < 0.1 and self.updated:
            gone = self.rng.choice(list(self.updated))
            del self.updated[gone], self.versions[gone]

    def search(self, low: datetime.datetime, high: datetime.datetime, offset: int) -> tuple[list[str], bool]:
        self.live()
        bounds = (low - T0).total_seconds(), (high - T0).total_seconds()
        found = [member for member, second in self.updated.items() if bounds[0] <= second < bounds[1]]
        page = found[offset : offset + PAGE]
        return page, len(page) == PAGE

    def read(self, member: str) -> int | None:
        """Read a member by id: which version it has by now; None when it left."""
        self.live()
        return self.versions.get(member)


def crowd(seed: int) -> Antavo:
    """Make members of whom many changed in the same seconds."""
    antavo = Antavo(random.Random(seed))
    seconds = [antavo.rng.randrange(60, 100) for _ in range(8)]
    for number in range(antavo.rng.randrange(5, 60)):
        antavo.now = antavo.rng.choice(seconds)
        antavo.change(str(number))
    antavo.now = 100
    return antavo


Walk = Callable[[Antavo, datetime.datetime, datetime.datetime], Iterator[list[str]]]


def by_windows(antavo: Antavo, since: datetime.datetime, until: datetime.datetime) -> Iterator[list[str]]:
    return walk_changes(antavo.search, since, until)


def by_offsets(antavo: Antavo, since: datetime.datetime, until: datetime.datetime) -> Iterator[list[str]]:
    offset = 0
    while ids := antavo.search(since, until, offset)[0]:
        yield ids
        offset += len(ids)


def missed(antavo: Antavo, walk: Walk, runs: int = 3) -> set[str]:
    """Read changed members in a few runs, the last one when all is quiet; return whose last version nobody read.

    As a run does, up to the end of the second in which it begins, and again from a little before that.
    """
    had: dict[str, int] = {}
    cursor = 0
    for run in range(runs):
        antavo.calm = run == runs - 1
        until = antavo.now + 1
        for ids in walk(antavo, at(cursor - OVERLAP), at(until)):
            for member in ids:
                version = antavo.read(member)
                if version is not None:
                    had[member] = version
        cursor = until
    return {member for member, version in antavo.versions.items() if had.get(member) != version}


def test_windows_miss_nobody_in_a_thousand_worlds() -> None:
    assert [seed for seed in range(1_000) if missed(crowd(seed), by_windows)] == []


def test_offset_pages_miss_some() -> None:
    assert sum(bool(missed(crowd(seed), by_offsets)) for seed in range(200)) > 20


def test_window_that_one_page_holds_costs_one_request() -> None:
    antavo = Antavo(random.Random(1), calm=True)
    for number in range(PAGE - 1):
        antavo.change(str(number))
    assert list(walk_changes(antavo.search, at(0), at(4_000))) == [["0", "1", "2", "3"]]
    assert antavo.requests == 1


def test_second_that_no_page_holds_is_read_by_offset() -> None:
    antavo = Antavo(random.Random(1), calm=True)
    for number in range(23):
        antavo.change(str(number))
    found = [id_ for ids in walk_changes(antavo.search, at(0), at(200)) for id_ in ids]
    assert sorted(found, key=int) == [str(number) for number in range(23)]
    assert antavo.requests < 30


def test_empty_window_asks_nothing() -> None:
    antavo = Antavo(random.Random(1))
    assert list(walk_changes(antavo.search, at(5), at(5))) == []
    assert antavo.requests == 0


def test_server_that_ignores_the_window_is_refused() -> None:
    def everybody(low: datetime.datetime, high: datetime.datetime, offset: int) -> tuple[list[str], bool]:
        return list("abcdefghijkl")[offset : offset + PAGE], offset + PAGE <= 12

    with pytest.raises(Misconfigured, match="updated_at"):
        list(walk_changes(everybody, at(0), at(10_000)))


def test_server_that_ignores_the_offset_is_refused() -> None:
    with pytest.raises(Misconfigured, match="offset"):
        list(walk_changes(lambda *_: (list("abcde"), True), at(0), at(1)))


def test_second_whose_customers_never_come_to_rest_is_tried_later() -> None:
    numbers = iter(range(10**9))

    def restless(low: datetime.datetime, high: datetime.datetime, offset: int) -> tuple[list[str], bool]:
        return [str(next(numbers)) for _ in range(PAGE)], offset < 40

    with pytest.raises(Retryable, match="keep moving"):
        list(walk_changes(restless, at(0), at(1)))
