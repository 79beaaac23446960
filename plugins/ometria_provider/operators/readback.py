"""Read contacts back from Ometria, several requests in flight, and judge what was sent by what is there."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from time import monotonic, sleep
from typing import Any, NamedTuple, TypeVar

import msgspec

from ometria_provider.delivery.readback import Arrivals, Mismatch, Record, faults, mismatches, unproven
from ometria_provider.delivery.suspects import Fields, concerned, field_of, split
from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.answer import leaf_texts, scrub
from ometria_provider.hooks.ometria import PAGE, OmetriaHook
from ometria_provider.ledger import late
from ometria_provider.operators.base import Work

log = logging.getLogger(__name__)

#: Contacts whose verdicts share a transaction.
TOGETHER = 50

#: Seconds between two lines of progress.
PROGRESS = 10.0

T = TypeVar("T")
R = TypeVar("R")


class Item(NamedTuple):
    """A record to be read back.

    :param body: as it was sent.
    :param batch: the request that carried it.
    :param suspect: paths of the errors that may be its own; None when it is read back for another reason.
    :param doubtful: Ometria counted rejected records in its request.
    """

    contact_id: str
    body: bytes
    slice: int
    batch: int
    suspect: str | None
    doubtful: bool


@dataclass
class Reader:
    """Reads back until it is done or its time is up.

    :param deadline: when (by the monotonic clock) the last request may go.
    :param silent: fields that arrive in nobody, without an error: they convict no record.
    """

    work: Work
    hook: OmetriaHook
    fields: Fields
    deadline: float
    silent: Collection[str] = ()
    read: int = 0
    guilty: list[late.Guilty] = field(default_factory=list)
    convicted: int = 0
    told: float = field(default_factory=monotonic)

    @property
    def is_over(self) -> bool:
        """Say whether the time is up."""
        return monotonic() >= self.deadline

    def check(self, items: Sequence[Item]) -> None:
        """Read records back, in their order, and write what becomes of each; those not reached stay as they are."""
        items = self._without_unreadable(items)
        items = self._by_pages(items)
        waiting: list[Item] = []
        for item, contact in self._each(self._contact, items):
            self.read += 1
            if reason := self._reason(item, contact):
                self.guilty.append(reason)
            else:
                waiting.append(item)
            if len(waiting) + len(self.guilty) >= TOGETHER:
                self._write(waiting)
                waiting = []
            self._progress()
        self._write(waiting)

    def sample(self, items: Sequence[Item], patience: float) -> tuple[Arrivals, list[tuple[Item, Record | None]]]:
        """Read records back and count which fields arrived; nothing is judged.

        :param patience: seconds until those that did not arrive, though no error speaks of them, are looked for again:
            Ometria may not have got to them yet. As long as that finds some, it is done once more.
        """
        found = dict(self._each(self._contact, items))
        while wanting := [item for item, contact in found.items() if self._is_unexplained(item, contact)]:
            if monotonic() + patience > self.deadline:
                break
            log.info("%s of %s records did not arrive yet: looking again in %.0f s", len(wanting), len(found), patience)
            sleep(patience)
            found |= self._each(self._contact, wanting)
            if all(self._is_unexplained(item, found[item]) for item in wanting):
                break
        arrivals = Arrivals()
        self.read += len(found)
        for item, contact in found.items():
            arrivals.add(msgspec.json.decode(item.body), contact, self.fields)
        return arrivals, list(found.items())

    def _is_unexplained(self, item: Item, contact: Record | None) -> bool:
        return item.suspect is None and not item.doubtful and self._reason(item, contact) is not None

    def judge(self, found: Iterable[tuple[Item, Record | None]]) -> None:
        """Write what becomes of records that were read back."""
        innocent = []
        for item, contact in found:
            if reason := self._reason(item, contact):
                self.guilty.append(reason)
            else:
                innocent.append(item)
        self._write(innocent)

    def _contact(self, item: Item) -> Record | None:
        return self.hook.contact(self.work.collection, item.contact_id)

    def _each(self, ask: Callable[[T], R], questions: Sequence[T]) -> Iterator[tuple[T, R]]:
        """Ask about each, several at once, until the time is up; yield the answers in order."""

        def in_time(question: T) -> list[R]:
            return [] if self.is_over else [ask(question)]

        with ThreadPoolExecutor(self.hook.concurrency, thread_name_prefix="read-back") as pool:
            try:
                for question, answers in zip(questions, pool.map(in_time, questions), strict=True):
                    for answer in answers:
                        yield question, answer
            finally:
                pool.shutdown(cancel_futures=True)  # nobody wants the rest when somebody raised, or has enough

    def _without_unreadable(self, items: Sequence[Item]) -> list[Item]:
        """Acquit contacts whose id cannot stand in a URL: nobody can read them."""
        readable = [item for item in items if item.contact_id.strip(". ")]
        self._write([item for item in items if not item.contact_id.strip(". ")])
        return readable

    def _by_pages(self, items: list[Item]) -> list[Item]:
        """Look the records up in pages of the whole collection, if that takes fewer requests; return who is left.

        Pages only acquit: whoever is not on one, or looks wrong there, is read alone.
        """
        work = self.work
        pages = ceil(late.collection_size(work.ledger, work.account, work.collection) / PAGE) + 1
        if len(items) <= pages:
            return items
        left = {item.contact_id: item for item in items}
        # From a random page on: a run whose time is short shall not read the same ones as the last.
        start = random.randrange(pages)  # noqa: S311 (spreads work, protects nothing)
        offsets = [(start + number) % pages * PAGE for number in range(pages)]
        try:
            for _, page in self._each(partial(self.hook.contact_page, work.collection), offsets):
                there = [
                    left.pop(item.contact_id)
                    for contact in page or ()
                    if (item := left.get(str(contact.get("id")))) and not self._reason(item, contact)
                ]
                self.read += len(there)
                self._write(there)
                self._progress()
                if page is None or not left:
                    break
        except Misconfigured as error:
            log.warning("The collection cannot be paged; its contacts are read one by one. %s", error)
        return list(left.values())

    def _reason(self, item: Item, contact: Record | None) -> late.Guilty | None:
        """Return why a record did not arrive, or None when it did."""
        record = msgspec.json.decode(item.body)
        wrong = (
            [Mismatch("", "the contact is not in Ometria")]
            if contact is None
            else faults(
                mismatches(record, contact, self.fields), {*self.silent, *self._unproven(item, record, contact)}
            )
        )
        if not wrong:
            return None
        return late.Guilty(item.contact_id, item.slice, item.batch, *self._words(item, record, wrong[0]))

    def _unproven(self, item: Item, record: Record, contact: Record) -> frozenset[str]:
        """Return the fields of consent that prove nothing, and that no error about this record names."""
        named = [concerned(path, self.fields) for path in split(item.suspect or "")]
        return unproven(record, contact) - frozenset().union(*(remotes or () for remotes in named))

    def _words(self, item: Item, record: dict[str, Any], wrong: Mismatch) -> tuple[str | None, str]:
        """Return the field at fault, if one is known, and the reason: Ometria's own words where there are any."""
        found = f"`{wrong.field}` {wrong.problem}" if wrong.field else wrong.problem
        paths = split(item.suspect) if item.suspect else []
        said = late.words(self.work.ledger, self.work.account, paths) if paths else {}
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
