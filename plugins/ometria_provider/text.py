"""Lay out plain text: tables and durations that read the same in a terminal, a task log and a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, indent: str = "") -> str:
    """Return rows as aligned columns; numbers to the right, everything else to the left."""
    cells = [list(row) for row in rows]
    texts = [[cell(value) for value in row] for row in cells]
    right = [bool(cells) and all(_is_number(row[i]) or row[i] is None for row in cells) for i in range(len(head))]
    widths = [max(len(text) for text in (head[i], *(row[i] for row in texts))) for i in range(len(head))]
    lines = [
        indent + "  ".join(t.rjust(w) if r else t.ljust(w) for t, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in ([list(head)] if any(head) else []) + texts
    ]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Return one value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            text = "yes" if value else "no"
        case int():
            text = f"{value:,}"
        case float():
            text = f"{value:,.1f}"
        case datetime():
            text = moment(value)
        case list() | tuple():
            text = ", ".join(map(cell, value))
        case _:
            text = str(value)
    return text


def moment(value: datetime) -> str:
    """Return a time of the ledger; they are all UTC."""
    return value.strftime("%Y-%m-%d %H:%M:%SZ")


def duration(seconds: float) -> str:
    """Return a time span: seconds, from a minute on minutes too, from an hour on hours."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def members(count: int) -> str:
    """Return a number of members."""
    return f"{count:,} {'member' if count == 1 else 'members'}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
