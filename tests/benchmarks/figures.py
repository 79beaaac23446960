"""One line of the table, and the table."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

BEGIN, END = "<!-- figures: measured, not typed -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Row:
    """One figure.

    :param figure: what was measured.
    :param measured: what came out.
    :param baseline: what it is held against, from the same run; "" when the target is absolute.
    :param target: what was promised; "" for a line that only informs.
    :param met: whether it was kept; None for a line that only informs.
    """

    figure: str
    measured: str
    baseline: str = ""
    target: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        """The last column."""
        return "" if self.met is None else "met" if self.met else "**missed**"

    @property
    def cells(self) -> tuple[str, ...]:
        """All columns."""
        return self.figure, self.measured, self.baseline, self.target, self.verdict


def broken_off(figure: str, error: Exception) -> Row:
    """Return the line of what could not be measured to its end: it is missed."""
    said = str(error).splitlines() or [""]
    return Row(figure, f"broken off: {type(error).__name__}: {said[0]}", met=False)


HEAD = ("Figure", "Measured", "Baseline, same run", "Target", "")


def markdown(rows: Sequence[Row]) -> str:
    """Return the table as aligned Markdown, which reads well on a terminal too."""
    table = [HEAD, *(row.cells for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
        for cells in table
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def rewrite(page: Path, table: str, *, note: str = "") -> None:
    """Put a table between the page's markers, below when and where it was measured.

    :param note: what else is to be said of that.
    :raises ValueError: when the page has no markers.
    """
    old = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{page} has no markers {BEGIN} … {END}")
    text = f"{BEGIN}\n{' '.join(filter(None, [measured_here(), note]))}\n\n{table}\n{END}"
    page.write_text(pattern.sub(lambda _: text, old), encoding="utf-8")


def median(values: Iterable[float]) -> float:
    """Return the median (the lower of the two in the middle)."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def measured_here() -> str:
    """Say when and where figures were measured."""
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with Python {platform.python_version()} on {os.cpu_count()} cores "
        f"({platform.system()}, {platform.machine()})."
    )
