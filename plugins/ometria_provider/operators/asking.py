"""Ask for one thing while another is worked on: several questions at once, or one page ahead.

Who is asked for many things by their ids (`Asking`) may fail over one of them and answer all others: that one alone is
at fault. A server that fails over everything is not: nothing is said of anybody then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Generic, TypeVar

from ometria_provider.exceptions import Fatal, LookupFailed, LookupRefused, Misconfigured, SyncError

#: Failures in a row after which nobody is asked any more, unless the server answers for another one.
ENOUGH = 20

#: Why one id was not answered that others were answered beside.
Untold = LookupRefused | LookupFailed

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


@dataclass
class Asking(Generic[Answer]):
    """Asks for one kind of thing by id, until the server must be taken for dead.

    :param ask: asks for one; raises a `SyncError` when there is no answer.
    :param in_flight: how many are asked for at once.
    :param others: gives ids that should be answered, to tell whether the server answers when nobody was yet.
    """

    ask: Callable[[str], Answer]
    in_flight: int
    others: Callable[[], Iterable[str]] = tuple
    _failed_in_a_row: int = 0
    _answered: str | None = None
    _gave_up: SyncError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def all(self, ids: Iterable[str]) -> dict[str, Answer | SyncError]:
        """Return what is answered for each id, or the error for which there is no answer.

        `LookupRefused` means the id that it stands for: when everybody is refused it does not.
        """
        found = dict(self._each(ids))
        if self._gave_up is None:
            return found
        return {id_: self._gave_up if isinstance(one, LookupRefused) else one for id_, one in found.items()}

    def told(self, ids: Iterable[str]) -> Iterator[tuple[str, Answer | Untold]]:
        """Yield what is answered for each id, as the answers come; errors only for ids that alone are at fault.

        An id that is refused is. One over which the server fails, however often it is asked, is when others are
        answered: whether they still are is seen by asking for one of them again, or for one that was not asked for.

        :raises SyncError: when the fault is not in the ids.
        """
        failed: list[tuple[str, LookupFailed]] = []
        for id_, one in self._each(ids):
            if self._gave_up is not None:
                raise self._gave_up
            if isinstance(one, LookupFailed):
                failed.append((id_, one))
            elif isinstance(one, SyncError) and not isinstance(one, LookupRefused):
                raise one
            else:
                yield id_, one
        if failed and not self.answers({id_ for id_, _ in failed}):
            raise failed[-1][1]
        yield from failed

    def answers(self, failed: Container[str]) -> bool:
        """Say whether the server answers for another id now: for one of those that it answered for, if there are."""
        try:
            known = self.others() if self._answered is None else (self._answered,)
            another = next((id_ for id_ in known if id_ not in failed), None)
            if another is not None:
                self.ask(another)
        except SyncError:
            return False
        return another is not None

    def _each(self, ids: Iterable[str]) -> Iterator[tuple[str, Answer | SyncError]]:
        unique = list(dict.fromkeys(ids))
        if len(unique) < 2:
            yield from ((id_, self._one(id_)) for id_ in unique)
        else:
            yield from side_by_side(self._one, unique, self.in_flight)

    def _one(self, id_: str) -> Answer | SyncError:
        if self._gave_up is not None:
            return self._gave_up
        try:
            found = self.ask(id_)
        except SyncError as error:
            with self._lock:
                self._note(id_, error)
            return error
        self._failed_in_a_row, self._answered = 0, id_
        return found

    def _note(self, id_: str, error: SyncError) -> None:
        self._failed_in_a_row += 1
        if not isinstance(error, LookupRefused) and isinstance(error, Fatal):
            self._gave_up = error
        elif self._failed_in_a_row >= ENOUGH:
            if self.answers({id_}):
                self._failed_in_a_row = 0
            else:
                self._gave_up = _everybody(error)


def _everybody(error: SyncError) -> SyncError:
    """Return what a row of failures means that ends with this one."""
    if not isinstance(error, LookupRefused):
        return error
    return Misconfigured(
        f"{error} The last {ENOUGH} lookups failed alike, so that the fault is not in what was asked for."
    )
