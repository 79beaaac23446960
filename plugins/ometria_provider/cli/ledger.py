"""Commands that ask the ledger alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ometria_provider.cli import rebuilding
from ometria_provider.cli.output import NO_LEDGER, Output, exits, print_json, print_table, wrong
from ometria_provider.cli.reading import Limit, RunReference, open_for_reading

if TYPE_CHECKING:
    from ometria_provider.ledger.history import RunRow

#: The words that `ledger/history.py` and `ledger/rejections.py` have as well; they would cost `--help` an SQLAlchemy.
State = Literal["running", "succeeded", "failed", "halted", "awaiting_approval"]
Stage = Literal["mapping", "validation", "push", "ometria"]

app = typer.Typer(help="Look after the ledger itself.", no_args_is_help=True)


def add_to(root: typer.Typer) -> None:
    """Add this module's commands."""
    for command, wrong_when in (
        (history, NO_LEDGER),
        (show, NO_LEDGER),
        (rejections, NO_LEDGER),
        (trace, "nobody ever met it, or a system could not be asked"),
    ):
        root.command(epilog=exits(wrong_when))(command)
    rebuilding.add_to(app)
    root.add_typer(app, name="ledger")


def history(
    mapping: Annotated[str | None, typer.Option(help="Only runs of this mapping.")] = None,
    state: Annotated[State | None, typer.Option(help="Only runs that ended so.")] = None,
    limit: Limit = 20,
    output: Output = "table",
) -> None:
    """List the latest runs, the newest first."""
    from ometria_provider.ledger.history import list_runs

    rows = list_runs(open_for_reading(), mapping=mapping, state=state, limit=limit)
    if output == "json":
        return print_json(rows)
    head = ["run", "mapping", "state", "started", "took", "read", "unchanged", "filtered", "rejected", "accepted"]
    return print_table([*head, "pending", "why"], [_history_row(row) for row in rows], empty="No such run so far.")


def _history_row(run: RunRow) -> tuple[Any, ...]:
    from ometria_provider.text import duration

    took = duration((run.ended_at - run.started_at).total_seconds()) if run.ended_at else None
    state = f"{run.state} (dry run)" if run.dry_run else run.state
    counts = (run.read, run.unchanged, run.filtered, run.rejected, run.accepted, run.pending)
    return (run.id, run.mapping, state, run.started_at, took, *counts, _cut(run.reason or ""))


