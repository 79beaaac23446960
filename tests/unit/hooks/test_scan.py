from __future__ import annotations

import datetime
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.hooks.scan import Instant, instant, instant_text, walk

START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
Key = Instant | None
SEEDS = int(os.environ.get("SCAN_SEEDS", "100"))  # more by hand, after a change of the algorithm


def _at(second: float) -> Instant:
    return START + datetime.timedelta(seconds=second)


class World:
    """Members who join and leave between two pages; the server caps pages and keeps equals in some stable order."""

    def __init__(self, seed: int, *, members: int = 120, values: int = 20, churn: float = 0.5, stable: bool = True):
        self.random = random.Random(seed)
        self.churn = churn
        self.stable = stable
        self.cap = self.random.choice([2, 3, 7, 20, 50])
        self.asked = 0
        self.now = values
        self.rows: list[tuple[Instant, float, str]] = []
        bulk = self.random.randrange(values)
        for _ in range(members):
            # A third was imported at once and shares one value.
            self._join(bulk if self.random.random() < 0.33 else self.random.randrange(values))
        self.stayers = {row[2] for row in self.rows}

    def _join(self, second: float) -> None:
        self.rows.append((_at(second), self.random.random(), f"c{len(self.rows)}-{self.random.getrandbits(40)}"))
        self.rows.sort()

    def _live(self) -> None:
        while self.random.random() < self.churn:
            if self.rows and self.random.random() < 0.7:
                gone = self.rows.pop(self.random.randrange(len(self.rows)))
                self.stayers.discard(gone[2])
            else:
                self.now += 1
                self._join(self.now if self.random.random() < 0.5 else self.random.randrange(self.now))

    def fetch(self, key: Key, offset: int) -> list[dict[str, Any]]:
        self._live()
        self.asked += 1
        rows = [row for row in self.rows if key is None or row[0] >= key]
        if not self.stable:
            rows.sort(key=lambda row: (row[0], self.random.random()))
        return [{"_id": row[2], "created_at": instant_text(row[0])} for row in rows[offset : offset + self.cap]]


def _ids(pages: Any) -> list[str]:
    return [customer["_id"] for page in pages for customer in page]


@pytest.mark.parametrize("churn", [0.0, 0.3, 0.6])
def test_walk_members_join_and_leave_misses_none_who_stayed(churn: float) -> None:
    for seed in range(SEEDS):
        world = World(seed, churn=churn)
        ids = Counter(_ids(walk(world.fetch)))
        assert world.stayers <= set(ids), f"seed {seed} missed {len(world.stayers - set(ids))}"
        assert max(ids.values()) == 1, f"seed {seed} gave somebody twice"


@pytest.mark.parametrize("members", [0, 1, 2, 3, 60])
def test_walk_all_share_one_value_misses_none_who_stayed(members: int) -> None:
    for seed in range(SEEDS):
        world = World(seed, members=members, values=1, churn=0.3)
        ids = Counter(_ids(walk(world.fetch)))
        assert world.stayers <= set(ids), f"seed {seed} missed {len(world.stayers - set(ids))}"
        assert not ids or max(ids.values()) == 1


def test_walk_unstable_order_among_equals_misses_nobody() -> None:
    for seed in range(SEEDS):
        world = World(seed, members=40, values=6, churn=0.0, stable=False)
        world.cap = max(world.cap, 20)
        assert set(_ids(walk(world.fetch))) == world.stayers, f"seed {seed}"


def test_plain_offset_paging_does_miss_so_the_simulation_can_fail() -> None:
    missed = 0
    for seed in range(30):
        world = World(seed, churn=0.5)
        seen: set[str] = set()
        offset = 0
        while rows := world.fetch(None, offset):
            seen |= {row["_id"] for row in rows}
            offset += len(rows)
        missed += len(world.stayers - seen)
    assert missed > 0


