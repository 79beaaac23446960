"""Reconcile: settle what Ometria acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ometria_provider.ledger import contacts, runs
from ometria_provider.ledger.runs import total
from ometria_provider.operators.base import SyncOperator, Work
from ometria_provider.operators.departures import depart

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReconcileOperator(SyncOperator):
    """Settle what was acknowledged: accepted, unless Ometria's answer counted rejected records."""

    step = "reconcile"

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Do what follows the pushes, one thing after the other; a dry run pushed nothing."""
        steps = runs.steps(work.ledger, work.run.id)
        facts["doubtful"] = total(steps, "push", "doubtful")
        if work.run.dry_run:
            return
        contacts.settle(work.ledger, work.account, work.collection)
        depart(work, steps, facts)
