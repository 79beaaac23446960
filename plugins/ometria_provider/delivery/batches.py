"""Cut records into push requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeVar

#: Records in one push request (contract/ometria.md, `POST /push`).
MAX_RECORDS = 100

#: Bytes of one push request. The contract limits a record (61,440 bytes), not a request: our choice, so that a
#: hundred large records do not make one six-megabyte body.
MAX_BYTES = 1_000_000


class Sendable(Protocol):
    """A record as JSON, as it goes over the wire, with whatever its sender wants to know of it."""

    @property
    def body(self) -> bytes: ...


Record = TypeVar("Record", bound=Sendable)


class Outgoing(NamedTuple):
    """One contact's record on its way.

    :param body: the record as JSON, as it goes over the wire.
    :param fingerprint: digest of its canonical form, its consent group apart.
    :param source_digest: digest of the customer that it was made from.
    :param filled: bitmap of the remote fields that it fills.
    :param consent: the consent group that it carries.
    :param held: why an opt-in was held back from it.
    """

    contact_id: str
    body: bytes
    fingerprint: bytes
    source_digest: bytes | None
    filled: bytes | None
    consent: bytes | None = None
    held: str | None = None


#: Makes a record of a row, as `Outgoing._make` does, without a call in Python for each of tens of thousands.
outgoing: Callable[[Iterable[Any]], Outgoing] = partial(tuple.__new__, Outgoing)

Batch = tuple[Outgoing, ...]

_BODY = attrgetter("body")


def batches(records: Sequence[Record]) -> Iterator[tuple[Record, ...]]:
    """Yield batches within Ometria's limits, in the records' order."""
    start = 0
    while start < len(records):
        batch = records[start : start + MAX_RECORDS]
        if sum(map(len, map(_BODY, batch))) + len(batch) > MAX_BYTES:
            ends = accumulate(len(record.body) + 1 for record in batch)
            batch = batch[: max(1, sum(end <= MAX_BYTES for end in ends))]
        yield tuple(batch)
        start += len(batch)


def body(batch: Sequence[Sendable]) -> bytes:
    """Return the request body of a batch: the records' own bytes, not encoded a second time."""
    return b"[" + b",".join(map(_BODY, batch)) + b"]"


def halves(batch: tuple[Record, ...]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Split a refused batch of two records or more, to find the record at fault."""
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]
