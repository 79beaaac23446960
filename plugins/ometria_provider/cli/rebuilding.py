"""Commands for a ledger that was lost, or restored from a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ometria_provider.cli.output import Output, exits, print_json

if TYPE_CHECKING:
    from ometria_provider.operators.rebuilding import Rebuilt


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to `ledger`."""
    app.command(epilog=exits("it broke off, or a run has not ended"))(rebuild)


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
