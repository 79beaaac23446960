"""Reconcile: settle what Ometria acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ometria_provider.ledger import contacts, runs
from ometria_provider.ledger.runs import total
from ometria_provider.operators.base import SyncOperator, Work

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReconcileOperator(SyncOperator):
    """Settle what was acknowledged: accepted, unless Ometria's answer counted rejected records."""

    step = "reconcile"

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Do what follows the pushes, one thing after the other; a dry run pushed nothing."""
        if not work.run.dry_run:
            contacts.settle(work.ledger, work.account, work.collection)
        facts["doubtful"] = total(runs.steps(work.ledger, work.run.id), "push", "doubtful")
