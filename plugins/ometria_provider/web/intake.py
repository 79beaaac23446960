"""Keep what many requests bring in few transactions, and say to each what became of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

#: Seconds in which requests gather for one transaction. The ledger's file has one writer at a time, and others need it.
GATHER = 0.02

#: What goes into one transaction at most.
LARGEST = 500


class Intake(Generic[Item, Outcome]):
    """Hands what comes in to a writer, in lists, one list at a time, in a thread of its own.

    :param write: keeps a list, and returns an outcome for each in the same order. An exception is the outcome of all;
        with more than one of them it is tried with each alone, so that one does no harm to the others.
    :param shared_faults: exceptions that are no single item's fault: nothing is tried again after one.
    """

    def __init__(
        self, write: Callable[[Sequence[Item]], Sequence[Outcome]], *, shared_faults: tuple[type[Exception], ...] = ()
    ) -> None:
        self._write = write
        self._shared_faults = shared_faults
        self._waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._drain: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ometria-webhooks")

    def put(self, item: Item) -> Awaitable[Outcome]:
        """Take an item; what is returned ends when it is kept, or cannot be."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append((item, future))
        if self._drain is None or self._drain.done():
            self._drain = loop.create_task(self._keep_all())
        return future

    async def _keep_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER)
            batch, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
            await self._keep(batch)

    async def _keep(self, batch: Sequence[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            outcomes = await loop.run_in_executor(self._thread, self._write, [item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            if len(batch) > 1 and not isinstance(error, self._shared_faults):
                for each in batch:
                    await self._keep([each])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():  # its request may have given up
                future.set_result(outcome)
