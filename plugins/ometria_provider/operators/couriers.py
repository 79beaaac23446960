"""Threads that push one request body after the other."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from ometria_provider.hooks.ometria_answers import PushAnswer

#: Seconds after which a thread at work lets another one go on, while requests are on their way.
SWITCH = 0.001

#: The number of a request, and what came of it.
Outcome = tuple[int, "PushAnswer | BaseException"]


class Couriers:
    """Takes request bodies, and gives back answers in the order in which they come.

    Two queues and no more: what a thread does between two requests it does with cold caches, at several times the
    price, and an executor's futures do a lot. At the end of the block all that was taken has been answered.

    :param push: sends one body.
    :param count: how many may be on their way at once.
    """

    def __init__(self, push: Callable[[bytes], PushAnswer], count: int) -> None:
        self._push = push
        self._count = count
        self._threads: list[Thread] = []
        self._bodies: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()

    def __enter__(self) -> Self:
        # A full collection of what a task has imported holds all threads up for 50 ms and more: requests would leave
        # late, and those behind them with them. What lives by now is left out of it.
        gc.freeze()
        # A thread that makes the next records ready hands over to one that has a slot at once, not after Python's 5 ms.
        self._usual = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._bodies.put(None)
        for thread in self._threads:
            thread.join()
        gc.unfreeze()
        sys.setswitchinterval(self._usual)

    def send(self, number: int, body: bytes) -> None:
        """Let the next thread that is free push a body."""
        if len(self._threads) < self._count:
            thread = Thread(target=self._work, name=f"push_{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._bodies.put((number, body))

    def answers(self, at_most: int, linger: float) -> list[Outcome]:
        """Wait for an answer, and a little longer for those that come right behind it."""
        came = [self._outcomes.get()]
        try:
            while len(came) < at_most:
                came.append(self._outcomes.get(timeout=linger))
        except Empty:
            pass
        return came

    def _work(self) -> None:
        while (errand := self._bodies.get()) is not None:
            number, body = errand
            try:
                outcome: PushAnswer | BaseException = self._push(body)
            except BaseException as error:  # noqa: BLE001 (whatever it is, who asked must hear of it)
                outcome = error
            self._outcomes.put((number, outcome))
