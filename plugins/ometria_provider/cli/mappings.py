"""Commands about mapping files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ometria_provider.cli.checking import answer_check, require_folder
from ometria_provider.cli.output import Output, exits, print_json, print_table

app = typer.Typer(help="Check mapping files, look up fields, preview records.", no_args_is_help=True)

Mode = Literal["legacy", "v2"]


@app.command(epilog=exits("there is an error in a file"))
def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Default: `[ometria] mappings_folder`.")
    ] = None,
    output: Output = "table",
) -> None:
    """Check all mapping files of a folder, offline."""
    from ometria_provider.mapping.files import check_folder
    from ometria_provider.settings import read_settings

    require_folder(folder, "mapping")
    folder = folder or read_settings().mappings_folder
    mappings, problems = check_folder(folder)
    answer_check("mapping", folder, [mapping.name for mapping in mappings], problems, output)


@app.command(epilog=exits("with --live: Antavo does not answer"))
def fields(
    mode: Annotated[Mode | None, typer.Option(help="Only what can be mapped in this mode.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Also fields that members hold, and how often.")] = False,
    connection: Annotated[str, typer.Option(help="The Antavo connection that --live asks.")] = "antavo_default",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1000, help="So many of the newest members are looked at.")
    ] = 1000,
    output: Output = "table",
) -> None:
    """List the loyalty fields and remote fields that a mapping can name, with type and meaning.

    --live asks Antavo for its newest members, in one request. No value of theirs is shown.
    """
    from ometria_provider.mapping.discovery import offered
    from ometria_provider.mapping.fields import REMOTE_FIELDS

    customers = _newest(connection, limit) if live else []
    loyalty = [one for one in offered(customers) if mode is None or mode in one.modes]
    if output == "json":
        return print_json({"loyalty": loyalty, "remote": REMOTE_FIELDS, "members": len(customers) if live else None})
    typer.echo("Loyalty fields (Antavo)" + (f", of {len(customers)} of the newest members" if live else ""))
    rows = [(one.name, one.type, "both" if len(one.modes) > 1 else one.modes[0], one.meaning) for one in loyalty]
    if live:
        shares = ["" if one.filled is None else str(one.filled) for one in loyalty]
        counted = [(*row[:3], share, row[3]) for row, share in zip(rows, shares, strict=True)]
        print_table(["field", "type", "mode", "filled", "meaning"], counted, empty="")
    else:
        print_table(["field", "type", "mode", "meaning"], rows, empty="")
    typer.echo("\nRemote fields (Ometria); any other name is a custom field ID")
    return print_table(
        ["field", "type", "meaning"], [(one.name, one.type, one.meaning) for one in REMOTE_FIELDS], empty=""
    )


def _newest(connection: str, limit: int) -> list[dict[str, Any]]:
    from ometria_provider.cli.connect import airflow, antavo

    with airflow():
        return antavo(connection).sample(limit)


@app.command(epilog=exits("the file is broken, or Antavo does not answer"))
def preview(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The mapping file's name, without .yaml.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="So many of the newest members.")] = 5,
    output: Output = "table",
) -> None:
    """Show real members: each value's way from loyalty field through the transforms to remote field.

    The values are members' data: they go to this terminal, and nowhere else.
    """
    from ometria_provider.cli.connect import airflow, antavo, ready_ledger
    from ometria_provider.cli.folder import mapping_named

    mapping = mapping_named(name)
    with airflow():
        hook = antavo(mapping.connections.antavo)
        from ometria_provider.cli.previewing import member_text
        from ometria_provider.operators.previewing import ask_details, preview_members

        customers = ask_details(mapping, hook, hook.sample(limit))
        members = preview_members(mapping, customers, today=datetime.now(UTC).date(), ledger=ready_ledger())
    if output == "json":
        print_json(members)
    elif members:
        typer.echo("\n\n".join(map(member_text, members)))
    else:
        typer.echo("Antavo has no customers.")
