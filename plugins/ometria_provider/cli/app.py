"""The commands of `ometria-sync`.

Exit codes: 0 fine, 1 something is wrong (a broken file, a dead system, no ledger), 2 used wrongly (an unknown run or
mapping, a bad option). Errors go to standard error, and with `-o json` nothing but JSON to standard output.

Everything heavy is imported inside the commands: `--help` must not cost an Airflow.
"""

from __future__ import annotations

import typer

from ometria_provider.cli import alerts, events, forget, ledger, mappings, retry, systems, workflows
from ometria_provider.cli.output import Group, exits
from ometria_provider.sandbox.command import sandbox

app = typer.Typer(
    name="ometria-sync",
    help="Keep Ometria contacts in step with Antavo customers: check mappings, ask what runs did, look for faults.",
    epilog="Exit codes: 0 fine, 1 something is wrong, 2 used wrongly. RUN is a number of `history`, or MAPPING:latest.",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.add_typer(mappings.app, name="mappings")
app.add_typer(workflows.app, name="workflows")
app.add_typer(events.app, name="events")
systems.add_to(app)
ledger.add_to(app)
app.command(epilog=exits("something needs attention, or the test alert did not arrive everywhere"))(alerts.alerts)
app.command(epilog=exits("Airflow does not start the run", fine="also when there is nothing to retry"))(retry.retry)
app.command(epilog=exits("nothing was removed"))(forget.forget)
app.command(epilog=exits("it cannot listen there, or its state file cannot be used"))(sandbox)
