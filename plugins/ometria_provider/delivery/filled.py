"""Which remote fields a record fills, as bits: what would be cleared is a comparison of two bitmaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.bool_]


def pack(filled: Matrix, remotes: Sequence[str], bits: Mapping[str, int]) -> list[bytes]:
    """Return each row's bitmap.

    :param filled: n rows, a column for each of `remotes`.
    :param bits: each remote field's bit, as the ledger handed it out.
    """
    wide = np.zeros((len(filled), max(bits.values(), default=0) + 1), dtype=bool)
    wide[:, [bits[name] for name in remotes]] = filled
    return [row.tobytes() for row in np.packbits(wide, axis=1, bitorder="little")]


def unpack(bitmaps: Sequence[bytes | None], remotes: Sequence[str], bits: Mapping[str, int]) -> Matrix:
    """Return the rows that :func:`pack` packed; an unknown bitmap fills nothing."""
    width = (max(bits.values(), default=0) // 8) + 1
    raw = b"".join((bitmap or b"").ljust(width, b"\0")[:width] for bitmap in bitmaps)
    wide = np.unpackbits(np.frombuffer(raw, dtype=np.uint8).reshape(-1, width), axis=1, bitorder="little")
    return wide[:, [bits[name] for name in remotes]].astype(bool)
