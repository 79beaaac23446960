"""Reconcile: settle what Ometria acknowledged, and find out what it rejected later."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ometria_provider.ledger import batches, contacts, cursors, findings, late, run_steps
from ometria_provider.ledger.run_steps import StepRow
from ometria_provider.operators.base import SyncOperator, Work
from ometria_provider.operators.departures import CURSOR, Search, gone_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReconcileOperator(SyncOperator):
    """Settle what was acknowledged: accepted, unless it turns out that it did not arrive.

    It comes after a push that failed or halted as well: what that got through is acknowledged all the same.
    """

    step = "reconcile"

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Do what follows the pushes, one thing after the other; a dry run pushed nothing, nor did a shut gate."""
        steps = run_steps.in_force(run_steps.steps(work.ledger, work.run.id))
        if work.run.dry_run or not _gate_opened(steps):
            self.log.info("Nothing was sent: there is nothing to settle")
            return
        self._verify(work, steps, facts)
        if _all_pushed(steps):
            self._depart(work, steps, facts)
            if answered := Search(work, steps).answered():
                contacts.settle_unread(work.ledger, work.account, work.collection, answered, work.run.id)

    def _verify(self, work: Work, steps: list[StepRow], facts: dict[str, Any]) -> None:
        """Settle, and read back what is in doubt. A run that has nothing to look into makes no request."""
        sent = batches.count_records(work.ledger, work.run.id, "acknowledged", "doubtful")
        if not (sent or _had_doubts(work, steps) or late.has_open(work.ledger, work.account, work.collection)):
            return
        if work.mapping.verify == "off":
            contacts.settle(work.ledger, work.account, work.collection)
            return
        # The HTTP client comes with it: only a run that has something to look into pays for that.
        from ometria_provider.operators.verification import Verification

        verification, started = Verification(work, facts), monotonic()
        try:
            verification.settle()
            verification.read_back()
            verification.count()
        finally:
            facts.update(verification.usage(started))

    def _depart(self, work: Work, steps: list[StepRow], facts: dict[str, Any]) -> None:
        """Handle the members who left, and let the next run look for later events."""
        if gone_of(steps).leaving():
            # The HTTP client comes with it: only a run that somebody left pays for that.
            from ometria_provider.operators.farewell import Farewell

            Farewell(work).say(facts)
        if work.run.is_chosen:
            return
        # Whoever opts out from the run's start on may have been read before: the next run looks from there.
        cursors.move(work.ledger, work.account, work.collection, CURSOR, at=work.run.started_at, run_id=work.run.id)


def _had_doubts(work: Work, steps: list[StepRow]) -> bool:
    """Say whether an earlier attempt may have settled, or convicted, what another run sent: it counts in the books."""
    return bool(run_steps.total(steps, "map", "held") or findings.count_rejections(work.ledger, work.run.id, "ometria"))


def _gate_opened(steps: list[StepRow]) -> bool:
    return any(step.step == "gate" and step.state == "done" for step in steps)


def _all_pushed(steps: list[StepRow]) -> bool:
    """Say whether every push came to its end: nobody takes leave while members wait to be sent."""
    return all(step.state == "done" for step in steps if step.step == "push")