def test_walk_plain_case_costs_one_request_a_page_and_few_more() -> None:
    world = World(1, members=1000, values=100_000, churn=0.0)
    world.cap = 50
    assert len(_ids(walk(world.fetch))) == 1000
    # 49 new customers a page, since each begins with the last one known; two requests find the end.
    assert world.asked <= 1000 / 49 + 3


def test_walk_starts_from_gte_and_goes_on_behind_it() -> None:
    world = World(1, members=100, values=10, churn=0.0)
    expected = {row[2] for row in world.rows if row[0] >= _at(5)}
    assert set(_ids(walk(world.fetch, gte=_at(5)))) == expected


def _fixed(rows: list[dict[str, Any]], cap: int = 2) -> Callable[[Key, int], list[dict[str, Any]]]:
    def fetch(key: Key, offset: int) -> list[dict[str, Any]]:
        fitting = [r for r in rows if key is None or ((at := instant(r.get("created_at"))) and at >= key)]
        return fitting[offset : offset + cap]

    return fetch


def test_walk_customers_without_created_at_are_given_once() -> None:
    rows: list[dict[str, Any]] = [{"_id": f"n{i}", "created_at": None} for i in range(5)]
    rows += [{"_id": f"d{i}", "created_at": instant_text(_at(i))} for i in range(5)]
    assert sorted(_ids(walk(_fixed(rows)))) == sorted(row["_id"] for row in rows)


def test_walk_customer_without_id_is_left_out_with_a_warning() -> None:
    rows = [{"_id": "a", "created_at": instant_text(_at(1))}, {"created_at": instant_text(_at(2))}]
    rows += [{"_id": "b", "created_at": instant_text(_at(3))}]
    warnings: list[str] = []
    assert _ids(walk(_fixed(rows, cap=10), warn=warnings.append)) == ["a", "b"]
    assert warnings[0] == "1 customers without _id left out"


def test_walk_nobody_has_an_id_stops() -> None:
    with pytest.raises(Misconfigured, match="_id"):
        list(walk(_fixed([{"id": "a", "created_at": instant_text(_at(1))}])))


def test_walk_server_ignores_the_order_stops() -> None:
    rows = [{"_id": str(i), "created_at": instant_text(_at(-i))} for i in range(5)]
    with pytest.raises(Misconfigured, match="sort"):
        list(walk(_fixed(rows)))


def test_walk_server_ignores_the_filter_stops() -> None:
    rows = [{"_id": str(i), "created_at": instant_text(_at(i // 2))} for i in range(9)]
    with pytest.raises(Misconfigured, match="filter"):
        list(walk(lambda key, offset: rows[offset : offset + 4], gte=_at(100)))


def test_walk_equals_that_never_hold_still_stop_in_the_end() -> None:
    counter = iter(range(10**6))

    def fetch(key: Key, offset: int) -> list[dict[str, Any]]:
        return [{"_id": str(next(counter)), "created_at": instant_text(_at(1))} for _ in range(3)]

    with pytest.raises(Retryable, match="move"):
        for _ in walk(fetch):
            pass


def test_walk_server_ignores_the_offset_stops() -> None:
    rows = [{"_id": str(i), "created_at": instant_text(_at(1))} for i in range(9)]
    with pytest.raises(Misconfigured, match="offset"):
        list(walk(lambda key, offset: rows[:4]))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2022-01-01T02:00:00+02:00", "2022-01-01T00:00:00Z"),
        ("2022-01-01T00:00:00.123456+00:00", "2022-01-01T00:00:00.123456Z"),
        ("2022-01-01T00:00:00", "2022-01-01T00:00:00Z"),
        ("2022-01-01", "2022-01-01T00:00:00Z"),
    ],
)
def test_instant_offsets_become_z_and_microseconds_stay(text: str, written: str) -> None:
    moment = instant(text)
    assert moment is not None
    assert instant_text(moment) == written


@pytest.mark.parametrize("text", [None, 5, "", "0000-00-00", "soon", "9999-12-31T23:59:59-23:00"])
def test_instant_unreadable_is_none(text: Any) -> None:
    assert instant(text) is None
