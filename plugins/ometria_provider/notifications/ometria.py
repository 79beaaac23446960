"""The Airflow notifier: people hear of a run that went wrong when it ends, and that it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ometria_provider.settings import Folders


class SyncNotifier(BaseNotifier):
    """Tell people of the incident that the run of a contact sync began or ended.

    For `on_success_callback` and `on_failure_callback` of the task that closes the run: both run in the task's own
    process, after it, where the ledger and the connections are at hand. When the task was killed Airflow calls it in
    the DAG processor; where that cannot reach the ledger, `watch_syncs` makes it good within minutes. An error in here
    is in the log and fails nothing.

    :param folders: folders that the DAG file names itself (`settings.chosen_folders`).
    """

    def __init__(self, folders: Folders | None = None) -> None:
        super().__init__()
        self.folders = folders

    def notify(self, context: Context) -> None:
        """Bring the incidents of the DAG up to date, and tell people.

        :raises AlertNotSent: when no service took an alert; the next look tries again.
        """
        from ometria_provider.ledger import runs
        from ometria_provider.ledger.engine import open_ledger
        from ometria_provider.notifications.telling import tell
        from ometria_provider.settings import read_settings

        settings = read_settings(self.folders)
        ledger = open_ledger(settings.ledger_url)
        ledger.check_version()
        dag_id = context["ti"].dag_id
        # Whoever was to close it is at its end, well or not.
        runs.close_unreported(ledger, dag_id=dag_id, run_id=str(context["run_id"]))
        if told := tell(ledger, settings, only=dag_id):
            self.log.info("People were told of %s incidents", told)


__all__ = ["SyncNotifier"]
