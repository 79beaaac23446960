"""Lay out plain text: tables and durations that read the same in a terminal, a task log and a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from unicodedata import combining, east_asian_width


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, indent: str = "") -> str:
    """Return rows as aligned columns; numbers to the right, everything else to the left."""
    cells = [list(row) for row in rows]
    texts = [[cell(value) for value in row] for row in cells]
    right = [bool(cells) and all(_is_number(row[i]) or row[i] is None for row in cells) for i in range(len(head))]
    widths = [max(_width(text) for text in (head[i], *(row[i] for row in texts))) for i in range(len(head))]
    lines = [
        indent + "  ".join(_pad(t, w, right=r) for t, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in ([list(head)] if any(head) else []) + texts
    ]
    return "\n".join(lines)


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _width(text: str) -> int:
    """Return how many columns a terminal gives to a text: Chinese, Japanese and Korean letters take two."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


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


def json_text(value: Any) -> str:
    """Return a value as JSON; text that is no Unicode with escapes in it."""
    import msgspec

    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))


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
