"""Reading one page ahead, and cutting what comes into chunks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from ometria_provider.exceptions import Retryable
from ometria_provider.operators.antavo import in_chunks, read_ahead
from ometria_provider.operators.details import Staged

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


def test_chunk_is_as_old_as_its_first_page() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    pages = [(begin + timedelta(minutes=n), [_staged(f"{n}a"), _staged(f"{n}b")]) for n in range(5)]
    chunks = [(at, [member.contact_id for member in chunk]) for at, chunk in in_chunks(iter(pages), 4)]
    assert chunks == [
        (begin, ["0a", "0b", "1a", "1b"]),
        (begin + timedelta(minutes=2), ["2a", "2b", "3a", "3b"]),
        (begin + timedelta(minutes=4), ["4a", "4b"]),
    ]


def _staged(id_: str) -> Staged:
    return Staged(id_, b"", b"", id_)
