"""A catalogue of fields by dotted names: looking one up, and suggesting what was meant when there is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from typing import Literal

Mode = Literal["legacy", "v2"]
FieldType = Literal["text", "number", "date", "time", "list", "any"]

BOTH: tuple[Mode, ...] = ("legacy", "v2")

_SEGMENT = re.compile(r'\.([^.\[\]"]+)|\["((?:[^"\\]|\\.)+)"\]')


class FieldProblem(ValueError):
    """A field that a mapping may not name. The text says why; ``hint`` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class LoyaltyField:
    """A loyalty field, or a family of them: segments in angle brackets stand for a name of the account's own.

    :param type: ``time`` is ISO 8601 UTC text, ``date`` is YYYY-MM-DD, ``any`` is whatever Antavo holds.
    """

    name: str
    type: FieldType
    meaning: str
    modes: tuple[Mode, ...] = BOTH


def split_path(name: str) -> tuple[str, ...]:
    """Split a loyalty field into its segments: ``properties["a.b"]`` gives ``("properties", "a.b")``.

    :raises FieldProblem: when the text is not of that form.
    """
    text, position, segments = f".{name}", 0, []
    while position < len(text):
        found = _SEGMENT.match(text, position)
        if found is None or (found[1] is not None and found[1] != found[1].strip()):
            raise FieldProblem(
                f"`{name}` is not a loyalty field's name",
                'separate with dots; a part that holds a dot is written properties["a.b"]',
            )
        segments.append(found[1] if found[1] is not None else re.sub(r"\\(.)", r"\1", found[2]))
        position = found.end()
    if not segments:
        raise FieldProblem("the loyalty field is empty", "name one, such as `first_name`")
    return tuple(segments)


def join_path(segments: Iterable[str]) -> str:
    """Write a loyalty field's name from its segments: the reverse of :func:`split_path`."""
    first, *rest = segments
    return first + "".join(map(_written, rest))


def _written(segment: str) -> str:
    if re.fullmatch(r'[^.\[\]"]+', segment) and segment == segment.strip():
        return f".{segment}"
    escaped = segment.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{escaped}"]'


def closest(word: str, candidates: Iterable[str]) -> str:
    """Return ``did you mean `…`?`` with the nearest candidate, or an empty text when none is near."""
    near = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


class Catalogue:
    """Fields, and families of them, by name.

    :param fields: without the prefix.
    :param prefix: what every name begins with in a file: ``customer.``.
    :param others: names that people write → the field's name.
    :param open_family: what the members of ``properties.<…>`` are called: "A custom attribute".
    :param listed_by: the command that lists all fields.
    """

    def __init__(
        self,
        fields: Iterable[LoyaltyField],
        *,
        prefix: str = "",
        others: AnyMapping[str, str],
        open_family: str,
        listed_by: str,
    ) -> None:
        self.fields = tuple(fields)
        self._prefix, self._others = prefix, others
        self._open_family, self._listed_by = open_family, listed_by
        self._plain = {field.name: field for field in self.fields if "<" not in field.name}
        self._patterns = [(tuple(field.name.split(".")), field) for field in self.fields if "<" in field.name]
        self._roots = {field.name.split(".")[0] for field in self.fields}

    def find(self, name: str) -> LoyaltyField:
        """Look a field up by the name that a file gives it, the prefix left out.

        :raises FieldProblem: for a field that there is not, with a suggestion.
        """
        segments = split_path(name)
        if name in self._plain:
            return self._plain[name]
        for pattern, field in self._patterns:
            if _matches(pattern, segments, is_open=field.type == "any"):
                return field
        raise FieldProblem(f"unknown loyalty field `{self._prefix}{name}`", self._suggest(name, segments))

    def _suggest(self, name: str, segments: tuple[str, ...]) -> str:
        root, rest, prefix = segments[0], segments[1:], self._prefix
        if name in self._others:
            return f"write `{prefix}{self._others[name]}`"
        if family := [pattern for pattern, _ in self._patterns if pattern[0] == root]:
            return self._suggest_member(root, rest, family) if rest else f"write `{prefix}{'.'.join(family[0])}`"
        custom = f"{self._open_family} is written `{prefix}properties.{name}`" if "properties" in self._roots else ""
        if near := difflib.get_close_matches(name, self._plain, n=1, cutoff=0.6):
            return f"did you mean `{prefix}{near[0]}`? {custom}".rstrip()
        if rest and (close := difflib.get_close_matches(root, self._roots, n=1)):
            return f"did you mean `{prefix}{'.'.join((close[0], *rest))}`?"
        return f"{custom}; `{self._listed_by}` lists all" if custom else f"`{self._listed_by}` lists all"

    def _suggest_member(self, root: str, rest: tuple[str, ...], family: list[tuple[str, ...]]) -> str:
        if root not in ("tiers", "accounts"):
            return f"write `{self._prefix}{'.'.join(family[0])}`"
        tails = sorted(".".join(pattern[2:]) for pattern in family)
        if close := difflib.get_close_matches(".".join(rest[1:]), tails, n=1):
            return f"did you mean `{self._prefix}{root}.{rest[0]}.{close[0]}`?"
        return f"after the id comes one of {', '.join(f'`{tail}`' for tail in tails)}"


def _matches(pattern: tuple[str, ...], segments: tuple[str, ...], *, is_open: bool) -> bool:
    if is_open:  # it may be an object: its members are reached with more dots
        return segments[: len(pattern) - 1] == pattern[:-1] and len(segments) >= len(pattern)
    return len(pattern) == len(segments) and all(
        want == have or want.startswith("<") for want, have in zip(pattern, segments, strict=True)
    )
