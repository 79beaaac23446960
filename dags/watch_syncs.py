"""The DAG `watch_syncs`: every five minutes it looks for what is red, late or waiting, and tells people once."""

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from ometria_provider.factory import DEFAULT_ARGS
from ometria_provider.operators.watch import WatchOperator

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
):
    WatchOperator(task_id="watch")
