"""Ask for one thing while another is worked on: several questions at once, or one page ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TypeVar

Page = TypeVar("Page")
Question = TypeVar("Question")
Answer = TypeVar("Answer")


def read_ahead(pages: Iterator[Page]) -> Iterator[tuple[datetime, Page]]:
    """Yield each page with the time before it was asked for, while the next one is on its way: one, and no more.

    An error is raised where its page would have come. Whoever stops early waits for the request that is under way.
    """

    def take() -> tuple[datetime, Page | None]:
        return datetime.now(UTC), next(pages, None)

    with ThreadPoolExecutor(1, thread_name_prefix="page") as pool:
        coming = pool.submit(take)
        while (page := (taken := coming.result())[1]) is not None:
            coming = pool.submit(take)
            yield taken[0], page


def side_by_side(
    ask: Callable[[Question], Answer], questions: Iterable[Question], threads: int
) -> Iterator[tuple[Question, Answer]]:
    """Yield each question with its answer, as the answers come; several are asked at once.

    An error is raised where it happened; what was asked for besides is waited for, and the rest not begun.
    """
    answered: SimpleQueue[tuple[Question, Future[Answer]]] = SimpleQueue()
    waiting = 0

    def take() -> tuple[Question, Answer]:
        question, future = answered.get()
        return question, future.result()

    with ThreadPoolExecutor(threads, thread_name_prefix="asking") as pool:
        try:
            for question in questions:
                if waiting >= 2 * threads:
                    yield take()
                    waiting -= 1
                future = pool.submit(ask, question)
                future.add_done_callback(lambda done, question=question: answered.put((question, done)))  # type: ignore[misc]
                waiting += 1
            for _ in range(waiting):
                yield take()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
