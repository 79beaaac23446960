"""The DAG `maintain_ledger`: once a night it lets go of what is too old to be asked about."""

from airflow.sdk import DAG, CronTriggerTimetable, Param
from ometria_provider.factory import DEFAULT_ARGS, START
from ometria_provider.operators.maintenance import KEEP_DAYS, PruneLedgerOperator

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
):
    PruneLedgerOperator(task_id="prune")
