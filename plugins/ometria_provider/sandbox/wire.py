"""A request and an answer, free of any server, so that each API is a function from one to the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec


@dataclasses.dataclass(frozen=True)
class Call:
    """A request. ``target`` is path and query as they came over the wire; ``path`` lacks the API's prefix."""

    method: str
    target: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def segments(self) -> list[str]:
        """The parts of the path, percent-decoded."""
        return [unquote(part) for part in self.path.strip("/").split("/")]

    def number(self, name: str, default: int, *, most: int | None = None) -> int:
        """Return an integer parameter, at least 0 and at most ``most``.

        :raises ValueError: it is no such number.
        """
        value = int(self.query.get(name, default))
        if value < 0 or (most is not None and value > most):
            raise ValueError(f"{name} is out of range")
        return value


@dataclasses.dataclass(frozen=True)
class Answer:
    """A status, a body and its headers."""

    status: int
    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    content_type: str = "application/json"


def parse_query(text: str) -> dict[str, str]:
    """Return the parameters of a query string; ``+`` stays ``+``, as in RFC 3986."""
    pairs = (part.partition("=") for part in text.split("&") if part)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """Answer with JSON."""
    return Answer(status, msgspec.json.encode(content), headers or {})
