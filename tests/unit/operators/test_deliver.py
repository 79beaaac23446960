"""Pages of events are made ready while others are on their way, in their order, and not without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from ometria_provider.operators.deliver import _batches
from ometria_provider.operators.event_sender import OutgoingEvent

Page = list[OutgoingEvent]


class Pages:
    """Makes pages of a hundred events, and says when each was asked for."""

    def __init__(self, count: int, fault_at: int | None = None) -> None:
        self.asked = [threading.Event() for _ in range(count)]
        self._fault_at = fault_at

    def __iter__(self) -> Iterator[Page]:
        for number, asked in enumerate(self.asked):
            asked.set()
            if number == self._fault_at:
                raise RuntimeError("the ledger is gone")
            yield [OutgoingEvent(100 * number + each, "id", b"{}") for each in range(100)]


def test_two_pages_are_made_ready_while_one_is_on_its_way_and_no_third() -> None:
    pages = Pages(5)
    source = _batches(iter(pages))
    next(source)
    assert all(asked.wait(5) for asked in pages.asked[:3])
    assert not pages.asked[3].wait(0.05)
    source.close()


def test_events_come_in_the_order_of_their_pages() -> None:
    numbers = [event.delivery for batch in _batches(iter(Pages(7))) for event in batch]
    assert numbers == list(range(700))


def test_fault_comes_where_its_page_would_have_come() -> None:
    source = _batches(iter(Pages(5, fault_at=2)))
    assert [len(next(source)), len(next(source))] == [100, 100]
    with pytest.raises(RuntimeError, match="the ledger is gone"):
        next(source)


def test_whoever_stops_early_lets_no_further_page_be_made() -> None:
    pages = Pages(9)
    source = _batches(iter(pages))
    next(source)
    source.close()
    assert sum(asked.is_set() for asked in pages.asked) <= 3
