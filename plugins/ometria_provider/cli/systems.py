"""Commands that ask Antavo and Ometria."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Annotated

import typer

from ometria_provider.cli.output import Output, exits, print_json, print_table, wrong

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.mapping.model import Mapping


def add_to(root: typer.Typer) -> None:
    """Add this module's commands."""
    for command, wrong_when in (
        (plan, "the mapping's list cannot be used, or a system does not answer"),
        (lists, "Ometria does not answer"),
        (doctor, "something fails; a warning alone does not"),
    ):
        root.command(epilog=exits(wrong_when))(command)


def lists(
    connection: Annotated[str, typer.Option(help="The Ometria connection.")] = "ometria_default",
    output: Output = "table",
) -> None:
    """List the Ometria account's lists.

    A mapping's `list` is one of these ids; only a static list takes members.
    """
    from ometria_provider.cli.connect import airflow, ometria

    with airflow():
        found = sorted(ometria(connection).lists(), key=lambda one: one.id)
    if output == "json":
        return print_json(found)
    rows = [(str(one.id), one.title, one.size, one.type, one.status) for one in found]
    return print_table(["id", "title", "size", "type", "status"], rows, empty="The account has no active lists.")


def plan(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The mapping file's name, without .yaml.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Also show the newest members as Ometria holds them, and as it would.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="So many, with --dry-run.")] = 10,
    output: Output = "table",
) -> None:
    """Say what a run would read and cost, and with --dry-run what it would change.

    Costs are requests and minutes at the accounts' rates. Nothing is sent. What --dry-run shows are members' data: they
    go to this terminal, and nowhere else.
    """
    from ometria_provider.cli.changing import compare_newest, comparison_text
    from ometria_provider.cli.connect import airflow, antavo, ometria
    from ometria_provider.cli.folder import mapping_named
    from ometria_provider.delivery.plan import list_problem, plan_sentence

    mapping = mapping_named(name)
    with airflow():
        from ometria_provider.staging.store import CHUNK

        target = ometria(mapping.connections.ometria)
        problem = list_problem(
            target.contact_list(mapping.list),
            mapping=name,
            list_id=mapping.list,
            connection=mapping.connections.ometria,
        )
        source = antavo(mapping.connections.antavo)
        members = _expected(source, mapping)
        sentence = plan_sentence(
            members=members,
            slices=max(1, ceil((members or 0) / CHUNK)),
            requests_per_minute=source.requests_per_minute,
            push_requests_per_second=target.push_requests_per_second,
            details=_details(mapping, members),
        )
        if mapping.strategy == "incremental":
            sentence += " This mapping is incremental: other runs read only who changed, one request each."
        compared = compare_newest(mapping, limit) if dry_run else None
    if output == "json":
        answer = {"mapping": name, "members": members, "plan": sentence, "list": mapping.list, "problem": problem}
        print_json(answer | ({"changes": compared} if compared else {}))
    else:
        typer.echo(sentence)
        if compared:
            typer.echo("\n" + comparison_text(compared))
    if problem:
        typer.echo(problem, err=True)
        wrong()


def _details(mapping: Mapping, members: int | None) -> int | None:
    """Return how many members' details a scan asks for beside those who changed; None: the mapping reads none."""
    from ometria_provider.cli.connect import ready_ledger
    from ometria_provider.mapping.customers import Projection
    from ometria_provider.operators.base import Planned
    from ometria_provider.operators.details import expected_details
    from ometria_provider.settings import read_settings
    from ometria_provider.validation.suites import load_suites

    ledger = ready_ledger()
    if ledger is None:
        return (members or 0) if Projection(mapping).detail_fields else None
    suite = load_suites(read_settings().expectations_folder, mapping.name, mapping.remotes)
    return expected_details(ledger, Planned(mapping, suite), members)


def _expected(source: AntavoHook, mapping: Mapping) -> int | None:
    """Return about how many members there are: Antavo's count of active ones, or what the last scan read."""
    from ometria_provider.cli.connect import ready_ledger
    from ometria_provider.exceptions import SyncError
    from ometria_provider.ledger.scans import last_scan

    try:
        return source.count_active()
    except SyncError as error:
        typer.echo(f"Antavo does not say how many members there are: {error}", err=True)
    if ledger := ready_ledger():
        return last_scan(ledger, None, account=mapping.connections.ometria, collection=mapping.collection)
    return None


def doctor(output: Output = "table") -> None:
    """Check all that a run needs, and say what to mend.

    Connections, keys, signature, clock, lists, Ometria's error log, webhooks, alerts; ledger, staging, disks, files
    and suites; what is red or late, schedules, limits, rate limits that were met, mappings that changed since they last
    ran; connections that hold the same key, and contacts whose mapping file is gone.
    """
    from ometria_provider.cli.connect import airflow
    from ometria_provider.cli.doctor import examine

    with airflow():
        checks = examine()
    if output == "json":
        print_json(checks)
    else:
        print_table(["", "", ""], [(check.state, check.subject, check.words) for check in checks], empty="")
    if any(check.state == "fail" for check in checks):
        wrong()
