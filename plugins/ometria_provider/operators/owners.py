"""Contact ids that several customers have: the first one read, who is the oldest, keeps it; the others are rejected.

Two records for one contact would overwrite each other in every run, and each be counted as delivered. Within a slice
extract tells customers apart; customers of different slices are told apart at the gate, before anything is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ometria_provider.ledger import contacts, run_steps
from ometria_provider.mapping.identity import ANOTHERS, PREFIX, own_id, takes_antavos_id
from ometria_provider.operators.base import Work

if TYPE_CHECKING:
    from ometria_provider.delivery.present import Shared
    from ometria_provider.operators.departures import Search

log = logging.getLogger(__name__)


def known_others(work: Work) -> frozenset[str]:
    """Return who shared another customer's contact id in the last complete scan, by :func:`own_id`.

    A run that reads some customers may meet these without the one who keeps the id.
    """
    if not work.run.is_partial or takes_antavos_id(work.mapping):
        return frozenset()
    found = contacts.rejected_under(work.ledger, work.account, work.collection, PREFIX, reason=f"id: {ANOTHERS}")
    return frozenset(found)


def tell_apart(work: Work, search: Search) -> bool:
    """Give the later customers ids of their own, and map and validate their slices again; say whether there were any.

    Done again after it was killed in the middle, it finds those it renamed under their own ids, and does the rest: a
    slice that is being renamed has no map until it is made anew.

    :param search: knows who was read.
    """
    slices = len(search.extracts)
    if slices < 2 or takes_antavos_id(work.mapping):
        return False
    owned: set[str] = set()
    shared, mapped = search.shared(), False
    for index in range(slices):
        one = replace(work, window={"index": index})
        for chunk, ids in _renamed(one, shared, owned) if shared else ():
            one.files.begin("map")
            _rename(one, chunk, ids)
        if not one.files.has("map") or not one.files.has("validate"):
            _map_again(one)
            mapped = True
    return mapped


def _renamed(work: Work, shared: Shared, owned: set[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the ids of each chunk in which they change, with its number; note whose is whose."""
    for chunk in range(len(work.files.read_manifest("extract")["chunks"])):
        table = work.files.read_chunk("extract", chunk, ["contact_id", "customer"])
        ids, customers = (column.to_pylist() for column in table.columns)
        again = [row for row, id_ in enumerate(ids) if id_ in owned]
        owned.update(shared.among(ids))
        if again:
            for row in again:
                ids[row] = own_id(customers[row])
            yield chunk, ids


def _rename(work: Work, chunk: int, ids: list[str]) -> None:
    from ometria_provider.staging.tables import with_contact_ids

    table = work.files.read_chunk("extract", chunk)
    work.files.write_chunk("extract", chunk, with_contact_ids(table, ids))


def _map_again(work: Work) -> None:
    from ometria_provider.operators.mapping import MapOperator
    from ometria_provider.operators.validate import ValidateOperator

    log.info("Slice %s has customers with contact ids of others: it is mapped again", work.slice)
    for operator in (MapOperator, ValidateOperator):
        task = operator(task_id=operator.step, mapping=work.run.mapping, window=work.window)
        with run_steps.working(work.ledger, work.run, operator.step, work.slice) as step:
            task.work(work, step.facts, {})  # neither reads Airflow's context
