"""Commands about workflow files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ometria_provider.cli.checking import answer_check, require_folder
from ometria_provider.cli.output import Output, print_json, print_table

app = typer.Typer(help="Check workflow files, look up fields, preview custom events.", no_args_is_help=True)


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Default: `[ometria] workflows_folder`.")
    ] = None,
    output: Output = "table",
) -> None:
    """Check all workflow files of a folder, offline. Exit code 1: there is an error in one; a warning is none.

    Their contact mappings are looked for in `[ometria] mappings_folder`.
    """
    from ometria_provider.settings import read_settings
    from ometria_provider.workflows.files import check_folder

    require_folder(folder, "workflow")
    settings = read_settings()
    folder = folder or settings.workflows_folder
    workflows, problems = check_folder(folder, settings.mappings_folder)
    answer_check("workflow", folder, [workflow.name for workflow in workflows], problems, output)


@app.command()
def fields(output: Output = "table") -> None:
    """List the fields that a workflow can name, with type and meaning."""
    from ometria_provider.workflows.fields import CATALOGUES

    found = [
        {"name": f"{root}.{field.name}", "type": field.type, "meaning": field.meaning}
        for root, catalogue in CATALOGUES.items()
        for field in catalogue.fields
    ]
    if output == "json":
        return print_json(found)
    return print_table(["field", "type", "meaning"], [list(field.values()) for field in found], empty="")
