"""`ometria-sync retry`: start a run for what an earlier one left undelivered."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Annotated, Any

import typer

from ometria_provider.cli.output import Misused, Output, print_json
from ometria_provider.cli.reading import RunReference, open_for_reading
from ometria_provider.dagdefaults import contact_sync_id
from ometria_provider.exceptions import Retryable


def retry(
    run: RunReference,
    reason: Annotated[str | None, typer.Option(help="Only those with this text in field or reason.")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Only this contact; can be given several times.")] = None,
    output: Output = "table",
) -> None:
    """Start a run for what a run left undelivered, with today's data.

    That is whom it rejected at any stage, and whom its push did not get to or deliver for sure; not whom a run has
    delivered since. The DAG run is made by `airflow dags trigger`, so this works wherever Airflow's own command works.
    """
    from ometria_provider.ledger.history import find_run, run_row
    from ometria_provider.leftover import left, run_to_retry
    from ometria_provider.settings import read_settings

    ledger = open_for_reading()
    asked = run_row(ledger, find_run(ledger, run))
    found = run_to_retry(ledger, str(asked.id), mapping=asked.mapping)
    members = left(ledger, read_settings().staging_path, found, reason=reason, only=customer or ())
    started, dag_id = None, contact_sync_id(found.mapping)
    if members:
        conf: dict[str, Any] = {"retry_run": found.id}
        if reason is not None or customer:
            conf["customer_ids"] = _few(members)
        started = trigger(dag_id, conf)
    if output == "json":
        print_json({"run": found.id, "mapping": found.mapping, "undelivered": len(members), "started": started})
    elif started is None:
        typer.echo(f"Nothing {'of that kind ' if reason or customer else ''}is undelivered of run {found.id}.")
    else:
        typer.echo(
            f"{len(members):,} of run {found.id} {'is' if len(members) == 1 else 'are'} undelivered. Airflow has the "
            f"run {started} of {dag_id}; it starts as soon as the scheduler works and the DAG is not paused.\n"
            f"ometria-sync show {found.mapping}:latest: what became of it"
        )


def _few(members: list[str]) -> list[str]:
    from ometria_provider.leftover import MOST

    if len(members) > MOST:
        raise Misused(
            f"{len(members):,} members match, and a run takes at most {MOST:,} by name: retry the whole run, or narrow "
            "it down."
        )
    return members


class NotStarted(Retryable):
    """Airflow did not take the run."""


def trigger(dag_id: str, conf: dict[str, Any]) -> str:
    """Make a DAG run through Airflow's own command, and return its run id.

    :raises NotStarted: when Airflow does not make it, with its own last words.
    """
    arguments = ["dags", "trigger", dag_id, "--conf", json.dumps(conf)]
    environment = {**os.environ, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(  # noqa: S603 (no shell, and the ids come from the ledger)
        [sys.executable, "-m", "airflow", *arguments, "-o", "json"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    made = [line for line in done.stdout.splitlines() if line.startswith("[{")]
    if done.returncode or not made:
        raise NotStarted(
            f"Airflow did not start a run of {dag_id}: {_complaint(done)}. When that is mended, try again, or give "
            f"{json.dumps(conf)} in Airflow's trigger form."
        )
    return str(json.loads(made[-1])[0]["dag_run_id"])


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line in which Airflow names its error, or its last one."""
    lines = [line.strip().rstrip(".") for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"airflow\.[\w.]*(Error|NotFound|Exception)", line)]
    return (named or lines or [f"exit code {done.returncode}"])[-1]
