"""Look after all syncs, whether or not they run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk import DagRunState
from airflow.sdk.exceptions import AirflowRuntimeError

from ometria_provider.attention import KINDS, oldest_undelivered, watched_dags
from ometria_provider.ledger import cursors, incidents, runs
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.metrics import emit, of_watch
from ometria_provider.notifications.telling import tell
from ometria_provider.operators.base import PatientOperator
from ometria_provider.origin import origin_of

if TYPE_CHECKING:
    from airflow.sdk import Context

#: States of a DAG run that has ended.
ENDED = frozenset({DagRunState.SUCCESS, DagRunState.FAILED})


class WatchOperator(PatientOperator):
    """Look for syncs that are red or late, runs that wait for a person and campaigns that are late, and tell people.

    Each incident is told once, and once more when it is over, through the Apprise connection
    `[ometria] alerts_conn_id`. Without one they are in the ledger only: `ometria-sync alerts` lists them.

    A run that was ended as a whole in Airflow, by a person or a time-out, has no report: it is closed here.
    """

    def execute(self, context: Context) -> int:
        """Look, tell, and return of how many incidents people were told.

        :raises AlertNotSent: when an alert could not be sent: Airflow tries again, and so does the next run.
        :raises Misconfigured: when the connection for alerts, or `stale_after`, is wrong.
        """
        settings = self.settings()
        ledger = open_ledger(settings.ledger_url)
        ledger.ready()
        self._close_ended(ledger, context)
        try:
            told = tell(ledger, settings)
        finally:
            now = datetime.now(UTC)
            still = incidents.list_incidents(ledger, only_open=True, limit=None)
            emit(of_watch(oldest_undelivered(ledger, watched_dags(settings, ledger)), still, KINDS, now))
        cursors.move(ledger, "", "", cursors.WATCHED, at=datetime.now(UTC), run_id=0)
        return told

    def _close_ended(self, ledger: Ledger, context: Context) -> None:
        """Close the runs that have ended in Airflow, and not in the ledger."""
        for run in runs.open_runs(ledger):
            origin = origin_of(run)
            if origin.run_id is None:
                continue
            try:
                state = context["ti"].get_dagrun_state(origin.dag_id, origin.run_id)
            except AirflowRuntimeError as error:
                # Deleted, or another Airflow's: the next run closes it.
                self.log.warning("Airflow does not say whether the DAG run of run %s has ended: %s", run.id, error)
                continue
            if state in ENDED:
                runs.close_unreported(ledger, dag_id=run.dag_id, run_id=run.run_id)
                self.log.warning("Run %s ended without a report: it is closed in the ledger", run.id)
