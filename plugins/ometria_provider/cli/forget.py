"""`ometria-sync forget`: remove one person from everything that this package keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ometria_provider.cli.output import Output, print_json, wrong
from ometria_provider.cli.reading import open_for_reading

if TYPE_CHECKING:
    from ometria_provider.operators.forgetting import Receipt


def forget(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Antavo's customer id, or the contact's.")],
    in_ometria: Annotated[
        bool, typer.Option("--in-ometria", help="Also request that Ometria deletes the person (up to 14 days).")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also while a run is at work, and though Antavo still has the customer.")
    ] = False,
    output: Output = "table",
) -> None:
    """Remove one person from ledger, staging and inbox, and print a receipt that does not name them.

    Refused while a run is at work, or as long as Antavo has the customer.
    """
    from ometria_provider.cli.connect import airflow
    from ometria_provider.mapping.files import check_folder
    from ometria_provider.settings import read_settings

    ledger, settings = open_for_reading(), read_settings()
    if not yes and not typer.confirm("Remove this person for good?", err=True):
        typer.echo("Nothing was removed.", err=True)
        wrong()
    with airflow():
        from ometria_provider.operators.forgetting import forget as remove

        mappings = check_folder(settings.mappings_folder)[0]
        receipt = remove(ledger, settings.staging_path, customer, mappings, in_ometria=in_ometria, force=force)
    if output == "json":
        print_json(receipt)
    else:
        typer.echo(_text(receipt))


def _text(receipt: Receipt) -> str:
    from ometria_provider.text import moment

    removed = receipt.removed
    asked = ", ".join(receipt.requested) or "none"
    return "\n".join(
        (
            f"Forgotten {moment(receipt.at)}: person {receipt.person} (digest of the id)",
            f"  ledger       {removed.contacts} contacts, {removed.rejections} rejections, {removed.examples} examples",
            f"  inbox        {removed.events} events emptied",
            f"  staging      of {receipt.staged_runs} runs removed",
            f"  remembered   {removed.opt_outs} opt-outs, as digests",
            f"  deletion     requested at: {asked}",
            f"  in Ometria   {', '.join(receipt.left_in) or 'nothing that is known'}",
        )
    )
