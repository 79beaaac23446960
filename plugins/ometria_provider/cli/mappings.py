"""Commands about mapping files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from ometria_provider.cli.checking import answer_check, require_folder
from ometria_provider.cli.output import Output, print_json, print_table

app = typer.Typer(help="Check mapping files, look up fields, preview records.", no_args_is_help=True)

Mode = Literal["legacy", "v2"]


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Default: `[ometria] mappings_folder`.")
    ] = None,
    output: Output = "table",
) -> None:
    """Check all mapping files of a folder, offline. Exit code 1: there is an error in one."""
    from ometria_provider.mapping.files import check_folder
    from ometria_provider.settings import read_settings

    require_folder(folder, "mapping")
    folder = folder or read_settings().mappings_folder
    mappings, problems = check_folder(folder)
    answer_check("mapping", folder, [mapping.name for mapping in mappings], problems, output)


@app.command()
def fields(
    mode: Annotated[Mode | None, typer.Option(help="Only what can be mapped in this mode.")] = None,
    output: Output = "table",
) -> None:
    """List the loyalty fields and remote fields that a mapping can name, with type and meaning."""
    from ometria_provider.mapping.fields import LOYALTY_FIELDS, REMOTE_FIELDS

    loyalty = [one for one in LOYALTY_FIELDS if mode is None or mode in one.modes]
    if output == "json":
        return print_json({"loyalty": loyalty, "remote": REMOTE_FIELDS})
    typer.echo("Loyalty fields (Antavo)")
    rows = [(one.name, one.type, "both" if len(one.modes) > 1 else one.modes[0], one.meaning) for one in loyalty]
    print_table(["field", "type", "mode", "meaning"], rows, empty="")
    typer.echo("\nRemote fields (Ometria); any other name is a custom field ID")
    return print_table(
        ["field", "type", "meaning"], [(one.name, one.type, one.meaning) for one in REMOTE_FIELDS], empty=""
    )


@app.command()
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
        from ometria_provider.cli.previewing import ask_details, member_text, preview_members

        customers = ask_details(mapping, hook, hook.sample(limit))
        members = preview_members(mapping, customers, today=datetime.now(UTC).date(), ledger=ready_ledger())
    if output == "json":
        print_json(members)
    elif members:
        typer.echo("\n\n".join(map(member_text, members)))
    else:
        typer.echo("Antavo has no customers.")
