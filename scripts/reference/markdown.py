"""Markdown that every page is made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any


def page(title: str, source: str, *parts: str) -> str:
    """Return a page.

    :param source: the module that its facts come from, for those who want to change them.
    """
    note = f"Written by `make docs` from `{source}`; edit that, not this page."
    return "\n\n".join([f"# {title}", note, *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def code(value: Any) -> str:
    """Return a value as code: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`"


def block(text: str, language: str = "text") -> str:
    """Return text as a code block."""
    return f"```{language}\n{text.rstrip()}\n```"


def summary(docstring: str | None) -> str:
    """Return a docstring's first paragraph on one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split()).replace("``", "`")


def _cell(cell: Any) -> str:
    return str(cell).replace("|", "\\|").replace("\n", " ")
