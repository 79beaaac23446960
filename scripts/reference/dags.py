"""docs/reference/dags.md: the DAGs that the shipped mapping and workflow files make."""

from __future__ import annotations

from typing import Any

from reference import markdown
from reference.places import ROOT

_FACTORY = """\
`dags/contact_sync.py` makes one DAG for each `*.yaml` in the mappings folder. Schedule and time zone come from the
file; catch-up is off, and one run is active at a time. A broken file gets a DAG that fails and whose doc page shows the
errors; the other DAGs do not notice."""

_MAINTENANCE = """\
## maintain_ledger

`dags/upkeep.py` deletes old runs with what they found, done events and late errors every night at 04:17 UTC,
as `ometria-sync ledger prune` does; its param `keep_days` is 90. What Ometria is known to hold stays, and of each
mapping the last run and the scan that the next one compares with. It also removes staging that is older than
`[ometria] staging_keep`. Unpause it once the ledger grows."""

_CAMPAIGNS = """\
## campaign_events

`dags/campaign_events.py` makes one DAG `campaign_events__<connection>` for each Antavo connection that files in the
workflows folder name. It runs every minute, and at once when a webhook put an event into the ledger's inbox; catch-up
is off, and one run is active at a time. Its one task `campaigns` collects new events (from 15 minutes before the last
time on; once an hour, and in a run for one `workflow`, as far back as the longest `expires_after`), delivers all that
waits for every workflow, and says in its log what became of them. A broken file keeps its own events waiting: the
others are delivered, and the run is red until it is mended. Events that are filtered, expired or skipped leave a run
green."""

_WATCH = """\
## watch_syncs

`dags/upkeep.py` looks every five minutes for syncs that are red or late, runs that wait for a person, and
campaigns that are late, whether or not their DAGs run, and [tells people](../how-to/alerts.md) once. It begins
unpaused: it sends nothing to Ometria."""

_LINEAGE = """\
## Lineage

With Airflow's OpenLineage provider `extract` tells what it reads (`antavo://<connection>`, `customers`, with the
fields), `push` what it writes (`ometria://<connection>`, `contacts/<collection>`, with the loyalty field of each
and how many were accepted), and `campaigns` the same of events and `custom_events/<event type>`."""

_TASKS = {
    "plan": "checks params, files, connections and the list; cuts the customers into slices; says what the run costs",
    "prepare.extract": "reads a slice from Antavo into staging, keeping only what the mapping reads",
    "prepare.map": "makes the records and compares them with the ledger",
    "prepare.validate": "runs the Great Expectations suite over the records, if any of them is to be sent",
    "gate": "compares the whole run with the mapping's limits: opens, or halts before anything is sent",
    "push": "sends a slice's records in batches, each written to the ledger before and after",
    "reconcile": "turns what was acknowledged into accepted",
    "report": "balances the books, logs the report, and is red unless all is well",
}


def page() -> str:
    """Return the page."""
    from ometria_provider.dagdefaults import DEFAULT_ARGS
    from ometria_provider.factory import contact_sync_dags

    dags = contact_sync_dags(ROOT / "include" / "mappings")
    rows = [(markdown.code(name), _schedule(dag), _tags(dag), dag.description) for name, dag in sorted(dags.items())]
    tasks = next(iter(dags.values())).task_dict
    if set(tasks) != set(_TASKS):
        raise ValueError(f"describe the tasks {sorted(set(tasks) ^ set(_TASKS))}")
    policy = (
        f"A task is tried {DEFAULT_ARGS['retries']} more times after an error that passes, from "
        f"{DEFAULT_ARGS['retry_delay'].total_seconds():g} s on (a minute after a 429) to at most "
        f"{DEFAULT_ARGS['max_retry_delay'].total_seconds() / 60:g} minutes; after any other known error it fails at "
        f"once. The owner is `{DEFAULT_ARGS['owner']}`."
    )
    return markdown.page(
        "DAGs",
        "plugins/ometria_provider/factory.py`, `campaign_factory.py`, `include/",
        _FACTORY,
        markdown.table(("DAG", "schedule", "tags", "what it is for"), rows),
        "## Tasks\n\n" + markdown.table(("task", "what it does"), [(markdown.code(t), _TASKS[t]) for t in _TASKS]),
        "`prepare` and `push` are mapped over the slices (about 50,000 customers each).",
        policy,
        _CAMPAIGNS,
        markdown.table(("DAG", "schedule", "tags", "what it is for"), _campaign_rows()),
        _MAINTENANCE,
        _WATCH,
        _LINEAGE,
    )


def _campaign_rows() -> list[tuple[str, ...]]:
    from ometria_provider.campaign_factory import campaign_event_dags

    dags = campaign_event_dags(ROOT / "include" / "workflows")
    schedule = "every minute, and by the inbox's asset"
    return [(markdown.code(name), schedule, _tags(dag), str(dag.description)) for name, dag in sorted(dags.items())]


def _schedule(dag: Any) -> str:
    timetable = dag.timetable
    text = getattr(timetable, "expression", None)
    return f"{markdown.code(text)}, {timetable.timezone}" if text else "by hand"


def _tags(dag: Any) -> str:
    return ", ".join(sorted(dag.tags))
