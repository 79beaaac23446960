"""Customers of whom Antavo does not tell everything, though it was asked: they are rejected, and nobody else is."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from ometria_provider.exceptions import LookupFailed, LookupRefused
from ometria_provider.mapping.customers import DETAILS
from ometria_provider.mapping.model import Mapping


class Unread(NamedTuple):
    """What is not known of a customer. It is never taken for empty.

    :param part: nothing at all (`customer`), or what only a detail call tells (`details`).
    :param reason: why, without a value.
    """

    part: Literal["customer", "details"]
    reason: str

    @classmethod
    def because(cls, part: Literal["customer", "details"], error: LookupRefused | LookupFailed) -> Self:
        """Return what is not known after a lookup that came to nothing."""
        verb = "refuses" if isinstance(error, LookupRefused) else "fails"
        return cls(part, f"Antavo {verb} to give the {part}: {error.reason}")

    def hides(self, loyalty: str) -> bool:
        """Say whether a loyalty field is among what is not known."""
        return self.part == "customer" or loyalty.startswith(f"{DETAILS}.")

    def field(self, mapping: Mapping) -> str:
        """Return the field that the rejection names: `id`, or the first one that is made of details."""
        if self.part == "customer":
            return "id"
        remotes = (row.remote for row in mapping.rows if row.loyalty and self.hides(row.loyalty))
        return next(remotes, None) or next(filter(self.hides, mapping.where))
