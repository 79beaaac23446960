"""Events are read by time: none is missed, whatever the page size, and while events are backdated."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.events import NAMELESS as NAMELESS_PAGES
from ometria_provider.hooks.events import event_customer, event_id, walk_events

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(number: int, seconds: float) -> dict[str, Any]:
    at = (NOON + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"id": str(number), "action": "opt_out", "timestamp": at, "Customer": {"id": f"c{number}"}}


class Log:
    """Serves pages of events; `between` is called before each."""

    def __init__(self, events: list[dict[str, Any]], *, page: int, tells: bool = True) -> None:
        self.events, self.page, self.tells, self.asked = events, page, tells, 0

    def between(self) -> None:
        """Nothing happens."""

    def __call__(self, since: datetime, offset: int) -> tuple[list[dict[str, Any]], int | None]:
        self.asked += 1
        self.between()
        found = [each for each in self.events if datetime.fromisoformat(each["timestamp"]) >= since]
        found.sort(key=lambda each: each["timestamp"])
        return found[offset : offset + self.page], len(found) if self.tells else None


def read(log: Log) -> list[str]:
    return [each["id"] for page in walk_events(log, NOON) for each in page]


@pytest.mark.parametrize("tells", [True, False], ids=["total", "no total"])
@pytest.mark.parametrize("page", [1, 3, 100])
@pytest.mark.parametrize("same", [1, 7], ids=["times differ", "many of one time"])
def test_walk_events_reads_each_once(page: int, tells: bool, same: int) -> None:
    log = Log([event(n, n // same) for n in range(25)], page=page, tells=tells)
    assert read(log) == [str(n) for n in range(25)]


def test_walk_events_of_one_page_asks_once() -> None:
    log = Log([event(n, n) for n in range(5)], page=100)
    assert read(log) == ["0", "1", "2", "3", "4"]
    assert log.asked == 1


@pytest.mark.parametrize("seed", range(20))
def test_walk_events_while_others_are_backdated_misses_none_that_was_there(seed: int) -> None:
    rng = random.Random(seed)
    log = Log([event(n, rng.randrange(20)) for n in range(60)], page=rng.choice([2, 5, 9]))

    def backdate() -> None:
        if len(log.events) < 90:
            log.events.append(event(len(log.events), rng.randrange(20)))

    log.between = backdate  # type: ignore[method-assign]
    ids = read(log)
    assert {str(n) for n in range(60)} <= set(ids)
    assert len(ids) == len(set(ids))


def test_walk_events_of_a_server_that_ignores_the_order_is_refused() -> None:
    with pytest.raises(Misconfigured, match="does not sort events"):
        list(walk_events(lambda since, offset: ([event(1, 5), event(2, 1)], None), NOON))


def test_walk_events_of_a_server_that_ignores_the_offset_is_refused() -> None:
    with pytest.raises(Misconfigured, match="ignores the offset"):
        list(walk_events(lambda since, offset: ([event(1, 0), event(2, 0)], 9), NOON))


@pytest.mark.parametrize("row", [None, "gone", [], 7], ids=str)
def test_walk_events_gives_a_row_that_is_no_object_as_it_is(row: Any) -> None:
    rows = [event(1, 0), row, event(2, 5)]
    assert list(walk_events(lambda since, offset: (rows[offset:], 3), NOON)) == [rows]
    assert event_id(row) is event_customer(row) is None


def test_event_customer_is_found_by_either_name() -> None:
    assert event_customer({"customer": {"id": 7}}) == event_customer({"Customer": {"id": "7"}}) == "7"
    assert event_customer({}) is event_customer({"Customer": "7"}) is event_id({"id": ""}) is None


NAMELESS = {"action": "opt_out", "timestamp": "2026-03-01T12:00:00.000Z"}


@pytest.mark.parametrize("total", [None, 10**9], ids=["no total", "a total out of reach"])
@pytest.mark.parametrize("rows", [[NAMELESS], [event(1, 0), NAMELESS], [{}], [None]], ids=repr)
def test_walk_events_of_a_server_that_ignores_the_offset_ends_though_rows_have_no_id(
    rows: list[Any], total: int | None
) -> None:
    with pytest.raises(Misconfigured, match="ignores the offset"):
        list(walk_events(lambda since, offset: (rows, total), NOON))


def test_walk_events_that_go_on_with_rows_that_say_nothing_ends() -> None:
    numbers = iter(range(10 * NAMELESS_PAGES))
    with pytest.raises(Misconfigured, match="without a time that moves on or an id"):
        list(walk_events(lambda since, offset: ([{"noise": next(numbers)}], None), NOON))


def test_walk_events_gives_each_row_without_an_id_once() -> None:
    rows = [NAMELESS, {**NAMELESS, "action": "other"}, event(1, 0), {**event(2, 5), "id": None}, event(3, 5)]
    pages = list(walk_events(Log(rows, page=2), NOON))
    assert [row for page in pages for row in page] == rows
