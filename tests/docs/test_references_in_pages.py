"""Pages name only what is there: links, commands and their options, make targets, settings."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import typer
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


def _shell(page: Any, program: str) -> list[str]:
    """Return the calls of a program in a page's blocks for the shell."""
    lines = (line.partition("#")[0].strip() for block in page.blocks("sh") for line in block.splitlines())
    return _of(program, lines)


def _inline(page: Any, program: str) -> list[str]:
    """Return what a page's text names of a program, in code."""
    return _of(program, re.findall(r"`([^`]+)`", page.prose.replace("\n", " ")))


def _of(program: str, texts: Iterable[str]) -> list[str]:
    bare = (text.strip().removeprefix(".venv/bin/") for text in texts)
    return [text for text in bare if text == program or text.startswith(program + " ")]


def _parse(call: str) -> None:
    """Let the command line read a call, without doing anything.

    :raises typer.BadParameter: when a value is missing or none that the command takes.
    """
    command: Any = get_command(app)
    context, name, words = None, "ometria-sync", shlex.split(call)[1:]
    while words and words[0] in getattr(command, "commands", {}):
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
        name, *words = words
        command = command.commands[name]
    if not words and getattr(command, "no_args_is_help", False):
        return
    with contextlib.suppress(typer.Exit):  # --help
        command.make_context(name, words, parent=context)


def test_commands_of_a_page_can_be_called_as_written(page: Any) -> None:
    for call in _shell(page, "ometria-sync"):
        _parse(call)


def test_commands_that_a_page_names_exist_with_their_options(page: Any) -> None:
    for call in _inline(page, "ometria-sync"):
        try:
            _parse(re.sub(r"[\[\]]", "", call))  # [--option]: it may be left out
        except typer.BadParameter as error:
            assert type(error).__name__ == "MissingParameter", call  # it is named, not called


def test_make_targets_of_a_page_exist(page: Any, root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for call in (*_shell(page, "make"), *_inline(page, "make")):
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
