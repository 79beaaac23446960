"""Change a mapping file's text: keys and rows, with everything else left as it was written."""

from __future__ import annotations

import copy
import difflib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from ometria_provider.mapping.flow import flow
from ometria_provider.mapping.model import Mapping as MappingModel
from ometria_provider.mapping.source import Source, parse_source
from ometria_provider.mapping.splicing import CannotEdit, Sheet, Splice, same

ROWS = "fields"
KEYS = tuple(key for key in MappingModel.model_fields if key != "name")
ROW_KEYS = ("loyalty", "value", "remote", "transform")


@dataclass(frozen=True)
class RowEdit:
    """One row of the file that is asked for.

    :param origin: its position in the file as it stands; None: it is new.
    :param row: what it is to say; None: what it says already.
    """

    origin: int | None = None
    row: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Edit:
    """What is to change in a file.

    :param keys: key → its value; all others stay.
    :param removed: keys that go, so that their defaults apply.
    :param rows: all rows, in their order; None: the rows stay.
    """

    keys: Mapping[str, Any] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    rows: Sequence[RowEdit] | None = None


def edit_text(text: str, edit: Edit) -> str:
    """Return a mapping file's text with an edit made. What does not change keeps its text, byte for byte.

    A comment above a row alone goes where the row goes; all other comment lines stay where they are. Only what stands
    behind a row on its line leaves with the row.

    :raises CannotEdit: when the text cannot be read as YAML with keys, or is written in a way that is not safe here.
    """
    bare = text.removeprefix("\ufeff")
    source = parse_source(bare, "")
    if source.problems or not isinstance(source.data, dict):
        raise CannotEdit("the file must be mended by hand first: it is not YAML with keys and values")
    if edit == Edit():
        return text
    wanted = _wanted(source.data, edit)
    rows = None
    if edit.rows is not None:
        rows = _resolved(source.data.get(ROWS), edit.rows)
        wanted[ROWS] = [row.row for row in rows]
    changed = _Editor(bare, source).make(wanted, rows)
    if not same(parse_source(changed, "").data, wanted):
        raise CannotEdit("the file is written in a way that only an editor of text can change safely")
    return text[: len(text) - len(bare)] + changed


def difference(old: str, new: str, name: str) -> str:
    """Return what changed between two texts as a unified difference; empty when nothing did.

    :param name: the file's.
    """
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"{name} (saved)", f"{name} (edited)"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _wanted(data: Mapping[str, Any], edit: Edit) -> dict[str, Any]:
    """Return the data that the edited file is to have."""
    wanted = {key: value for key, value in copy.deepcopy(dict(data)).items() if key not in edit.removed}
    wanted.update(copy.deepcopy(dict(edit.keys)))
    return wanted


def _resolved(rows: Any, edits: Sequence[RowEdit]) -> list[RowEdit]:
    """Return the edits, each with what the row is to say; a row named twice was copied: its copy is new."""
    there = len(rows) if isinstance(rows, list) else 0
    seen: set[int] = set()
    resolved = []
    for edit in edits:
        if edit.origin is None and edit.row is not None:
            resolved.append(edit)
            continue
        if edit.origin is None or not 0 <= edit.origin < there:
            raise CannotEdit("a row is named that the file does not have")
        row = rows[edit.origin] if edit.row is None else edit.row
        resolved.append(RowEdit(None if edit.origin in seen else edit.origin, row))
        seen.add(edit.origin)
    return resolved


class _Editor:
    def __init__(self, text: str, source: Source) -> None:
        self.sheet = Sheet(text)
        self.data: dict[str, Any] = source.data
        root = YAML(typ="safe", pure=True).compose(text)
        if not isinstance(root, MappingNode) or any(_anchored(root)):
            raise CannotEdit("the file uses anchors (& and *): change it in an editor of text")
        self.root = root

    def make(self, wanted: Mapping[str, Any], rows: Sequence[RowEdit] | None) -> str:
        """Return the text that has this data."""
        sheet = self.sheet
        entries = dict(zip(self.data, self.root.value, strict=True))
        if rows is None or self.root.flow_style:
            return sheet.apply(sheet.merge(self.root, self.data, wanted, KEYS))
        others = {key: value for key, value in wanted.items() if key != ROWS}
        if ROWS in entries:
            splices = [*sheet.merge(self.root, self.data, {**others, ROWS: self.data[ROWS]}, KEYS)]
            return sheet.apply([*splices, *self._rows(entries[ROWS], rows, wanted[ROWS])])
        end = sheet.entry_end(*self.root.value[-1])
        lines = f"{ROWS}:{''.join(self._new_lines(wanted[ROWS])) or ' []'}"
        return sheet.apply([*sheet.merge(self.root, self.data, others, KEYS), sheet.insert_line(end, lines)])

    def _new_lines(self, rows: Sequence[Any]) -> Iterator[str]:
        return (f"{self.sheet.eol}  - {flow(row)}" for row in rows)

    def _rows(self, entry: tuple[Node, Node], rows: Sequence[RowEdit], wanted: Sequence[Any]) -> Iterator[Splice]:
        """Yield what makes the rows others."""
        key, node = entry
        if same(self.data[ROWS], wanted) and [row.origin for row in rows] == [*range(len(rows))]:
            return
        if isinstance(node, SequenceNode) and node.value and not node.flow_style:
            yield from _Rows(self.sheet, key, node, self.data[ROWS]).change(rows, wanted)
        else:
            lines = "".join(self._new_lines(wanted)) or " []"
            yield Splice(self.sheet.after_colon(key), self.sheet.entry_end(key, node), lines)


