"""Find a customer's contact id without mapping the rest: enough to look the contact up in the ledger."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.formats import ID_LIMIT, final_step
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.transforms import make_steps, run_steps
from ometria_provider.mapping.values import Unconvertible

#: What stands before Antavo's id where a customer has no contact id of its own.
PREFIX = "antavo:"

#: Why a customer is rejected whose contact id is another's.
ANOTHERS = "is the contact id of another customer too"


def own_id(customer: str) -> str:
    """Return what a customer is staged under who has no contact id, or another's: map rejects it under this."""
    return (PREFIX + customer).encode("utf-8", "backslashreplace").decode()


def takes_antavos_id(mapping: Mapping) -> bool:
    """Say whether contacts have Antavo's own ids: each is one customer's, and finds it."""
    row = next(row for row in mapping.rows if row.remote == "id")
    return row.loyalty == "id" and not row.transform


def contact_id_reader(mapping: Mapping) -> Callable[[list[Any]], str | None]:
    """Return the function that reads the contact id from projected values; None for a customer without a usable one.

    It is the id that :func:`ometria_provider.mapping.records.map_customers` gives the contact.
    """
    row = next(row for row in mapping.rows if row.remote == "id")
    position = Projection(mapping).paths.index(str(row.loyalty))
    # The day matters to birthdays only.
    steps = (*make_steps(row.transform), final_step("id", datetime.date.max))

    def read(values: list[Any]) -> str | None:
        value = values[position]
        if type(value) is str and 0 < len(value) <= ID_LIMIT and not row.transform:
            return value
        try:
            found: str | None = run_steps(steps, value)
        except Unconvertible:
            return None
        return found

    return read
