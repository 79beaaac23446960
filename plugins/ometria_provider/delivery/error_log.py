"""Ometria's error log, from one look to the next (contract/ometria.md, `GET /push/_errors`).

The log is the account's: the 100 latest errors, whoever sent the records, each a message and a path, without an id or a
time. So a look says something only beside the look before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: How many errors the log holds.
WINDOW = 100

#: So many errors in the same order are the same errors; fewer may look the same by chance.
OVERLAP = 10

#: The path of an error that may be about any field: one that cannot be read, or one that the log lost.
ANYWHERE = ""


class LogEntry(NamedTuple):
    """One error.

    :param message: Ometria's words, without values.
    :param path: where in the record, as in `root > lastname`.
    """

    message: str
    path: str


@dataclass(frozen=True)
class News:
    """What a look shows that the one before did not.

    :param errors: how often each error came; as many as are known for sure.
    :param unseen: paths of which more may have come than the log still shows; :data:`ANYWHERE` for any path.
    """

    errors: Counter[LogEntry]
    unseen: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.errors or self.unseen)


def news(before: Sequence[LogEntry], after: Sequence[LogEntry]) -> News:
    """Compare a look with the one before, as multisets.

    While the log is not full that is exact. In a full log an error pushes the oldest out, which may have had the same
    words; where the windows overlap in order (the oldest or the newest first: the contract does not say), the overlap
    tells how many came. Without one, a hundred came at least and some were lost.
    """
    gained = Counter(after)
    gained.subtract(Counter(before))
    errors = +gained
    if len(after) < WINDOW:
        return News(errors)
    forwards, backwards = _overlap(before, after), _overlap(before[::-1], after[::-1])
    kept, forward = max(forwards, backwards), forwards >= backwards
    if kept < OVERLAP:
        return News(errors, frozenset({ANYWHERE}))
    came = after[kept:] if forward else after[: len(after) - kept]
    still_there = after[:kept] if forward else after[len(after) - kept :]
    # In a row of equal errors one more changes nothing.
    unseen = {entry.path for entry in still_there} if _repeats(still_there) else set()
    return News(Counter(came), frozenset(unseen))


def _overlap(before: Sequence[LogEntry], after: Sequence[LogEntry]) -> int:
    """Return how many of the latest errors of a look are the first ones of the next look."""
    longest = min(len(before), len(after))
    return next((n for n in range(longest, 0, -1) if list(before[-n:]) == list(after[:n])), 0)


def _repeats(entries: Sequence[LogEntry]) -> bool:
    """Say whether entries are one pattern over and over, so that it cannot be seen how often it came."""
    size = len(entries)
    return any(list(entries[step:]) == list(entries[:-step]) for step in range(1, size // 2 + 1))
