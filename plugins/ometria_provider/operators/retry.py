"""Retry runs: whom an earlier run left undelivered, read anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ometria_provider.leftover import left, run_to_retry
from ometria_provider.mapping.identity import PREFIX, takes_antavos_id
from ometria_provider.mapping.model import Mapping
from ometria_provider.operators.base import Work
from ometria_provider.operators.chosen import CHOICE, Choice, staged
from ometria_provider.operators.params import RunParams


@dataclass(frozen=True)
class Retry:
    """A run that tries again what an earlier one left undelivered.

    :param run: that run's number.
    :param choice: whom it left.
    """

    run: int
    choice: Choice

    def sentence(self, cost: str) -> str:
        """Return what the run is about to do.

        :param cost: what reading them costs, in a sentence.
        """
        if not self.choice.ids:
            return f"Nothing of run {self.run} is undelivered: there is nothing to do."
        return f"A retry of what run {self.run} left undelivered. {cost}"


def planned(work: Work, params: RunParams) -> Retry | None:
    """Return whom a run that was triggered as a retry is for, or None when it is no retry.

    :raises Misconfigured: when there is no such run, or it cannot be retried by this mapping.
    """
    if params.retry_run is None:
        return None
    if work.run.retry_of is not None and work.store.own.has(CHOICE):
        # Planned again: what it delivered itself in the meantime is still its own.
        return Retry(work.run.retry_of, staged(work))
    run = run_to_retry(work.ledger, params.retry_run, mapping=work.run.mapping, before=work.run.id)
    ids = left(work.ledger, work.settings.staging_path, run, only=params.customer_ids)
    return Retry(run.id, choice_of(work.mapping, ids))


def choice_of(mapping: Mapping, contact_ids: Sequence[str]) -> Choice:
    """Return how contacts are found in Antavo: by id when the mapping takes Antavo's, else by scanning for them."""
    if not takes_antavos_id(mapping):
        return Choice(tuple(contact_ids), "contact")
    return Choice(tuple(dict.fromkeys(id_.removeprefix(PREFIX) for id_ in contact_ids)))
