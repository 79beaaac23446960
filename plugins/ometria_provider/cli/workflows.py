"""Commands about workflow files."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ometria_provider.cli.checking import answer_check, require_folder
from ometria_provider.cli.output import Misused, Output, exits, print_json, print_table

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.workflows.events import Event

app = typer.Typer(help="Check workflow files, look up fields, preview custom events.", no_args_is_help=True)


@app.command(epilog=exits("there is an error in a file; a warning is none"))
def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Default: `[ometria] workflows_folder`.")
    ] = None,
    output: Output = "table",
) -> None:
    """Check all workflow files of a folder, offline.

    Their contact mappings are looked for in `[ometria] mappings_folder`.
    """
    from ometria_provider.settings import read_settings
    from ometria_provider.workflows.files import check_folder

    require_folder(folder, "workflow")
    settings = read_settings()
    folder = folder or settings.workflows_folder
    workflows, problems = check_folder(folder, settings.mappings_folder)
    answer_check("workflow", folder, [workflow.name for workflow in workflows], problems, output)


@app.command(epilog=exits("never"))
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


@app.command(epilog=exits("the file is broken, or Antavo does not answer"))
def preview(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The workflow file's name, without .yaml.")],
    event: Annotated[str | None, typer.Option(metavar="ID", help="This event; else the newest ones.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="So many of the newest events.")] = 5,
    output: Output = "table",
) -> None:
    """Show real events: each value's way into the custom event, and the custom event itself.

    Looks through the newest 10,000 events. What the ledger knows (opt-outs, the workflow's start, what was sent) is not
    asked. The values are members' data: they go to this terminal, and nowhere else.
    """
    from ometria_provider.cli.connect import airflow, antavo
    from ometria_provider.cli.folder import workflow_named

    workflow = workflow_named(name)
    with airflow():
        from ometria_provider.cli.event_previewing import contacts_of, event_text, preview_events
        from ometria_provider.workflows.records import Recipe

        hook = antavo(workflow.connections.antavo)
        chosen = _chosen(hook, workflow.trigger.event, event, limit)
        previewed = preview_events(Recipe(workflow, contacts_of(workflow)), chosen, hook, datetime.now(UTC))
    if output == "json":
        print_json(previewed)
    elif previewed:
        typer.echo("\n\n".join(map(event_text, previewed)))
    else:
        typer.echo(f"None of Antavo's newest events is a `{workflow.trigger.event}`.")


def _chosen(hook: AntavoHook, action: str, event_id: str | None, limit: int) -> list[Event]:
    """Return the newest events of an action, or the one that was named.

    :raises Misused: when the named one is not among the newest, or of another action.
    """
    from ometria_provider.cli.event_previewing import MOST_LOOKED_AT, newest

    if event_id is None:
        return list(islice((event for event in newest(hook) if event.action == action), limit))
    found = next((event for event in newest(hook) if event.id == event_id), None)
    if found is None:
        raise Misused(f"The event {event_id} is not among Antavo's newest {MOST_LOOKED_AT:,}.")
    if found.action != action:
        raise Misused(f"The event {event_id} is a `{found.action}`, and the workflow starts on a `{action}`.")
    return [found]
