"""A YAML file as plain data that still knows line and column, and the problems that point there.

YAML 1.2: `yes`, `no` and `on` are text. Dates without quotes are text too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Loc = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_MOST_NODES = 50_000  # aliases can make a small file unfold into a huge one
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file, and where. Lines and columns count from 1.

    :param hint: what to write instead; may be empty.
    :param source: the line itself.
    :param warning: the file can be used all the same.
    :param loc: the place in the data that it is about; empty: the file, or what is no data.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    source: str = ""
    warning: bool = False
    loc: Loc = ()

    def render(self) -> str:
        """Return the problem as text: place and message, the line with a caret, and what to write."""
        text = [f"{self.file}:{self.line}:{self.column}: {'warning: ' if self.warning else ''}{self.message}"]
        if self.source.strip() and self.column <= _SHOWN:
            lead = re.sub(r"[^\t]", " ", self.source[: self.column - 1])
            text += [f"    {self.source[:_SHOWN]}", f"    {lead}^"]
        if self.hint:
            text.append(f"    {self.hint}")
        return "\n".join(text)


@dataclass(slots=True)
class Source:
    """A file that could be read: its data, and where each key and value stands."""

    file: str
    lines: list[str] = field(default_factory=list)
    data: Any = None
    keys: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    values: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, loc: Loc, message: str, hint: str = "", *, key: bool = False) -> Problem:
        """Make a problem that points at a key or a value, or at the nearest thing around it that exists."""
        if key and loc in self.keys:
            return replace(self.at(self.keys[loc], message, hint), loc=loc)
        there = loc
        while there and there not in self.values:
            there = there[:-1]
        return replace(self.at(self.values.get(there, (1, 1)), message, hint), loc=loc)

    def at(self, spot: tuple[int, int], message: str, hint: str = "") -> Problem:
        """Make a problem that points at a line and column."""
        line, column = spot
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return Problem(self.file, line, column, message, hint, text)


def read_source(path: Path) -> Source:
    """Read a YAML file. What is wrong with it as YAML stands in ``problems``; ``data`` is None then or partial."""
    source = Source(str(path))
    try:
        raw = path.read_bytes()
    except OSError as error:
        source.problems.append(source.at((1, 1), f"the file cannot be read: {error.strerror}"))
        return source
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", "replace")
        spot = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        source.problems.append(source.at(spot, "the file is not UTF-8 text", "save it with the encoding UTF-8"))
        return source
    return parse_source(text, source.file)


def parse_source(text: str, file: str, *, most: int = _MOST_NODES) -> Source:
    """Read YAML text as :func:`read_source` reads a file.

    :param file: what problems name.
    :param most: nodes into which it may unfold.
    """
    source = Source(file, text.splitlines())
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        source.data = _Reader(source, most).read(node, ()) if node is not None else None
    except YAMLError as error:
        source.problems.append(_syntax_problem(source, error))
    except RecursionError:
        source.problems.append(source.at((1, 1), "the file is nested too deeply"))
    return source


def _syntax_problem(source: Source, error: YAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark if isinstance(error, MarkedYAMLError) else None
    spot = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = str(error.problem or "") if isinstance(error, MarkedYAMLError) else ""
    line = source.lines[spot[0] - 1] if spot[0] <= len(source.lines) else ""
    hint = ""
    if "\t" in line or "'\\t'" in said:
        hint = "indent with spaces: YAML takes no tabs"
    elif "another document" in said:
        hint = "a file holds one document: remove the line `---`"
    elif "@" in said or "`" in said or "%" in said:
        hint = "put the value in quotes"
    elif "mapping values" in said:
        hint = "look at the indentation, and put quotes around text that holds `: `"
    return source.at(spot, f"this is not YAML: {said}" if said else "this is not YAML", hint)


class _Reader:
    """Turns YAML nodes into plain data and notes where everything stands."""

    def __init__(self, source: Source, most: int) -> None:
        self.source = source
        self.most = most
        self.count = 0
        self.open: set[int] = set()

    def read(self, node: Node, loc: Loc) -> Any:
        spot = _spot(node)
        self.source.values[loc] = spot
        self.count += 1
        if self.count > self.most or id(node) in self.open:
            raise MarkedYAMLError(problem="aliases unfold without end", problem_mark=node.start_mark)
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if not str(node.tag).startswith(_TAG):
            self._complain(spot, f"the tag `{node.tag}` means nothing here", "remove it")
        self.open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.read(item, (*loc, index)) for index, item in enumerate(node.value)]
            return dict(self._pairs(node, loc)) if isinstance(node, MappingNode) else None
        finally:
            self.open.discard(id(node))

    def _pairs(self, node: MappingNode, loc: Loc) -> Iterator[tuple[str, Any]]:
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._complain(_spot(key_node), "a key must be plain text")
                continue
            key = _key_text(key_node)
            here = (*loc, key)
            if here in self.source.keys:
                line = self.source.keys[here][0]
                self._complain(_spot(key_node), f"`{key}` stands here twice, first in line {line}", "remove one")
                continue
            self.source.keys[here] = _spot(key_node)
            yield key, self.read(value_node, here)
            if isinstance(value_node, ScalarNode) and value_node.start_mark.index == value_node.end_mark.index:
                self.source.values[here] = _spot(key_node)  # nothing stands there to point at

    def _scalar(self, node: ScalarNode) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        try:
            if kind == "float":
                return self._finite(node)
            if kind in _SCALARS:
                return _SCALARS[kind](node.value)
        except ValueError:  # text that a tag calls a number, or more digits than Python reads
            self._complain(_spot(node), "this is no number that can be read")
            return None
        self._complain(_spot(node), f"the tag `{node.tag}` means nothing here", "remove it")
        return node.value

    def _finite(self, node: ScalarNode) -> float:
        number = float(re.sub(r"_|\.(?=inf|nan)", "", node.value.lower()))
        if math.isfinite(number):
            return number
        self._complain(_spot(node), "a number must be finite")
        return 0.0

    def _complain(self, spot: tuple[int, int], message: str, hint: str = "") -> None:
        self.source.problems.append(self.source.at(spot, message, hint))


def _spot(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _key_text(node: ScalarNode) -> str:
    """Return a key as text: booleans in lower case, as `map` looks its keys up; all else as written."""
    return str(node.value).lower() if node.tag == f"{_TAG}bool" else str(node.value)


def _whole(text: str) -> int:
    bare = text.replace("_", "")
    prefix = bare.lstrip("+-")[:2].lower()
    return int(bare, {"0x": 16, "0o": 8, "0b": 2}.get(prefix, 10))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _whole,
    "str": str,
    "timestamp": str,
}
