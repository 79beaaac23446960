"""docs/reference/rules.md: the validation rules that a suite can hold."""

from __future__ import annotations

from typing import Literal

from ometria_provider.validation.catalogue import RULE_TYPES

from reference import markdown

_INTRO = """\
The expectations of Great Expectations that work on records in memory. A **row rule** judges members one by one, a
**table rule** judges a chunk of up to 50,000 members as a whole.
[Write validation rules](../how-to/write-rules.md) says what a failure does."""


def page() -> str:
    """Return the page."""
    return markdown.page(
        "Validation rules",
        "plugins/ometria_provider/validation/catalogue.py",
        _INTRO,
        "## Row rules\n\n" + _table("row"),
        "## Table rules\n\n" + _table("table"),
    )


def _table(kind: Literal["row", "table"]) -> str:
    rows = [
        (markdown.code(name), _names(rule.required), _names(rule.optional))
        for name, rule in RULE_TYPES.items()
        if rule.kind == kind
    ]
    return markdown.table(("type", "kwargs it needs", "kwargs it may have"), rows)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(map(markdown.code, names)) or "–"
