"""The runbook knows every error, every limit, and quotes words that the code really says."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import ometria_provider
import pytest
from ometria_provider.attention import KINDS
from ometria_provider.exceptions import SyncError
from ometria_provider.mapping.model import Limits


@pytest.fixture(scope="module")
def runbook(root: Path) -> str:
    return (root / "docs" / "runbook.md").read_text(encoding="utf-8")


def _section(runbook: str, title: str) -> str:
    return runbook.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def _error_classes() -> set[str]:
    """Import every module and name all our errors."""
    skipped = "ometria_provider.ledger.migrations.", "ometria_provider.sandbox."
    for module in pkgutil.walk_packages(ometria_provider.__path__, "ometria_provider."):
        if not module.name.startswith(skipped):
            importlib.import_module(module.name)
    return {SyncError.__name__, *_below(SyncError)}


def _below(error: type[SyncError]) -> Iterator[str]:
    for child in error.__subclasses__():
        if child.__module__.startswith("ometria_provider."):
            yield child.__name__
            yield from _below(child)


def test_runbook_has_an_entry_for_each_error_class_and_no_other(runbook: str) -> None:
    rows = _section(runbook, "Errors by class").splitlines()
    assert {row.split("`")[1] for row in rows if row.startswith("| `")} == _error_classes()


def test_runbook_starts_from_each_kind_of_alert_and_no_other(runbook: str) -> None:
    sections = re.findall(r"^### (.*)$", _section(runbook, "Start from an alert"), re.MULTILINE)
    assert set(sections) == {*KINDS.values(), "No alert came"}


def test_runbook_names_each_limit_and_no_other(runbook: str) -> None:
    rows = runbook.split("### Limits\n")[1].split("\n### ", maxsplit=1)[0].splitlines()
    assert {row.split("`")[1] for row in rows if row.startswith("| `")} == set(Limits.model_fields)


def _said(root: Path) -> list[str]:
    """Return every text in the package's code; implicit concatenation joined."""
    files = (root / "plugins" / "ometria_provider").rglob("*.py")
    return [
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_runbook_quotes_what_the_code_says(runbook: str, root: Path) -> None:
    said = _said(root)
    rows = [row.split("|")[1] for row in _section(runbook, "What the log says").splitlines() if row.startswith("| `")]
    quotes = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    quotes += re.findall(r"^`([^`]+)`", runbook, re.MULTILINE)
    quotes = [quote for quote in quotes if "limits.max_cleared_share" not in quote]  # an example with figures
    missing = [
        part
        for quote in quotes
        for part in (each.strip() for each in quote.split("…"))
        if part and not any(part in text for text in said)
    ]
    assert len(quotes) > 30
    assert not missing
