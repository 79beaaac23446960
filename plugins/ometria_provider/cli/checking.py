"""Answer what is wrong in the files of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ometria_provider.cli.output import Format, Misused, print_json, wrong

if TYPE_CHECKING:
    from ometria_provider.mapping.source import Problem


def require_folder(folder: Path | None, kind: str) -> None:
    """See that a folder that was named is one.

    :raises Misused: when it is not.
    """
    if folder is not None and not folder.is_dir():
        raise Misused(f"{folder} is no folder; name the folder that holds the {kind} files.")


def answer_check(kind: str, folder: Path, names: Sequence[str], problems: Sequence[Problem], output: Format) -> None:
    """Show the problems of a folder's files, and end the command with 1 if there is an error among them.

    :param kind: ``mapping`` or ``workflow``.
    :param names: of the files that can be used.
    """
    errors = [problem for problem in problems if not problem.warning]
    if output == "json":
        print_json({"folder": str(folder), f"{kind}s": names, "problems": list(map(_data, problems))})
    else:
        for problem in problems:
            typer.echo(problem.render() + "\n")
        warnings = len(problems) - len(errors)
        counts = [_count(len(errors), "error")] + ([_count(warnings, "warning")] if warnings else [])
        files = _count(len(list(folder.glob("*.yaml"))), f"{kind} file")
        typer.echo(f"{files} in {folder}: {', '.join(counts)}.")
    if errors:
        wrong()


def _count(number: int, word: str) -> str:
    return f"{number or ('no' if word == 'error' else 0)} {word if number == 1 else word + 's'}"


def _data(problem: Problem) -> dict[str, Any]:
    names = ("line", "column", "message", "hint")
    data = {"file": str(problem.file), **{name: getattr(problem, name) for name in names}}
    return {**data, "severity": "warning" if problem.warning else "error"}
