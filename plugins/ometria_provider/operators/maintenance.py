"""Keep the ledger small."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import giving_up, inbox
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.ledger.prune import prune
from ometria_provider.operators import old_staging
from ometria_provider.operators.base import PatientOperator
from ometria_provider.workflows.files import load_folder, longest_expiry

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The param of the DAG: its JSON Schema and help text.
KEEP_DAYS: dict[str, Any] = {
    "default": 90,
    "type": "integer",
    "minimum": 1,
    "title": "Days to keep",
    "description": "Runs, done events and late errors that ended within so many days stay.",
}


class PruneLedgerOperator(PatientOperator):
    """Delete old runs with what they found, events that are done, and late errors (`ledger/prune.py`), and old staging.

    Events that wait for a workflow whose file is gone are skipped: an Antavo connection that lost its last one has no
    DAG any more that could say so.
    """

    def execute(self, context: Context) -> None:
        """Prune.

        :raises Misconfigured: when the param or `staging_keep` is wrong, or the ledger is of another version.
        """
        days = context["params"]["keep_days"]
        if not isinstance(days, int) or isinstance(days, bool) or days < 1:
            raise Misconfigured("The param keep_days is not a whole number of days, 1 or more.")
        settings = self.settings()
        old_staging.staging_keep(settings)
        ledger = open_ledger(settings.ledger_url)
        ledger.ready()
        self._give_up(ledger, str(context["run_id"]), settings.workflows_folder)
        expiry = longest_expiry(settings.workflows_folder)
        if expiry is None:
            self.log.warning("Events stay: a workflow file is broken (`ometria-sync workflows check`)")
        before = datetime.now(UTC) - timedelta(days=days)
        pruned = prune(ledger, before, expiry, lambda far: self.log.info("%s so far", far))
        self.log.info("Deleted from before %s: %s", before.isoformat(timespec="seconds"), pruned)
        self.log.info("Removed the staging of %s runs", old_staging.remove_all(ledger, settings))

    def _give_up(self, ledger: Ledger, run_id: str, folder: Path) -> None:
        """Skip what waits for files that are gone, and let go of the events' bodies: they are members' data."""
        workflows, problems = load_folder(folder)
        broken = {Path(problem.file).stem for problem in problems}
        for account in giving_up.accounts_waiting(ledger):
            left = broken | {each.name for each in workflows if each.connections.antavo == account}
            if count := giving_up.without_file(ledger, run_id, account, left):
                self.log.warning("%s events of %s are skipped: their workflow files are gone", count, account)
                inbox.finish(ledger, account)
