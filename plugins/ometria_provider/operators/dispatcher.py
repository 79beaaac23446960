"""Send batches of records, several requests in flight; what is written of them is the affair of who sends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from ometria_provider.delivery.batches import Record, halves
from ometria_provider.delivery.poison import PoisonWatch
from ometria_provider.exceptions import Halted, RecordRejected
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.hooks.ometria_answers import PushAnswer
from ometria_provider.operators.couriers import Couriers

#: Seconds that an answer may wait for the next one, so that both are written at once.
LINGER = 0.01

#: A request's number, its records, and Ometria's answer or what went wrong.
Answered = tuple[int, tuple[Record, ...], Any]


@dataclass(kw_only=True)
class Dispatcher(ABC, Generic[Record]):
    """Keeps as many requests in flight as the account takes at once, and splits what Ometria refuses.

    :param go_on: asked before more is sent; raises when nothing more is to go.
    :param watch: tells poisoned records from a fault that lies elsewhere.
    """

    hook: OmetriaHook
    go_on: Callable[[], None] = lambda: None
    watch: PoisonWatch[Record] = field(default_factory=PoisonWatch)
    _split: deque[tuple[Record, ...]] = field(default_factory=deque, init=False)

    @abstractmethod
    def write(
        self, answered: Sequence[Answered[Record]], going: Sequence[tuple[Record, ...]]
    ) -> list[tuple[int, bytes]]:
        """Write answers and departures down; return the departing batches' numbers and request bodies."""

    def dispatch(self, source: Iterator[tuple[Record, ...]]) -> None:
        """Send batches until each is answered; of a refused one, until its records alone are.

        :raises Retryable: when the server stays out of reach; what was acknowledged by then is written.
        :raises Misconfigured: when the key is refused.
        """
        in_flight: dict[int, tuple[Record, ...]] = {}
        with Couriers(self.hook.push, self.hook.concurrency) as couriers:
            try:
                going = self._next(source, self.hook.concurrency)
                departed = self.write([], going)
                while going or in_flight:
                    for (id_, payload), batch in zip(departed, going, strict=True):
                        in_flight[id_] = batch
                        couriers.send(id_, payload)
                    answered = self.answers(in_flight, couriers)
                    self._stop_if_told(answered)
                    going = self._next(source, self.hook.concurrency - len(in_flight))
                    departed = self.write(answered, going)
            except BaseException:
                self._drain(in_flight, couriers)
                raise

    def answers(self, in_flight: dict[int, tuple[Record, ...]], couriers: Couriers) -> list[Answered[Record]]:
        """Wait for an answer; return those that came, with the halves of what was refused to go next."""
        # One transaction for several, while others are still on their way.
        came = couriers.answers(at_most=(len(in_flight) + 1) // 2, linger=LINGER)
        answered = [(id_, in_flight.pop(id_), outcome) for id_, outcome in came]
        fatal = next(
            (o for *_, o in answered if isinstance(o, BaseException) and not isinstance(o, RecordRejected)), None
        )
        if fatal is not None:
            self.write(answered, [])
            raise fatal
        # Before the next batches are chosen: the halves go first, and the loop must see them.
        for _, batch, outcome in answered:
            if isinstance(outcome, RecordRejected) and len(batch) > 1:
                self._split.extendleft(reversed(halves(batch)))
        return answered

    def judge(self, answered: Sequence[Answered[Record]]) -> tuple[list[tuple[Record, str]], Halted | None]:
        """Return the certain refusals; or why nothing more may go, which is known before more is written to go."""
        if any(isinstance(outcome, PushAnswer) for *_, outcome in answered):
            self.watch.acknowledged = True
        certain: list[tuple[Record, str]] = []
        halted: Halted | None = None
        for _, batch, outcome in answered:
            if isinstance(outcome, RecordRejected) and len(batch) == 1:
                try:
                    certain += self.watch.refuse(batch[0], f"{outcome.reason} (HTTP {outcome.status})")
                except Halted as halt:  # the watch holds the others back as well
                    halted = halt
        return certain, halted

    def _stop_if_told(self, answered: Sequence[Answered[Record]]) -> None:
        """Ask whether more may go; what was answered is written all the same."""
        try:
            self.go_on()
        except BaseException:
            self.write(answered, [])
            raise

    def _next(self, source: Iterator[tuple[Record, ...]], room: int) -> list[tuple[Record, ...]]:
        """Return the batches to go now, halves of refused ones first."""
        going: list[tuple[Record, ...]] = []
        while len(going) < room and (batch := self._split.popleft() if self._split else next(source, None)):
            going.append(batch)
        return going

    def _drain(self, in_flight: dict[int, tuple[Record, ...]], couriers: Couriers) -> None:
        """Stopping: hear the answers to what is in flight, so that what they acknowledge is not sent again."""
        answered: list[Answered[Record]] = []
        while in_flight:
            answered += [(id_, in_flight.pop(id_), outcome) for id_, outcome in couriers.answers(1, LINGER)]
        # What is refused now nobody judges: it is left over, as what was to go next.
        self._split.extend(batch for _, batch, outcome in answered if isinstance(outcome, RecordRejected))
        self.write([entry for entry in answered if not isinstance(entry[2], RecordRejected)], [])
