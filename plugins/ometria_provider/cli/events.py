"""Commands about the events that start campaigns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ometria_provider.cli.output import NO_LEDGER, Misused, Output, exits, print_json, print_table
from ometria_provider.cli.reading import Limit, open_for_reading
from ometria_provider.dagdefaults import campaign_events_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ometria_provider.ledger.events import Delivery

#: The words that `ledger/deliveries.py` has as well; importing it would cost `--help` an SQLAlchemy.
State = Literal["waiting", "sending", "acknowledged", "filtered", "expired", "skipped", "rejected"]
Ended = Literal["rejected", "skipped", "expired"]

GONE = "no workflow file has this name any more"

app = typer.Typer()


@app.callback(invoke_without_command=True, epilog=exits(NO_LEDGER))
def events(
    context: typer.Context,
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those that stand so.")] = None,
    limit: Limit = 20,
    output: Output = "table",
) -> None:
    """List events and what became of each for every workflow that it triggers, the newest first.

    `ometria-sync events retry` tries some again.
    """
    if context.invoked_subcommand:
        return
    from ometria_provider.ledger.events import list_deliveries

    rows = list_deliveries(open_for_reading(), workflow=workflow, state=state, limit=limit)
    if not rows and workflow is not None:
        _check_name(workflow)
    answer(rows, output)


def answer(rows: Sequence[Delivery], output: str) -> None:
    """Print deliveries."""
    rows = explained(rows)
    if output == "json":
        print_json(rows)
    else:
        head = ["event", "action", "customer", "workflow", "state", "happened", "changed", "why"]
        print_table(head, [_row(row) for row in rows], empty="No such event so far.")


def explained(rows: Sequence[Delivery]) -> list[Delivery]:
    """Say of deliveries that wait for a workflow file which is gone that it is: no run may be left to say so."""
    from ometria_provider.ledger.deliveries import UNDONE

    if not any(row.state in UNDONE for row in rows):
        return list(rows)
    names = _names()
    return [replace(row, reason=GONE) if row.state in UNDONE and row.workflow not in names else row for row in rows]


def _row(row: Delivery) -> tuple[Any, ...]:
    return (
        row.event_id,
        row.action,
        row.customer_id,
        row.workflow,
        row.state,
        row.occurred_at,
        row.updated_at,
        row.reason or "",
    )


def _names() -> set[str]:
    from ometria_provider.settings import read_settings

    return {path.stem for path in read_settings().workflows_folder.glob("*.yaml")}


def _check_name(workflow: str) -> None:
    """Refuse a name that neither a file nor, as nothing was found, the ledger knows."""
    import difflib

    names = _names()
    if workflow not in names:
        near = difflib.get_close_matches(workflow, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names)) or 'none'}."
        raise Misused(f"There is no workflow {workflow}: {hint}")


@app.command(epilog=exits(NO_LEDGER, fine="also when there is nothing to try again"))
def retry(
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="Only this event; can be given several times.")] = None,
    state: Annotated[
        Ended | None, typer.Option(help="Only those that ended so. Without it: rejected; with `--event`: any.")
    ] = None,
    output: Output = "table",
) -> None:
    """Let events that were not mailed be tried again: once what was wrong is mended.

    The next run asks Antavo for them anew and delivers by the workflow files as they are then. An event that is older
    than `expires_after` expires again; the run's param `send_again` sends one event however old it is, and one that
    was acknowledged too.
    """
    from ometria_provider.ledger.events import RETRYABLE
    from ometria_provider.ledger.events import retry as reopen

    states = (state,) if state else RETRYABLE if event else ("rejected",)
    ledger = open_for_reading()
    if workflow is not None:
        _check_name(workflow)
    done = reopen(ledger, workflow=workflow, events=event or (), states=states)
    if output == "json":
        return print_json(done)
    if done.deliveries:
        runs = ", ".join(campaign_events_id(account) for account in done.accounts)
        typer.echo(f"{done.deliveries:,} wait again: the next run of {runs}, within a minute, takes them.")
    else:
        typer.echo("There is nothing of that kind to try again.")
    if done.timeless:
        typer.echo(f"{done.timeless:,} cannot be tried again: they have no time by which Antavo could be asked.")
    return None
