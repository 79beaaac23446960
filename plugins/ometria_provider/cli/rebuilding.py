"""Commands for a ledger that was lost, or restored from a backup."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ometria_provider.cli.output import Output, exits, print_json

if TYPE_CHECKING:
    from ometria_provider.operators.rebuilding import Rebuilt


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to `ledger`."""
    app.command(epilog=exits("it broke off, or a run has not ended"))(rebuild)
    app.command(epilog=exits("nothing was changed, as it was not confirmed or a file is broken"))(restored)


def rebuild(
    mapping: Annotated[str, typer.Argument(metavar="MAPPING", help="The mapping file's name without .yaml.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count; change nothing.")] = False,
    send_all: Annotated[
        bool,
        typer.Option("--send-all", help="Let the next run send everybody once more, which puts all on the list."),
    ] = False,
    output: Output = "table",
) -> None:
    """Rebuild what the ledger knows of a mapping's contacts from what Ometria holds.

    For a ledger that was lost, or restored from a backup. The next run then sends only what differs, no opt-in goes
    over an opt-out that Ometria holds, and nobody departs whom no complete scan has read. A page of 250 contacts is a
    request, within the account's data limit. Done again, it does no harm; until one ended, runs of the mapping refuse.
    """
    from ometria_provider.cli.connect import airflow
    from ometria_provider.cli.folder import mapping_named
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.settings import read_settings

    wanted = mapping_named(mapping)
    with airflow():
        from ometria_provider.operators import rebuilding

        ledger = open_ledger(read_settings().ledger_url)
        ledger.ready()
        found = rebuilding.rebuild(
            ledger,
            wanted,
            dry_run=dry_run,
            send_all=send_all,
            progress=lambda far: typer.echo(f"… {far.contacts:,} contacts in {far.requests:,} requests", err=True),
        )
    if output == "json":
        print_json({**vars(found), "off_list": found.off_list})
    else:
        typer.echo(_text(found, send_all=send_all))


def restored(
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"],
            help="When (UTC) the lost ledger was last at work. Default: now.",
        ),
    ] = None,
    without_rebuild: Annotated[
        bool, typer.Option("--without-rebuild", help="Let runs not wait until `ledger rebuild` ended.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Output = "table",
) -> None:
    """Tell a ledger that was lost, or restored from a backup, what it cannot know. Pause the DAGs first.

    Events from before --until start no campaign: they may have done so. Runs that the backup holds as at work end as
    failed. Runs of a mapping are refused until `ledger rebuild` has read back what Ometria holds of its contacts.
    """
    from datetime import UTC

    from ometria_provider.cli.output import wrong
    from ometria_provider.exceptions import Misconfigured
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.mapping.files import check_folder
    from ometria_provider.operators import rebuilding
    from ometria_provider.settings import read_settings
    from ometria_provider.workflows.accounts import load_accounts

    if not yes and not typer.confirm("Was this ledger lost, or restored from a backup?", err=True):
        typer.echo("Nothing was changed.", err=True)
        wrong()
    settings = read_settings()
    ledger = open_ledger(settings.ledger_url)
    ledger.ready()
    mappings, problems = check_folder(settings.mappings_folder)
    if problems:
        raise Misconfigured("A mapping file is broken, and nothing was changed: `ometria-sync mappings check` first.")
    accounts = list(load_accounts(settings.workflows_folder)) if settings.workflows_folder.is_dir() else []
    last = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    ended = rebuilding.restored(ledger, mappings, accounts, until=last, with_rebuild=not without_rebuild)
    due = [] if without_rebuild else [mapping.name for mapping in mappings]
    if output == "json":
        print_json({"until": last, "runs_ended": ended, "accounts": accounts, "to_rebuild": due})
        return
    typer.echo(f"{ended:,} runs that were at work have ended as failed.")
    if accounts:
        typer.echo(f"Events of {', '.join(accounts)} from before {last:%Y-%m-%d %H:%M} UTC start no campaign.")
    for name in due:
        typer.echo(f"Runs of {name} wait for: ometria-sync ledger rebuild {name}")


def _text(found: Rebuilt, *, send_all: bool) -> str:
    from ometria_provider.text import duration

    known = found.same + found.differing
    lines = [
        f"{'A dry run: nothing was changed' if found.dry_run else 'Rebuilt'}: {found.mapping}, collection "
        f"{found.collection} on {found.account}; {found.requests:,} requests in {duration(found.seconds)}",
        f"  in Ometria   {found.contacts:,} contacts, {found.opted_out:,} of them opted out",
        f"  ledger       {found.new:,} were unknown, {known:,} known ({found.differing:,} of them otherwise)",
        f"  departed     {found.departed:,} stay departed",
    ]
    if found.off_list and not send_all:
        lines.append(
            f"At least {found.off_list:,} contacts are not on the list. Members among them who came back while nobody "
            f"knew stay off it: `ometria-sync ledger rebuild {found.mapping} --send-all` has everybody sent once more."
        )
    if not found.dry_run:
        what = "everybody once more" if send_all else "what differs"
        lines.append(f"The next run of {found.mapping} reads everybody, and sends {what}.")
    return "\n".join(lines)