class _Rows:
    """The rows of a list in block style, each with the lines that belong to it.

    The text before a row is a gap: blank lines, and comments that head several rows, stay. Comments just above a row
    that is followed by another gap, or by nothing, head that row alone.
    """

    def __init__(self, sheet: Sheet, key: Node, node: SequenceNode, data: Sequence[Any]) -> None:
        self.sheet, self.key, self.nodes, self.data = sheet, key, node.value, data
        self.indent = " " * node.start_mark.column
        self.start = sheet.line_end(sheet.after_colon(key))
        self.spans = [(sheet.line_start(row.start_mark.index), self._end(row)) for row in self.nodes]
        befores = [self.start, *(end for _, end in self.spans[:-1])]
        gaps = [sheet.text[before:start] for before, (start, _) in zip(befores, self.spans, strict=True)]
        self.heads: list[str] = []
        self.owns: list[str] = []
        for gap, following in zip(gaps, [*gaps[1:], "\n"], strict=True):
            own = _last_comments(gap) if following else ""
            self.heads.append(gap.removesuffix(own) if own else gap)
            self.owns.append(own)

    def _end(self, row: Node) -> int:
        text, start = self.sheet.text, int(row.start_mark.index)
        if text[self.sheet.line_start(start) : start].strip() != "-":
            raise CannotEdit("the rows are written in an unusual way")
        return self.sheet.line_end(self.sheet.content_end(row))

    def change(self, rows: Sequence[RowEdit], wanted: Sequence[Any]) -> Iterator[Splice]:
        """Yield the splice that makes the rows these."""
        sheet, eol = self.sheet, self.sheet.eol
        staying = set(_longest_rise([-1 if row.origin is None else row.origin for row in rows]))
        texts = [self._text(row.origin, data) for row, data in zip(rows, wanted, strict=True)]
        follow: dict[int | None, list[str]] = {}
        place: int | None = None
        for row, text in zip(rows, texts, strict=True):
            place = row.origin if row.origin in staying else place
            follow.setdefault(place, []).append(text)
        kept = {row.origin for row in rows}
        parts: list[str] = []
        waiting = follow.get(None, [])
        for index, (head, own) in enumerate(zip(self.heads, self.owns, strict=True)):
            parts.append(head)
            if index in staying:
                parts += [*waiting, *follow[index]]
                waiting = []
            elif index not in kept:
                parts.append(own)
        new = "".join([*parts, *waiting])
        end = self.spans[-1][1]
        if not sheet.text[:end].endswith("\n"):
            new = new.removesuffix(eol)
        if not rows:
            yield Splice(sheet.after_colon(self.key), sheet.after_colon(self.key), " []")
        yield Splice(self.start, end, new)

    def _text(self, origin: int | None, data: Any) -> str:
        """Return the lines of a row, with the comments that are its own."""
        sheet = self.sheet
        if origin is None:
            return f"{self.indent}- {flow(data)}{sheet.eol}"
        node, old, (start, end) = self.nodes[origin], self.data[origin], self.spans[origin]
        splices: list[Splice] = []
        if isinstance(node, MappingNode) and node.value:
            splices += sheet.merge(node, old, data, ROW_KEYS)
        elif not same(old, data):
            splices.append(Splice(node.start_mark.index, sheet.content_end(node), flow(data)))
        text = sheet.apply(splices, start, end)
        return self.owns[origin] + (text if text.endswith("\n") else text + sheet.eol)


def _last_comments(gap: str) -> str:
    """Return the comment lines at the end of a gap."""
    lines = gap.splitlines(keepends=True)
    count = next((n for n, line in enumerate(reversed(lines)) if not line.strip().startswith("#")), len(lines))
    return "".join(lines[len(lines) - count :])


def _longest_rise(numbers: Sequence[int]) -> list[int]:
    """Return the longest rising sequence among the numbers from 0 up: the rows that need not move."""
    tails: list[int] = []
    chains: list[list[int]] = []
    for number in numbers:
        if number >= 0:
            at = bisect_left(tails, number)
            chain = [*(chains[at - 1] if at else []), number]
            tails[at : at + 1], chains[at : at + 1] = [number], [chain]
    return chains[-1] if chains else []


def _anchored(node: Node) -> Iterator[bool]:
    """Say of a node, and of all inside it, whether it has an anchor; an alias cannot be without one."""
    yield node.anchor is not None
    if node.anchor is None and isinstance(node.value, list):
        for inner in node.value:
            for each in inner if isinstance(inner, tuple) else (inner,):
                yield from _anchored(each)
