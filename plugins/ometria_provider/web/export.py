"""A run's rejections as files: CSV that a spreadsheet opens without harm, and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.rejections import RejectionRow, list_rejections
from ometria_provider.ledger.undelivered import Ending, endings
from ometria_provider.text import json_text

#: Rejections read at a time.
PAGE = 5_000

#: What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

_COLUMNS = ("contact_id", "stage", "field", "reason", "created_at")


#: The files there are, by the end of their names, with the type that a browser is told.
FileKind = Literal["csv", "json"]
MEDIA_TYPES: dict[FileKind, str] = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def rejections_file(
    kind: FileKind, ledger: Ledger, run: RunRow, *, stage: str | None = None, reason: str | None = None
) -> Iterator[str]:
    """Yield a run's rejections as text of a file, each with where its member stands now, some thousand at a time."""
    pages = _pages(ledger, run, stage, reason)
    return _as_csv(pages, run.id) if kind == "csv" else _as_json(pages)


def _pages(
    ledger: Ledger, run: RunRow, stage: str | None, reason: str | None
) -> Iterator[list[tuple[RejectionRow, Ending]]]:
    after = 0
    while rows := list_rejections(ledger, run.id, stage=stage, reason=reason, after=after, limit=PAGE):
        now = endings(ledger, run, [row.contact_id for row in rows])
        yield [(row, now[row.contact_id]) for row in rows]
        after = rows[-1].id


def _as_csv(pages: Iterator[list[tuple[RejectionRow, Ending]]], run_id: int) -> Iterator[str]:
    yield _csv([[*_COLUMNS, "now"]])
    for page in pages:
        yield _csv([[*(getattr(row, name) for name in _COLUMNS), end.words(run_id)] for row, end in page])


def _as_json(pages: Iterator[list[tuple[RejectionRow, Ending]]]) -> Iterator[str]:
    """Yield a JSON array, as `ometria-sync rejections -o json` gives it."""
    opened = "["
    for page in pages:
        for row, end in page:
            values = {name: getattr(row, name) for name in RejectionRow.__dataclass_fields__}
            yield opened + json_text({**values, "now": end})
            opened = ",\n"
    yield "[]" if opened == "[" else "]"


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_harmless(value) for value in row] for row in rows)
    return text.getvalue()


def _harmless(value: object) -> str:
    """Return a cell that no spreadsheet computes."""
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
