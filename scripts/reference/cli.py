"""docs/reference/cli.md: what `ometria-sync --help` says, for each command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ometria_provider.cli.app import app
from typer.main import get_command

from reference import markdown

WIDTH = 100

_EXITS = """\
Exit codes: **0** fine, **1** something is wrong (a broken file, a dead system, no ledger), **2** used wrongly (an
unknown run, mapping or option). With `-o json` (after the subcommand) standard output holds nothing but JSON; errors go
to standard error. RUN is a number of `ometria-sync history`, or `MAPPING:latest`."""

_SHELL = """\
After `make run` or `make up`, `. .local/airflow/environment.sh` prepares a shell for these commands. Elsewhere they
read the same environment (or airflow.cfg) as your Airflow.

A sandbox ends with the `make run` that started it. What asks the ledger works on: `history`, `show`, `rejections`,
`trace`. What asks Antavo or Ometria (`doctor`, `lists`, `plan`, previews, `trace --now`) says then that a connection is
not defined: let `make up` run beside, and source the file anew. Its sandbox goes on with the same members."""


def commands() -> dict[str, Any]:
    """Return every command by the words that call it: `ometria-sync mappings check`.

    Groups that do nothing by themselves are left out.
    """
    root = get_command(app)
    context = root.make_context("ometria-sync", [], resilient_parsing=True, terminal_width=WIDTH)
    return dict(_walk("ometria-sync", root, context))


def _walk(words: str, command: Any, context: Any) -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        own = child.make_context(name, [], parent=context, resilient_parsing=True, terminal_width=WIDTH)
        if getattr(child, "commands", None):
            if child.invoke_without_command:
                yield f"{words} {name}", (child, own)
            yield from _walk(f"{words} {name}", child, own)
        else:
            yield f"{words} {name}", (child, own)


def page() -> str:
    """Return the page."""
    sections = [
        f"## {words}\n\n{markdown.block(_trim(command.get_help(context)))}"
        for words, (command, context) in sorted(commands().items())
    ]
    return markdown.page("Command line", "plugins/ometria_provider/cli/", _EXITS, _SHELL, *sections)


def _trim(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
