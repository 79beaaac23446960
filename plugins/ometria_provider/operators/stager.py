"""Keep of each customer what the mapping reads, under the contact id that it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ometria_provider.delivery.digests import encode_source, source_digest
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.identity import contact_id_reader, own_id
from ometria_provider.mapping.unread import Unread
from ometria_provider.operators import owners
from ometria_provider.operators.base import Work
from ometria_provider.operators.chosen import Choice, Withheld


class Staged(NamedTuple):
    """What is kept of a customer.

    :param source: the values that the mapping reads, as JSON.
    :param digest: their source digest.
    :param customer: Antavo's id.
    :param whole: whether `source` holds details too, if the mapping reads any.
    :param unread: what Antavo does not tell of it, though it was asked.
    """

    contact_id: str
    source: bytes
    digest: bytes
    customer: str
    whole: bool = True
    unread: Unread | None = None


@dataclass
class Stager:
    """Makes of the customers of a slice, one after the other, what is staged of them.

    :param choice: whom the run is for; None: everybody.
    """

    work: Work
    projection: Projection
    choice: Choice | None

    def __post_init__(self) -> None:
        self._contact_id, self._key = contact_id_reader(self.work.mapping), self.work.digest_key
        self._wanted = None if self.choice is None else frozenset(self.choice.ids)
        self._others = owners.known_others(self.work)
        self._taken: set[str] = set()
        #: The chosen ids with which somebody was found.
        self.found: list[str] = []

    def stage(self, read: dict[str, Any] | Withheld) -> Staged | None:
        """Return what is kept of a customer; None when the run is not for it."""
        unread = Unread.because("customer", read.error) if isinstance(read, Withheld) else None
        customer = {"_id": read.customer} if isinstance(read, Withheld) else read
        row = self.projection.project(customer)
        source = encode_source(row)
        id_, antavos = self._contact_id(row), str(customer["_id"])
        # A customer whose contact id cannot be read, or is another's, is rejected by map under Antavo's own id.
        if id_ is None or id_ in self._taken or (self._others and own_id(antavos) in self._others):
            id_ = own_id(antavos)
        self._taken.add(id_)
        if self.choice is not None and self._wanted is not None:
            # A contact that is named by Antavo's id was not told of, or had no id of its own, when it was chosen.
            contact = id_ if id_ in self._wanted else own_id(antavos)
            own = customer["_id"] if self.choice.kind == "customer" else contact
            if own not in self._wanted:
                return None
            self.found.append(own)
        return Staged(id_, source, source_digest(source, self._key), antavos, unread=unread)
