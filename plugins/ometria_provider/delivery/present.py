"""Who was read: enough to say of any contact whether a run met it, in 8 bytes a member."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


class Present:
    """The contact ids that a run read.

    Kept as Python's own 64-bit hashes: two of a million ids share one with a chance of 3e-8. Then somebody who is gone
    passes as read this time; nobody who was read ever passes as gone.

    :param chunks: the ids, a chunk at a time.
    """

    def __init__(self, chunks: Iterable[Sequence[str]]) -> None:
        parts = [_hashes(ids) for ids in chunks]
        self._read = np.concatenate(parts) if parts else _hashes([])
        self._read.sort()

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Return those of some contacts that were not read."""
        if not len(self._read):
            return list(ids)
        wanted = _hashes(ids)
        places = np.searchsorted(self._read, wanted).clip(max=len(self._read) - 1)
        return [ids[row] for row in np.flatnonzero(self._read[places] != wanted).tolist()]

    def shared(self) -> Shared:
        """Return what tells ids that were read more than once."""
        again = self._read[1:][self._read[1:] == self._read[:-1]]
        return Shared(again)


class Shared:
    """Ids that several customers have, by their hashes."""

    def __init__(self, hashes: NDArray[np.int64]) -> None:
        self._hashes = set(hashes.tolist())

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def among(self, ids: Sequence[str]) -> list[str]:
        """Return those of some ids that several customers have."""
        return [id_ for id_ in ids if hash(id_) in self._hashes]


def _hashes(ids: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, ids), np.int64, len(ids))
