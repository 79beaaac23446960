"""The command that says what needs attention, whoever was told of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ometria_provider.cli.output import Output, print_json, print_table, wrong
from ometria_provider.cli.reading import Limit, open_for_reading

#: Letters of a reason in the table; JSON has all of them.
WIDTH = 100


def alerts(
    limit: Limit = 20,
    test: Annotated[bool, typer.Option("--test", help="Send a test alert, and do nothing else.")] = False,
    output: Output = "table",
) -> None:
    """Say what needs attention now, and list the latest incidents.

    It looks at ledger and files itself, so that it works while Airflow's scheduler is down: ask it from a monitor of
    your own.
    """
    if test:
        _send_test(output)
        return
    from datetime import UTC, datetime

    from ometria_provider.attention import needing_attention, watched_dags
    from ometria_provider.ledger.incidents import list_incidents
    from ometria_provider.settings import read_settings

    ledger, settings = open_for_reading(), read_settings()
    now = needing_attention(ledger, settings, watched_dags(settings, ledger), datetime.now(UTC))
    rows = list_incidents(ledger, limit=limit)
    noted = {(row.dag_id, row.topic) for row in rows if row.over_at is None}
    fresh = [one for one in now if (one.dag_id, one.topic) not in noted]
    if output == "json":
        print_json({"now": now, "incidents": rows})
    else:
        shown: list[Any] = [(one.kind, one.dag_id, "now", None, None, _short(one.words)) for one in fresh]
        shown += [(row.kind, row.dag_id, row.opened_at, row.told_at, row.over_at, _short(row.words)) for row in rows]
        head = ["kind", "DAG", "since", "people were told", "over", "what"]
        print_table(head, shown, empty="Nothing needs attention, and nothing ever did.")
    if now:
        wrong()


def _short(words: str) -> str:
    """Bring a reason, which may be a page of errors in a file, into a table's cell."""
    line = " ".join(words.split())
    return line if len(line) <= WIDTH else line[: WIDTH - 1].rstrip() + "…"


def _send_test(output: Output) -> None:
    from ometria_provider.cli.connect import airflow
    from ometria_provider.exceptions import Misconfigured
    from ometria_provider.hooks.alerts import AlertChannel
    from ometria_provider.settings import read_settings

    conn_id = read_settings().alerts_conn_id
    if conn_id is None:
        raise Misconfigured("Nobody would be told: `[ometria] alerts_conn_id` is empty (docs/how-to/alerts.md).")
    with airflow():
        body = "This is a test. When a sync is red or late, an alert like this one says so."
        taken, refused = AlertChannel(conn_id).send("Ometria sync: a test", body, "info")
    if output == "json":
        print_json({"connection": conn_id, "taken": taken, "refused": refused})
    elif taken:
        typer.echo(f"{', '.join(taken)} took it.")
    if refused:
        typer.echo(f"{', '.join(refused)} did not take it: is the URL in connection `{conn_id}` right?", err=True)
        wrong()


__all__ = ["alerts"]
