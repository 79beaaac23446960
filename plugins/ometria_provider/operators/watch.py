"""Look after all syncs, whether or not they run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ometria_provider.attention import KINDS, oldest_undelivered, watched_dags
from ometria_provider.ledger import cursors, incidents
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.metrics import emit, of_watch
from ometria_provider.notifications.telling import tell
from ometria_provider.operators.base import PatientOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class WatchOperator(PatientOperator):
    """Look for syncs that are red or late, runs that wait for a person and campaigns that are late, and tell people.

    Each incident is told once, and once more when it is over, through the Apprise connection
    `[ometria] alerts_conn_id`. Without one they are in the ledger only: `ometria-sync alerts` lists them.
    """

    def execute(self, context: Context) -> int:  # noqa: ARG002 (Airflow's signature)
        """Look, tell, and return of how many incidents people were told.

        :raises AlertNotSent: when an alert could not be sent: Airflow tries again, and so does the next run.
        :raises Misconfigured: when the connection for alerts, or `stale_after`, is wrong.
        """
        settings = self.settings()
        ledger = open_ledger(settings.ledger_url)
        ledger.ready()
        try:
            told = tell(ledger, settings)
        finally:
            now = datetime.now(UTC)
            still = incidents.list_incidents(ledger, only_open=True, limit=None)
            emit(of_watch(oldest_undelivered(ledger, watched_dags(settings, ledger)), still, KINDS, now))
        cursors.move(ledger, "", "", cursors.WATCHED, at=datetime.now(UTC), run_id=0)
        return told
