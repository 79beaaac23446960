"""Pages name only what is there: links, commands and their options, make targets, settings."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.cli.app import app
from ometria_provider.provider_info import get_provider_info
from typer.main import get_command

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def _anchor(heading: str) -> str:
    """Return a heading's anchor as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def test_links_of_a_page_lead_somewhere(page: Any) -> None:
    broken = []
    for link in _LINK.findall(page.prose):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (page.path.parent / target).resolve() if target else page.path
        if not file.exists() or (
            anchor and anchor not in map(_anchor, _HEADING.findall(file.read_text(encoding="utf-8")))
        ):
            broken.append(link)
    assert not broken


def _calls(page: Any, program: str) -> Iterator[str]:
    """Yield what a page writes of a program: in code blocks for the shell, and in code within its text."""
    shell = [line.partition("#")[0] for block in page.blocks("sh") for line in block.splitlines()]
    inline = re.findall(r"`([^`]+)`", page.prose.replace("\n", " "))
    for text in (*shell, *inline):
        words = text.strip().removeprefix(".venv/bin/")
        if words == program or words.startswith(program + " "):
            yield words


def test_commands_of_a_page_exist_with_their_options(page: Any) -> None:
    for call in _calls(page, "ometria-sync"):
        words = shlex.split(call)[1:]
        command: Any = get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not (getattr(command, "commands", None) and words and not words[0].startswith("-")), call
        options = {option for each in command.params for option in each.opts} | {"--help", "-h"}
        assert {word for word in words if word.startswith("-")} <= options, call


def test_make_targets_of_a_page_exist(page: Any, root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for call in _calls(page, "make"):
        named = [word for word in shlex.split(call)[1:] if "=" not in word]
        assert set(named) <= targets, call


def test_settings_of_a_page_exist(page: Any) -> None:
    options = get_provider_info()["config"]["ometria"]["options"]
    named = set(re.findall(r"AIRFLOW__OMETRIA__(\w+)", page.text))
    assert named <= {option.upper() for option in options}


def test_files_that_a_page_names_exist(page: Any, root: Path) -> None:
    named = set(re.findall(r"`((?:include|docs|dags|scripts|tests|plugins)/[\w./-]+)`", page.prose))
    missing = [name for name in named if not (root / name).exists()]
    assert not missing


@pytest.mark.parametrize("words", ["make test", "make run", "make up", "make help"])
def test_readme_names_command(root: Path, words: str) -> None:
    assert f"{words}" in (root / "README.md").read_text(encoding="utf-8")


def test_reference_has_each_command(root: Path) -> None:
    sys.path.insert(0, str(root / "scripts"))
    try:
        from reference.cli import commands
    finally:
        sys.path.remove(str(root / "scripts"))
    page = (root / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert all(f"## {words}\n" in page for words in commands())
