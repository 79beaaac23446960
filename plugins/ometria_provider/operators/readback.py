"""Read contacts back from Ometria, several requests in flight, and judge what was sent by what is there."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from math import ceil, inf
from time import monotonic, sleep
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from ometria_provider.delivery.readback import Arrivals, Mismatch, Record, faults, mismatches, unproven
from ometria_provider.delivery.suspects import Fields, concerned, field_of, split
from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.answer import leaf_texts, scrub
from ometria_provider.hooks.ometria import PAGE, OmetriaHook
from ometria_provider.ledger import error_looks, late
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.runs import Run
from ometria_provider.operators.asking import side_by_side
from ometria_provider.operators.doubts import Doubts, Item

log = logging.getLogger(__name__)

#: Contacts whose verdicts share a transaction.
TOGETHER = 50

#: Seconds between two lines of progress.
PROGRESS = 10.0

#: Seconds at least until what did not arrive is looked for again.
SECOND_LOOK = 1.0

T = TypeVar("T")
R = TypeVar("R")


class Origin(Protocol):
    """Whose records are read back: a contact sync's task (`Work`), or a file's push."""

    @property
    def ledger(self) -> Ledger: ...
    @property
    def run(self) -> Run: ...
    @property
    def account(self) -> str: ...
    @property
    def collection(self) -> str: ...


class Turn(NamedTuple):
    """A record to be looked for.

    :param missed_at: when (by the monotonic clock) it was looked for last; None: not yet.
    """

    item: Item
    missed_at: float | None = None


@dataclass
class Reader:
    """Reads back until it is done or its time is up.

    :param deadline: when (by the monotonic clock) the last request may go.
    :param silent: fields that arrive in nobody, without an error: they convict no record.
    """

    work: Origin
    hook: OmetriaHook
    fields: Fields
    deadline: float
    silent: Collection[str] = ()
    read: int = 0
    guilty: list[late.Guilty] = field(default_factory=list)
    convicted: int = 0
    told: float = field(default_factory=monotonic)

    @property
    def patience(self) -> float:
        """Seconds until what did not arrive is looked for again."""
        return max(self.hook.settle_seconds, SECOND_LOOK)

    @property
    def is_over(self) -> bool:
        """Say whether the time is up."""
        return monotonic() >= self.deadline

    def check(self, doubts: Doubts) -> None:
        """Read records back and write what becomes of each; those not reached stay as they are."""
        self._by_pages(doubts)
        self.judge(self.look(doubts))

    def look(self, items: Iterable[Item]) -> Iterator[tuple[Item, Record | None]]:
        """Yield each record with its contact once it is certain; for whom the time does not suffice stays in doubt.

        What is there is certain at once. What is not is looked for a second time, `patience` later, among those whose
        turn it is then: Ometria may not have got to it yet. As long as a second look finds one of them, it is still at
        work, and the others are looked for once more.
        """
        fresh, again, found_late = iter(items), deque[Turn](), -inf
        is_going = True
        while is_going:
            is_going = False
            for turn, contact in self._each(self._contact, self._turns(fresh, again)):
                is_going, is_first = True, turn.missed_at is None
                self.read += is_first
                if not self._wrong(turn.item, contact):
                    found_late = found_late if is_first else monotonic()
                    yield turn.item, contact
                elif turn.missed_at is not None and found_late < turn.missed_at:
                    yield turn.item, contact
                else:
                    again.append(Turn(turn.item, monotonic()))
                self._progress()

    def _turns(self, fresh: Iterator[Item], again: deque[Turn]) -> Iterator[Turn]:
        """Yield what to look for next: those whose second look is due first; wait for it when all else is done."""
        for item in fresh:
            while again and self._due_in(again[0]) <= 0:
                yield again.popleft()
            yield Turn(item)
        while again and not self.is_over and (wait := self._due_in(again[0])) <= self.deadline - monotonic():
            if wait > 0:
                log.info("%s records did not arrive yet: looking again in %.0f s", len(again), wait)
                sleep(wait)
            yield again.popleft()

    def _due_in(self, turn: Turn) -> float:
        return (turn.missed_at or 0.0) + self.patience - monotonic()

    def sample(self, items: Sequence[Item]) -> tuple[Arrivals, list[tuple[Item, Record | None]]]:
        """Read records back and count which fields arrived; nothing is judged."""
        arrivals, found = Arrivals(), list(self.look(items))
        for item, contact in found:
            arrivals.add(msgspec.json.decode(item.body), contact, self.fields)
        return arrivals, found

    def judge(self, found: Iterable[tuple[Item, Record | None]]) -> None:
        """Write what becomes of records that are certain."""
        innocent: list[Item] = []
        for item, contact in found:
            if wrong := self._wrong(item, contact):
                words = self._words(item, msgspec.json.decode(item.body), wrong[0])
                self.guilty.append(late.Guilty(item.contact_id, item.slice, item.batch, *words))
            else:
                innocent.append(item)
            if len(innocent) + len(self.guilty) >= TOGETHER:
                self._write(innocent)
                innocent = []
        self._write(innocent)

    def _contact(self, turn: Turn) -> Record | None:
        return self.hook.contact(self.work.collection, turn.item.contact_id)

    def _each(self, ask: Callable[[T], R], questions: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Ask about each, several at once, until the time is up."""

        def in_time(question: T) -> list[R]:
            return [] if self.is_over else [ask(question)]

        begun = takewhile(lambda _: not self.is_over, questions)
        for question, answers in side_by_side(in_time, begun, self.hook.concurrency):
            for answer in answers:
                yield question, answer

    def readable(self, items: Sequence[Item]) -> list[Item]:
        """Return the contacts whose id can stand in a URL, and acquit the others: nobody can read them."""
        self._write([item for item in items if not item.contact_id.strip(". ")])
        return [item for item in items if item.contact_id.strip(". ")]

    def _by_pages(self, doubts: Doubts) -> None:
        """Look the records up in pages of the whole collection, once, if that takes fewer requests.

        Pages only acquit: whoever is not on one, or looks wrong there, is read alone.
        """
        work = self.work
        pages = ceil(late.collection_size(work.ledger, work.account, work.collection) / PAGE) + 1
        if len(doubts) <= pages:
            return
        # From a random page on: a run whose time is short shall not read the same ones as the last.
        start = random.randrange(pages)  # noqa: S311 (spreads work, protects nothing)
        offsets = ((start + number) % pages * PAGE for number in range(pages))
        try:
            for _, page in self._each(partial(self.hook.contact_page, work.collection), offsets):
                there = {str(contact.get("id")): contact for contact in page or ()}
                found = doubts.find(there)
                right = [item for id_, item in found.items() if not self._wrong(item, there[id_])]
                self.read += len(right)
                self._write(right)
                doubts.drop(right)
                self._progress()
                if page is None or not doubts:
                    break
        except Misconfigured as error:
            log.warning("The collection cannot be paged; its contacts are read one by one. %s", error)

    def _wrong(self, item: Item, contact: Record | None) -> list[Mismatch]:
        """Return what of a record did not arrive."""
        if contact is None:
            return [Mismatch("", "the contact is not in Ometria")]
        record = msgspec.json.decode(item.body)
        return faults(mismatches(record, contact, self.fields), {*self.silent, *self._unproven(item, record, contact)})

    def _unproven(self, item: Item, record: Record, contact: Record) -> frozenset[str]:
        """Return the fields of consent that prove nothing, and that no error about this record names."""
        named = [concerned(path, self.fields) for path in split(item.suspect or "")]
        return unproven(record, contact) - frozenset().union(*(remotes or () for remotes in named))

    def _words(self, item: Item, record: dict[str, Any], wrong: Mismatch) -> tuple[str | None, str]:
        """Return the field at fault, if one is known, and the reason: Ometria's own words where there are any."""
        found = f"`{wrong.field}` {wrong.problem}" if wrong.field else wrong.problem
        paths = split(item.suspect) if item.suspect else []
        said = error_looks.words(self.work.ledger, self.work.account, paths) if paths else {}
        # The record's own values must not be in Ometria's words.
        causes = [f"{scrub(said[path], leaf_texts(record))} ({path})" for path in paths if path in said]
        if not causes:
            why = "Ometria counted rejected records in its request" if item.doubtful else "read back"
            return wrong.field or None, f"{why}: {found}"
        own = field_of(paths[0], self.fields) if len(paths) == 1 else None
        return own, f"{' or '.join(causes)}; read back: {found}"

    def _write(self, innocent: Sequence[Item]) -> None:
        work = self.work
        if innocent:
            ids = [item.contact_id for item in innocent]
            late.acquit(work.ledger, work.account, work.collection, ids, max(item.batch for item in innocent))
        if self.guilty:
            late.convict(work.ledger, work.run, work.account, work.collection, self.guilty)
            self.convicted += len(self.guilty)
            self.guilty = []

    def _progress(self) -> None:
        if monotonic() - self.told >= PROGRESS:
            self.told = monotonic()
            log.info("Read back %s contacts so far, %s did not arrive", f"{self.read:,}", self.convicted)
