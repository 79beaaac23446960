"""The last step of a payload's value: what a custom event's property takes (contract/ometria.md, "Custom event")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from ometria_provider.mapping.catalogue import FieldType
from ometria_provider.mapping.formats import custom
from ometria_provider.mapping.model import Join, MapValues, Round, Transform
from ometria_provider.mapping.transforms import Step, each
from ometria_provider.mapping.values import Unconvertible, time_text

LONGEST_TEXT = 512
"""Characters of the longest text that a property holds."""

ELLIPSIS = "…"

_AFTER: dict[str, FieldType] = {
    "date": "date",
    "datetime": "time",
    "integer": "number",
    "number": "number",
    "string": "text",
    "country": "text",
    "e164": "text",
    "gender": "text",
    "consent": "text",
    "bool": "any",
}


def type_after(kind: FieldType, transforms: Iterable[Transform]) -> FieldType:
    """Return the type of a value after transforms, as far as it is known before there is a value."""
    for transform in transforms:
        if isinstance(transform, Join):
            kind = "text"
        elif transform == "first":
            kind = "any" if kind == "list" else kind
        elif kind == "list":
            continue  # item by item
        elif isinstance(transform, str):
            kind = _AFTER.get(transform, kind)
        else:
            kind = "number" if isinstance(transform, Round) else "any" if isinstance(transform, MapValues) else "text"
    return kind


def final_step(kind: FieldType, long_text: Literal["cut", "reject"]) -> Step:
    """Make the step that brings a value to what a property takes.

    Dates and times become ISO 8601 with an offset; whole numbers stay whole; a text is at most 512 characters long.

    :param kind: the type after the row's transforms.
    :param long_text: what becomes of longer ones.
    """
    fit = shorten if long_text == "cut" else _refuse_long
    if kind in ("date", "time"):
        return Step("", each(time_text))
    return Step("", lambda value: _fit(custom(value), fit))


def _fit(value: Any, fit: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return fit(value)
    return [_fit(item, fit) for item in value] if isinstance(value, list) else value


def _refuse_long(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise Unconvertible(f"is longer than {LONGEST_TEXT} characters")
    return text


def shorten(text: str) -> str:
    """Cut a text of more than 512 characters at a word, with an ellipsis; one endless word is cut in its middle."""
    if len(text) <= LONGEST_TEXT:
        return text
    room = LONGEST_TEXT - len(ELLIPSIS)
    head = text[:room]
    if not text[room].isspace():
        words = head.rsplit(None, 1)
        head = words[0] if len(words) > 1 else head
    return head.rstrip() + ELLIPSIS
