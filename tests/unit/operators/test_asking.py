"""Several questions at once, one page ahead, and which id alone is at fault when its question is not answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from ometria_provider.exceptions import LookupFailed, LookupRefused, Misconfigured, Retryable, Throttled
from ometria_provider.operators.asking import ENOUGH, Asking, read_ahead, side_by_side

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


class Directory:
    """Knows what it is told of, and counts."""

    def __init__(self, **known: Any) -> None:
        self.known, self.asked = known, 0

    def __call__(self, id_: str) -> dict[str, Any] | None:
        self.asked += 1
        found = self.known.get(id_, self.known.get("everybody"))
        if isinstance(found, Exception):
            raise found
        return found


def test_asking_asks_for_each_id_once_and_tells_unknown_from_failed() -> None:
    directory = Directory(ann={"id": "ann"}, bad=Retryable("500"))
    found = Asking(directory, 4).all(["ann", "bad", "ann", "nobody"])
    assert found["ann"] == {"id": "ann"}
    assert isinstance(found["bad"], Retryable)
    assert found["nobody"] is None
    assert directory.asked == 3


def test_asking_stops_when_the_server_is_dead() -> None:
    directory = Directory(everybody=Retryable("500"))
    found = Asking(directory, 1).all(map(str, range(100)))
    assert directory.asked == ENOUGH
    assert all(isinstance(one, Retryable) for one in found.values())


def test_asking_stops_at_once_when_the_key_is_refused() -> None:
    directory = Directory(everybody=Misconfigured("401"))
    asking = Asking(directory, 1)
    assert isinstance(asking.all(["1", "2", "3"])["3"], Misconfigured)
    assert isinstance(asking.all(["4"])["4"], Misconfigured)
    assert directory.asked == 1


def test_asking_goes_on_when_some_fail_now_and_then() -> None:
    directory = Directory(everybody={"id": "1"}, **{str(n): Retryable("500") for n in range(0, 100, 2)})
    Asking(directory, 1).all(map(str, range(100)))
    assert directory.asked == 100


REFUSED = LookupRefused("422", reason="422")


def test_asking_goes_on_when_one_is_refused_however_often() -> None:
    refused = {str(n): REFUSED for n in range(0, 100, 2)}
    found = Asking(Directory(everybody={"id": "1"}, **refused), 1).all(map(str, range(100)))
    assert sum(isinstance(one, LookupRefused) for one in found.values()) == 50
    assert sum(isinstance(one, dict) for one in found.values()) == 50


def test_asking_blames_nobody_when_everybody_is_refused() -> None:
    directory = Directory(everybody=REFUSED)
    found = Asking(directory, 1).all(map(str, range(100)))
    assert directory.asked == ENOUGH
    assert {type(one) for one in found.values()} == {Misconfigured}
    assert "the fault is not in what was asked for" in str(found["1"])


FAILED = LookupFailed("500", reason="500")


def test_asking_told_of_others_blames_the_ids_that_are_refused_or_fail() -> None:
    directory = Directory(everybody={"id": "1"}, bad=REFUSED, broken=FAILED, nobody=None)
    told = dict(Asking(directory, 2).told(["1", "bad", "broken", "2", "nobody"]))
    assert told == {"1": {"id": "1"}, "2": {"id": "1"}, "nobody": None, "bad": REFUSED, "broken": FAILED}
    assert directory.asked == 6, "one that was answered before is asked for again"


def test_asking_told_of_nobody_blames_no_id() -> None:
    with pytest.raises(LookupFailed):
        list(Asking(Directory(broken=FAILED), 2).told(["broken"]))


def test_asking_blames_no_id_when_the_server_went_down_meanwhile() -> None:
    answers: list[Any] = [{"id": "1"}, {"id": "2"}, FAILED, FAILED]

    def ask(_: str) -> Any:
        answer = answers.pop(0) if answers else FAILED
        if isinstance(answer, Exception):
            raise answer
        return answer

    told = Asking(ask, 1).told(["1", "2", "3", "4"])
    assert [next(told)[0], next(told)[0]] == ["1", "2"]
    with pytest.raises(LookupFailed):
        next(told)


def test_asking_blames_many_ids_in_a_row_while_another_is_answered() -> None:
    broken = {str(n): FAILED for n in range(1, 3 * ENOUGH)}
    told = dict(Asking(Directory(everybody={"id": "1"}, **broken), 1).told(map(str, range(3 * ENOUGH))))
    assert sum(one is FAILED for one in told.values()) == 3 * ENOUGH - 1


@pytest.mark.parametrize("error", [Throttled("429"), Retryable("the ledger is locked"), Misconfigured("401")], ids=repr)
def test_asking_told_of_others_blames_no_id_for_what_concerns_all(error: Exception) -> None:
    with pytest.raises(type(error)):
        list(Asking(Directory(everybody={"id": "1"}, one=error), 1).told(["0", "one", "2"]))
