"""Several questions at once, and one page ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from ometria_provider.exceptions import Retryable
from ometria_provider.operators.asking import read_ahead, side_by_side

SOON = 10.0


class Server:
    """Gives numbered pages and notes when each was asked for."""

    def __init__(self, pages: int) -> None:
        self.asked: list[datetime] = []
        self.came = [threading.Event() for _ in range(pages)]

    def pages(self) -> Iterator[list[int]]:
        for number, event in enumerate(self.came):
            self.asked.append(datetime.now(UTC))
            event.set()
            yield [number]


def test_page_is_asked_for_while_the_one_before_is_staged() -> None:
    server = Server(3)
    pages = read_ahead(server.pages())
    assert next(pages)[1] == [0]
    assert server.came[1].wait(SOON)


def test_no_more_than_one_page_is_read_ahead() -> None:
    server = Server(5)
    for count, _ in enumerate(read_ahead(server.pages()), start=1):
        server.came[min(count, 4)].wait(SOON)
        assert len(server.asked) <= count + 1


def test_each_page_has_the_time_before_it_was_asked_for() -> None:
    server = Server(4)
    taken = list(read_ahead(server.pages()))
    assert [page for _, page in taken] == [[0], [1], [2], [3]]
    times = [at for at, _ in taken]
    assert all(at <= asked for at, asked in zip(times, server.asked, strict=True))
    assert all(before <= at for before, at in zip(server.asked, times[1:], strict=False))


def test_error_comes_after_the_pages_before_it() -> None:
    def pages() -> Iterator[list[int]]:
        yield [1]
        raise Retryable("out of reach")

    ahead = read_ahead(pages())
    assert next(ahead)[1] == [1]
    with pytest.raises(Retryable):
        next(ahead)


def test_side_by_side_answers_everybody_once() -> None:
    ids = [str(number) for number in range(500)]
    assert sorted(side_by_side(lambda id_: id_ * 2, ids, 16)) == sorted((id_, id_ * 2) for id_ in ids)


def test_side_by_side_asks_several_at_once() -> None:
    together = threading.Barrier(8, timeout=10)
    assert len(list(side_by_side(lambda id_: together.wait(), map(str, range(8)), 8))) == 8


def test_side_by_side_keeps_the_ids_that_wait_few() -> None:
    taken = []

    def ids():
        for number in range(1_000):
            taken.append(number)
            yield str(number)

    answers = side_by_side(str, ids(), 4)
    next(answers)
    assert len(taken) <= 9
    answers.close()


def test_side_by_side_raises_an_error_where_it_happened_and_begins_no_more() -> None:
    asked = []

    def ask(id_: str) -> str:
        asked.append(id_)
        if id_ == "10":
            raise OSError("out of reach")
        return id_

    with pytest.raises(OSError, match="out of reach"):
        list(side_by_side(ask, map(str, range(1_000)), 4))
    assert len(asked) < 50
