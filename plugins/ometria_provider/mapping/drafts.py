"""A mapping file as a form shows it, in texts, and what somebody makes of it there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ometria_provider.mapping.editing import KEYS, ROWS, Edit, RowEdit, difference, edit_text
from ometria_provider.mapping.files import check_text
from ometria_provider.mapping.flow import flow
from ometria_provider.mapping.model import Mapping as MappingModel
from ometria_provider.mapping.source import Loc, Problem, Source, parse_source
from ometria_provider.mapping.splicing import CannotEdit

#: Keys whose value is a text: a form shows it as it is. All others are shown as YAML.
TEXT_KEYS = (
    *("description", "schedule", "timezone", "mode", "collection", "language"),
    *("on_empty", "departed", "strategy", "verify", "full_every", "details_max_age", "retry_rejected"),
)


@dataclass(frozen=True)
class RowDraft:
    """A row in a form.

    :param origin: its position in the file as it was loaded; None: it is new.
    :param constant: it is a constant: ``value`` counts, else ``loyalty`` and ``transform``.
    :param value: as YAML: ``"12"`` is text, ``12`` a number.
    :param transform: the list as YAML, without its brackets: ``strip, {e164: GB}``.
    """

    remote: str = ""
    loyalty: str = ""
    transform: str = ""
    value: str = ""
    constant: bool = False
    origin: int | None = None


@dataclass(frozen=True)
class Draft:
    """What a form says of a file.

    :param keys: keys that were changed, with their texts; an empty one takes the key out of the file.
    :param rows: all rows, in their order; None: untouched.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[RowDraft] | None = None


@dataclass(frozen=True)
class Finding:
    """A problem, and where the form shows it.

    :param key: of the file, or of the row; empty: the whole.
    :param row: position of the row in the form.
    :param line: in the edited text, from 1; 0: there is no text.
    :param file: its name when it is another file's problem.
    """

    message: str
    hint: str = ""
    key: str = ""
    row: int | None = None
    warning: bool = False
    line: int = 0
    file: str = ""


@dataclass(frozen=True)
class Checked:
    """An edited file.

    :param text: None when the draft cannot be put into the file.
    :param difference: to the file as it was loaded, unified.
    :param mapping: None when there is an error.
    """

    text: str | None
    difference: str
    mapping: MappingModel | None
    findings: list[Finding]


def show_file(text: str) -> tuple[dict[str, str], list[RowDraft]]:
    """Return a file's keys and rows as a form shows them; nothing when it cannot be read."""
    data = parse_source(text.removeprefix("\ufeff"), "").data
    if not isinstance(data, dict):
        return {}, []
    rows = data.get(ROWS)
    keys = {key: _shown(key, value) for key, value in data.items() if key in KEYS and key != ROWS}
    return keys, [_show_row(row, index) for index, row in enumerate(rows if isinstance(rows, list) else [])]


def _shown(key: str, value: Any) -> str:
    return value if key in TEXT_KEYS and isinstance(value, str) else flow(value)


def _show_row(row: Any, origin: int) -> RowDraft:
    row = row if isinstance(row, dict) else {}
    transform = flow(row["transform"]) if "transform" in row else ""
    return RowDraft(
        remote=_text(row.get("remote")),
        loyalty=_text(row.get("loyalty")),
        transform=transform[1:-1] if isinstance(row.get("transform"), list) else transform,
        value=flow(row["value"]) if "value" in row else "",
        constant="value" in row and "loyalty" not in row,
        origin=origin,
    )


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else flow(value)


def check_draft(path: Path, text: str, draft: Draft) -> Checked:
    """Put a draft into a file's text, and find all that is wrong then, as `mappings check` does.

    :param path: where the file is, or is to be.
    """
    findings: list[Finding] = []
    edit = _edit(text, draft, findings)
    if findings:
        return Checked(None, "", None, findings)
    try:
        edited = edit_text(text, edit)
    except CannotEdit as refusal:
        return Checked(None, "", None, [Finding(str(refusal))])
    mapping, problems = check_text(path, edited)
    found = [_finding(problem, path) for problem in problems]
    return Checked(edited, difference(text, edited, path.name), mapping, found)


def _finding(problem: Problem, path: Path) -> Finding:
    loc: Loc = problem.loc
    row = loc[1] if loc[:1] == (ROWS,) and len(loc) > 1 and isinstance(loc[1], int) else None
    key = next((str(part) for part in (loc if row is None else loc[2:])), "")
    file = "" if problem.file == str(path) else Path(problem.file).name
    if file:
        return Finding(problem.message, problem.hint, warning=problem.warning, file=file)
    return Finding(problem.message, problem.hint, key, row, problem.warning, problem.line)


def _edit(text: str, draft: Draft, findings: list[Finding]) -> Edit:
    """Return the edit that a draft asks for; what cannot be read of it goes to the findings."""
    _, loaded = show_file(text)
    keys, removed = {}, set()
    for key, said in draft.keys.items():
        if key not in KEYS or key == ROWS:
            findings.append(Finding(f"a form has no key `{key}`", key=key))
        elif not said.strip():
            removed.add(key)
        else:
            plain = key in TEXT_KEYS and said.strip() != "null"
            keys[key] = said.strip() if plain else _parse(said, findings, key=key)
    if draft.rows is None:
        return Edit(keys, frozenset(removed))
    rows = [
        RowEdit(row.origin) if _untouched(row, loaded) else RowEdit(row.origin, dict(_items(row, index, findings)))
        for index, row in enumerate(draft.rows)
    ]
    return Edit(keys, frozenset(removed), rows)


def _untouched(row: RowDraft, loaded: Sequence[RowDraft]) -> bool:
    return row.origin is not None and row.origin < len(loaded) and loaded[row.origin] == row


def _items(row: RowDraft, index: int, findings: list[Finding]) -> Iterator[tuple[str, Any]]:
    if row.constant:
        yield "value", _constant(row.value)
    else:
        yield "loyalty", row.loyalty.strip()
    yield "remote", row.remote.strip()
    if row.transform.strip() and not row.constant:
        hint = "separate transforms by commas: strip, {e164: GB}"
        yield "transform", _parse(f"[{row.transform}]", findings, key="transform", row=index, hint=hint)


def _constant(text: str) -> Any:
    """Return a constant: YAML's scalar, or the text itself where YAML would see anything else in it."""
    source = _source(text)
    return text.strip() if source.problems or isinstance(source.data, (dict, list)) else source.data


def _parse(text: str, findings: list[Finding], *, key: str, row: int | None = None, hint: str = "") -> Any:
    source = _source(" ".join(text.splitlines()))
    findings += [Finding(problem.message, hint or problem.hint, key, row) for problem in source.problems]
    return source.data


def _source(text: str) -> Source:
    """Read what somebody wrote into an input: without aliases it has no more nodes than letters."""
    return parse_source(text, "", most=len(text) + 1)
