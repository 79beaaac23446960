"""Change values in YAML text where they stand, so that all else stays as somebody wrote it: comments, order, spacing.

Writing a document anew, even with a library that keeps comments, changes spacing and line breaks all over the file;
the difference that a person is to read must show their change alone. So only the span of a changed value is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from typing import Any, NamedTuple

from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from ometria_provider.mapping.flow import flow

Order = Sequence[str]


class CannotEdit(ValueError):
    """The text is written in a way that is not changed safely here. The text says why."""


class Splice(NamedTuple):
    """A span of the text, and what takes its place."""

    start: int
    end: int
    text: str


def same(one: Any, other: Any) -> bool:
    """Say whether two plain values are the same in a file: 1, 1.0, true and "1" all differ."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


class Sheet:
    """A text whose nodes can be changed.

    :param text: as it stands in the file.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.eol = "\r\n" if "\r\n" in text else "\n"

    def apply(self, splices: Iterable[Splice], start: int = 0, end: int | None = None) -> str:
        """Return the text, or a part of it, with all splices made."""
        parts, position = [], start
        for splice in sorted(splices, key=lambda splice: splice[:2]):
            if splice.start < position:
                raise CannotEdit("two changes meet in one place")
            parts += [self.text[position : splice.start], splice.text]
            position = splice.end
        return "".join([*parts, self.text[position : len(self.text) if end is None else end]])

    def line_start(self, index: int) -> int:
        """Return where the line begins that holds this position."""
        return self.text.rfind("\n", 0, index) + 1

    def line_end(self, index: int) -> int:
        """Return where the line ends that holds this position, its line break included."""
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def content_end(self, node: Node) -> int:
        """Return where a node's last character stands; the marks of block style reach past comments and blank lines."""
        start, end = int(node.start_mark.index), int(node.end_mark.index)
        if isinstance(node, ScalarNode):
            return start + len(self.text[start:end].rstrip())
        if not _is_block(node) or not node.value:
            return end
        last = node.value[-1]
        return self.entry_end(*last) if isinstance(node, MappingNode) else self.content_end(last)

    def after_colon(self, key: Node) -> int:
        """Return the position behind a key's colon."""
        found = re.compile(r"[ \t]*:").match(self.text, key.end_mark.index)
        if found is None:
            raise CannotEdit(f"the key `{getattr(key, 'value', '')}` is written in an unusual way")
        return found.end()

    def entry_end(self, key: Node, value: Node) -> int:
        """Return where an entry's last character stands."""
        return self.after_colon(key) if _is_nothing(value) else self.content_end(value)

    def put(self, key: Node, node: Node, old: Any, new: Any, order: Order = ()) -> Iterator[Splice]:
        """Yield what makes an entry's value another one.

        :param old: the value as it stands there.
        :param order: of the keys, if it is a mapping.
        """
        if same(old, new):
            return
        if isinstance(node, MappingNode) and isinstance(new, AnyMapping) and node.value and new:
            yield from self.merge(node, old, new, order)
        elif _is_nothing(node) or _is_block(node):
            yield Splice(self.after_colon(key), self.entry_end(key, node), f" {flow(new)}")
        else:
            yield Splice(node.start_mark.index, self.content_end(node), flow(new))

    def merge(
        self, node: MappingNode, old: AnyMapping[str, Any], new: AnyMapping[str, Any], order: Order
    ) -> Iterator[Splice]:
        """Yield what makes a mapping another one; its entries that stay the same keep their text."""
        entries = dict(zip(old, node.value, strict=True))
        if node.flow_style and old.keys() != new.keys():
            yield Splice(node.start_mark.index, node.end_mark.index, self._rebuilt(entries, old, new, order))
            return
        if not node.flow_style and not old.keys() & new.keys():
            yield Splice(node.start_mark.index, self.content_end(node), flow(new))
            return
        for name, (key, value) in entries.items():
            if name in new:
                yield from self.put(key, value, old[name], new[name])
        yield from self._without(entries, new)
        yield from self._with(entries, new, order)

    def _rebuilt(
        self,
        entries: AnyMapping[str, tuple[Node, Node]],
        old: AnyMapping[str, Any],
        new: AnyMapping[str, Any],
        order: Order,
    ) -> str:
        """Return a mapping in flow style with other keys than before."""
        texts = {}
        for name in in_order([name for name in entries if name in new], new, order):
            if name in entries:
                key, value = entries[name]
                inner = self.put(key, value, old[name], new[name])
                texts[name] = self.apply(inner, key.start_mark.index, self.entry_end(key, value))
            else:
                texts[name] = f"{flow(name)}: {flow(new[name])}"
        return "{" + ", ".join(texts.values()) + "}"

    def _without(self, entries: AnyMapping[str, tuple[Node, Node]], new: AnyMapping[str, Any]) -> Iterator[Splice]:
        """Yield what takes entries out of a mapping in block style, of which some stay."""
        names = list(entries)
        first = next(index for index, name in enumerate(names) if name in new)
        start = int(entries[names[0]][0].start_mark.index)
        if first and self.text[self.line_start(start) : start].strip():  # the dash of a list stands before it
            yield Splice(start, entries[names[first]][0].start_mark.index, "")
        else:
            first = 0
        for name in names[first:]:
            if name not in new:
                key, value = entries[name]
                end = self.line_end(self.entry_end(key, value))
                yield Splice(self.line_start(key.start_mark.index), end, "")

    def _with(
        self, entries: AnyMapping[str, tuple[Node, Node]], new: AnyMapping[str, Any], order: Order
    ) -> Iterator[Splice]:
        """Yield what puts new entries into a mapping in block style, each behind the one that it follows by order."""
        first = next(iter(entries.values()))[0]
        indent = " " * first.start_mark.column
        before: str | None = None
        for name in in_order([name for name in entries if name in new], new, order):
            if name in entries:
                before = name
                continue
            line = f"{flow(name)}: {flow(new[name])}"
            if before is None:
                yield Splice(first.start_mark.index, first.start_mark.index, f"{line}{self.eol}{indent}")
            else:
                yield self.insert_line(self.entry_end(*entries[before]), indent + line)

    def insert_line(self, after: int, line: str) -> Splice:
        """Return what puts a line behind the one that holds a position."""
        at = self.line_end(after)
        whole = f"{line}{self.eol}" if at and self.text[at - 1] == "\n" else f"{self.eol}{line}"
        return Splice(at, at, whole)


def in_order(there: Sequence[str], new: Iterable[str], order: Order) -> list[str]:
    """Return the names that are there, and the new ones among them where the order puts them, else at the end."""
    names = list(there)
    for name in (name for name in new if name not in there):
        earlier = order[: order.index(name)] if name in order else names
        position = max((index + 1 for index, known in enumerate(names) if known in earlier), default=0)
        names.insert(position, name)
    return names


def _is_block(node: Node) -> bool:
    return isinstance(node, CollectionNode) and not node.flow_style


def _is_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and bool(node.start_mark.index == node.end_mark.index)
