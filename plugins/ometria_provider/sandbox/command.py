"""The sandbox's command line, shared by ``python -m ometria_provider.sandbox`` and ``ometria-sync sandbox``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ometria_provider.sandbox.settings import SandboxSettings

_Default = SandboxSettings()


def sandbox(  # noqa: PLR0913, PLR0917 (a parameter for each flag)
    host: Annotated[str, typer.Option(help="Address to bind.")] = _Default.host,
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = _Default.port,
    members: Annotated[int, typer.Option(min=0, help="Made-up members at first.")] = _Default.members,
    seed: Annotated[int, typer.Option(help="The same seed makes the same members.")] = _Default.seed,
    bulk_import: Annotated[int, typer.Option(min=0, help="Members who share one created_at.")] = _Default.bulk_import,
    state: Annotated[Path | None, typer.Option(help="File that keeps state between runs.")] = None,
    lists: Annotated[list[int] | None, typer.Option(help="A list that exists (repeatable). None: any id.")] = None,
    dynamic_lists: Annotated[list[int] | None, typer.Option(help="A dynamic segment (repeatable).")] = None,
    antavo_requests_per_minute: Annotated[int, typer.Option(min=0, help="0 = no limit.")] = 1500,
    ometria_push_per_second: Annotated[int, typer.Option(min=0, help="0 = no limit.")] = 8,
    ometria_data_per_second: Annotated[int, typer.Option(min=0, help="0 = no limit.")] = 4,
    most_events: Annotated[int, typer.Option(min=1, help="Events in a page at most.")] = _Default.most_events,
    latency_ms: Annotated[int, typer.Option(min=0, help="What every answer takes.")] = _Default.latency_ms,
    validation_delay_ms: Annotated[
        int, typer.Option(min=0, help="From a push to its validation.")
    ] = _Default.validation_delay_ms,
    require_signature: Annotated[
        bool, typer.Option(help="Antavo takes Escher signatures only, no api_key.")
    ] = _Default.require_signature,
    antavo_key: Annotated[str, typer.Option(help="Antavo API key.")] = _Default.antavo_key,
    antavo_secret: Annotated[str, typer.Option(help="Antavo API secret.")] = _Default.antavo_secret,
    credential_scope: Annotated[str, typer.Option(help="Escher credential scope.")] = _Default.credential_scope,
    read_credential_scope: Annotated[
        str | None, typer.Option(help="The same for the Read API; by default equal.")
    ] = None,
    ometria_key: Annotated[str, typer.Option(help="Ometria API key.")] = _Default.ometria_key,
    unknown_fields: Annotated[str, typer.Option(help="Undeclared fields: store, drop or error.")] = "store",
    declared_fields: Annotated[list[str] | None, typer.Option(help="A custom field ID (repeatable).")] = None,
    campaign_event_type: Annotated[
        str, typer.Option(help="Custom events that start the campaign.")
    ] = _Default.campaign_event_type,
    campaign_template: Annotated[Path | None, typer.Option(help="File of the campaign's e-mail.")] = None,
    queue_headers: Annotated[bool, typer.Option(help="Answer pushes with X-QueueSize headers.")] = False,
    faults: Annotated[list[str] | None, typer.Option(help="A fault as JSON (repeatable).")] = None,
    output: Annotated[
        Literal["table", "json"], typer.Option("-o", "--output", help="How it says that it is ready.")
    ] = "table",
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run stand-ins for Antavo and Ometria on this machine, with made-up members.

    Roots for connections: http://HOST:PORT/loyalty, /read and /ometria. What happens inside is shown and steered
    under /_sandbox.
    """
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in locals().items()}
    del settings["until_stdin_closes"], settings["output"]
    settings |= {
        "faults": tuple(map(_fault, faults or ())),
        "dynamic_lists": tuple(dynamic_lists or _Default.dynamic_lists),
    }
    if unknown_fields not in ("store", "drop", "error"):
        raise typer.BadParameter("must be store, drop or error", param_hint="--unknown-fields")
    from ometria_provider.sandbox.server import serve

    try:
        serve(SandboxSettings(**settings), partial(_ready, members, output), until_stdin_closes=until_stdin_closes)
    except OSError as error:
        typer.echo(f"The sandbox cannot listen on {host}:{port}: {error.strerror}. Choose another --port.", err=True)
        raise typer.Exit(1) from error
    except (RuntimeError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _ready(members: int, output: str, url: str) -> None:
    roots = {"loyalty": f"{url}/loyalty", "read": f"{url}/read", "ometria": f"{url}/ometria"}
    if output == "json":
        typer.echo(json.dumps({"url": url, **roots, "control": f"{url}/_sandbox", "members": members}))
        return
    typer.echo(
        f"Sandbox ready at {url} with {members:,} made-up members: Loyalty API {roots['loyalty']}, "
        f"Read API {roots['read']}, Ometria {roots['ometria']}, control {url}/_sandbox"
    )


def _fault(text: str) -> dict[str, Any]:
    try:
        fault = json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--faults") from error
    if not isinstance(fault, dict):
        raise typer.BadParameter("a JSON object is wanted", param_hint="--faults")
    return fault