def _cut(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def show(run: RunReference, output: Output = "table") -> None:
    """Show the report of one run.

    Members, rejections, requests, times, and what to look at next. The exit code does not depend on how the run ended.
    """
    from ometria_provider.ledger.history import find_run
    from ometria_provider.report import run_report
    from ometria_provider.report_text import render

    ledger = open_for_reading()
    report = run_report(ledger, find_run(ledger, run))
    if output == "json":
        print_json(report)
    else:
        typer.echo(render(report))


def rejections(
    run: RunReference,
    reason: Annotated[str | None, typer.Option(help="Only those with this text in field or reason.")] = None,
    stage: Annotated[Stage | None, typer.Option(help="Only those of this stage.")] = None,
    limit: Limit = 100,
    output: Output = "table",
) -> None:
    """List the members that a run rejected, why, and where they stand now.

    Members that earlier runs rejected, and that were not due again, are listed with those runs.
    """
    from ometria_provider.ledger.history import find_run, run_row
    from ometria_provider.ledger.rejections import list_rejections
    from ometria_provider.ledger.undelivered import endings

    ledger = open_for_reading()
    found = run_row(ledger, find_run(ledger, run))
    rows = list_rejections(ledger, found.id, reason=reason, stage=stage, limit=limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    ends = endings(ledger, found, [row.contact_id for row in rows])
    if output == "json":
        print_json([{**_fields(row), "now": ends[row.contact_id]} for row in rows])
    else:
        shown = [
            (row.contact_id, row.stage, row.field, row.reason, ends[row.contact_id].words(found.id)) for row in rows
        ]
        head = ["contact", "stage", "field", "reason", "now"]
        print_table(head, shown, empty="This run rejected nobody of that kind.")
    if more:
        typer.echo(f"There are more than these {limit:,}; raise --limit to see them.", err=True)


def trace(
    what: Annotated[
        str, typer.Argument(metavar="CUSTOMER|EVENT", help="The contact's id (Antavo's customer id), or an event's.")
    ],
    now: Annotated[
        bool, typer.Option("--now", help="Ask Antavo and Ometria too: each field live, and what the next run does.")
    ] = False,
    mapping: Annotated[str | None, typer.Option(help="With --now: only under this mapping.")] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="All its rejections and events, not the latest 20 alone; JSON holds all."),
    ] = False,
    output: Output = "table",
) -> None:
    """Say where one customer or one event stands, and why.

    Of a customer: state, reason, run and request in every mapping, its rejections, and its events. Of an event: what
    became of it for each workflow, its customer, and webhooks about it that were refused.

    With --now a few requests are made, and members' values go to this terminal, and nowhere else.
    """
    from ometria_provider.cli import explaining
    from ometria_provider.cli.events import explained
    from ometria_provider.cli.tracing import explain
    from ometria_provider.ledger import refusals
    from ometria_provider.ledger.events import deliveries_about
    from ometria_provider.ledger.trace import LATEST
    from ometria_provider.ledger.trace import trace as look_up

    ledger = open_for_reading()
    events = explained(deliveries_about(ledger, what))
    customer = next((row.customer_id for row in events if row.event_id == what and row.customer_id), what)
    found, refused = look_up(ledger, customer), refusals.about(ledger, what)
    asked = explaining.ask(customer, explaining.mappings_asked_for(mapping)) if now else []
    known = found.known or bool(events) or bool(refused) or any(one.in_antavo or one.in_ometria for one in asked)
    if output == "json":
        told = {
            **_fields(found),
            "events": events,
            "refused_webhooks": [one._asdict() for one in refused],
            "known": known,
        }
        print_json({**told, **({"now": asked} if now else {})})
    else:
        typer.echo(explain(found, events, refused, None if every else LATEST))
        if now:
            typer.echo("\n" + explaining.now_text(asked))
    if not known or any(one.problem for one in asked):
        wrong()


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


@app.callback()
def _ledger() -> None:
    """Look after the ledger itself."""


@app.command(epilog=exits("the database cannot be reached, or holds a newer version"))
def upgrade(output: Output = "table") -> None:
    """Make the ledger's tables, or bring them to this package's version."""
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.ledger.engine import upgrade as migrate
    from ometria_provider.settings import read_settings

    url = read_settings().ledger_url
    version = migrate(url)
    ledger = open_ledger(url)
    if output == "json":
        print_json({"ledger": str(ledger), "version": version})
    else:
        typer.echo(f"The ledger {ledger} is at version {version}.")


@app.command(epilog=exits(NO_LEDGER))
def prune(
    keep_days: Annotated[int, typer.Option(min=1, help="Keep what ended within so many days.")] = 90,
    output: Output = "table",
) -> None:
    """Delete old runs with what they found, events that are done, and late errors.

    What Ometria is known to hold stays, and of each mapping the last run and the scan that the next one compares with.
    """
    from datetime import UTC, datetime, timedelta

    from ometria_provider.ledger.prune import prune as let_go
    from ometria_provider.settings import read_settings
    from ometria_provider.workflows.files import longest_expiry

    expiry = longest_expiry(read_settings().workflows_folder)
    if expiry is None:
        typer.echo("Events stay: a workflow file is broken (`ometria-sync workflows check`).", err=True)
    before = datetime.now(UTC) - timedelta(days=keep_days)
    pruned = let_go(open_for_reading(), before, expiry, lambda far: typer.echo(f"… {far}", err=True))
    if output == "json":
        print_json({"before": before, **_fields(pruned)})
    else:
        typer.echo(f"Deleted from before {before:%Y-%m-%d %H:%M} UTC: {pruned}.")
