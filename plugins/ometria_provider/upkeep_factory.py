"""Make the DAGs that look after all others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable, Param

from ometria_provider.dagdefaults import DEFAULT_ARGS, START
from ometria_provider.operators.maintenance import KEEP_DAYS, PruneLedgerOperator
from ometria_provider.operators.watch import WatchOperator
from ometria_provider.settings import Folders, chosen_folders


def upkeep_dags(*, mappings: Path | str | None = None, workflows: Path | str | None = None) -> dict[str, DAG]:
    """Return `maintain_ledger` and `watch_syncs`, by DAG id: one of each looks after all syncs of a ledger.

    :param mappings: the mapping files' folder; default `[ometria] mappings_folder`.
    :param workflows: the workflow files' folder; default `[ometria] workflows_folder`.
    """
    chosen = chosen_folders(mappings=mappings, workflows=workflows)
    return {dag.dag_id: dag for dag in (_maintain_ledger(chosen), _watch_syncs(chosen))}


def _maintain_ledger(folders: Folders) -> DAG:
    """Once a night it lets go of what is too old to be asked about."""
    with DAG(
        "maintain_ledger",
        description="Delete old runs, done events and late errors from the ledger",
        schedule=CronTriggerTimetable("17 4 * * *", timezone="UTC"),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params={"keep_days": Param(**KEEP_DAYS)},
        tags={"ometria", "maintenance"},
        doc_md=PruneLedgerOperator.__doc__,
    ) as dag:
        PruneLedgerOperator(task_id="prune", folders=folders)
    return dag


def _watch_syncs(folders: Folders) -> DAG:
    """Every five minutes it looks for what is red, late or waiting, and tells people once."""
    with DAG(
        "watch_syncs",
        description="Tell people of syncs that are red or late, and when that is over",
        # The first look comes with the next tick: whatever starts beside it has the machine for itself.
        schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC", run_immediately=timedelta(0)),
        catchup=False,
        max_active_runs=1,
        # It sends nothing to Ometria, and a watch that nobody switched on is none.
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        tags={"ometria", "maintenance"},
        doc_md=WatchOperator.__doc__,
    ) as dag:
        WatchOperator(task_id="watch", folders=folders)
    return dag


__all__ = ["upkeep_dags"]
