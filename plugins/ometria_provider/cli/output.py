"""What every command shares: its output option, its errors, its exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

from ometria_provider.exceptions import Misconfigured, SyncError

#: Exit codes.
OK, WRONG, MISUSED = 0, 1, 2

#: When a command that asks the ledger alone ends with 1.
NO_LEDGER = "there is no ledger that can be used"


def exits(wrong: str, *, fine: str = "fine") -> str:
    """Return what a command's help says of its exit codes.

    :param wrong: when it ends with 1, beside what makes any command do so: no ledger, a dead system, a broken file.
    """
    return f"Exit codes: {OK} {fine}; {WRONG} {wrong}; {MISUSED} used wrongly."


#: How a command answers.
Format = Literal["table", "json"]

Output = Annotated[Format, typer.Option("-o", "--output", help="For people, or JSON for programs.")]


class Misused(Misconfigured):
    """The command was used wrongly: what was asked for does not exist."""


class Group(TyperGroup):
    """Commands whose known errors end in one clear message and the right exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SyncError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(MISUSED if _is_misuse(error) else WRONG) from error


def _is_misuse(error: SyncError) -> bool:
    if isinstance(error, Misused):
        return True
    # Not imported for the sake of asking: where nobody imported it, nobody raised it.
    history = sys.modules.get("ometria_provider.ledger.history")
    return history is not None and isinstance(error, history.UnknownRun)


def print_json(data: Any) -> None:
    """Print data as JSON, indented; dataclasses and times included."""
    import msgspec

    from ometria_provider.text import json_text

    typer.echo(msgspec.json.format(json_text(data)))


def print_table(head: list[str], rows: list[Any], *, empty: str) -> None:
    """Print rows in columns, or a sentence when there are none."""
    from ometria_provider.text import table

    typer.echo(table(head, rows) if rows else empty)


def wrong() -> NoReturn:
    """End the command: it found something wrong and has said so."""
    raise typer.Exit(WRONG)
