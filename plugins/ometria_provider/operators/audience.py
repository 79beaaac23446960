"""Who may be mailed: where the members whom events name stand with the contact mapping and with Ometria."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ometria_provider.delivery.consent import Facts, opted_out
from ometria_provider.ledger import contacts
from ometria_provider.ledger.contacts import Known
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import map_customers
from ometria_provider.operators.consent import known_facts
from ometria_provider.operators.unsubscribes import Matcher, Person


@dataclass(frozen=True)
class Standing:
    """Where one member stands.

    :param contact_id: None when the mapping makes no usable one.
    :param opted_out: why no marketing goes to it; None: nothing speaks against it.
    :param departed: why it is no member any more.
    :param outside: the rule of the mapping's `where` that leaves it out.
    :param refused: why its record was rejected last.
    :param delivered: Ometria has its record, as far as the ledger knows.
    :param exists: Ometria has the contact, if only from earlier times.
    """

    contact_id: str | None
    opted_out: str | None
    departed: str | None
    outside: str | None
    refused: str | None
    delivered: bool
    exists: bool

    @property
    def no_marketing(self) -> str | None:
        """Return why no campaign starts unless it is transactional."""
        return self.opted_out or self.departed or self.outside

    @property
    def is_member(self) -> bool:
        """Say whether it belongs on the mapping's list."""
        return self.departed is None and self.outside is None


@dataclass(frozen=True)
class Audience:
    """The members of one mapping."""

    ledger: Ledger
    mapping: Mapping

    @property
    def detail_fields(self) -> tuple[str, ...]:
        """Return what a detail call is asked for, if the mapping's `where` reads details."""
        is_needed = any(path.startswith("extensions.") for path in self.mapping.where)
        return Projection(self.mapping).detail_fields if is_needed else ()

    def standings(self, customers: AnyMapping[str, dict[str, Any]]) -> dict[str, Standing]:
        """Return where customers stand, by Antavo's id."""
        mapping, account = self.mapping, self.mapping.connections.ometria
        projection = Projection(mapping)
        rows = [projection.project(customer) for customer in customers.values()]
        mapped = map_customers(mapping, rows, today=datetime.now(UTC).date())
        ids = mapped.contact_ids
        known = contacts.known_contacts(self.ledger, account, mapping.collection, [id_ for id_ in ids if id_])
        emails, numbers = (mapped.people.get(name, [None] * len(ids)) for name in ("email", "customer_id"))
        people = [Person(*each) for each in zip(ids, emails, numbers, strict=True)]
        unsubscribed = Matcher(self.ledger, account, mapping.collection).match(people)
        groups = mapped.consents or [None] * len(ids)
        outside = [
            mapped.reasons[row] if outcome == "filtered" else None for row, outcome in enumerate(mapped.outcomes)
        ]
        found = {}
        for row, customer_id in enumerate(customers):
            old = known.get(ids[row])
            facts = Facts(unsubscribed_at=unsubscribed[row])
            has_left = old is not None and old.state == "departed"
            found[customer_id] = Standing(
                contact_id=ids[row] or None,
                opted_out=opted_out(groups[row], facts if old is None else known_facts(old, facts)),
                departed=f"departed: {old.reason}" if old is not None and has_left else None,
                outside=f"outside the contact mapping's {outside[row]}" if outside[row] else None,
                refused=old.reason if old is not None and old.state == "rejected" else None,
                delivered=old is not None and old.fingerprint is not None,
                exists=old is not None and _exists(old),
            )
        return found


#: States of contacts that are not on the list, which Ometria may have all the same: no call deletes a contact.
_GONE = ("filtered", "departed")


def _exists(old: Known) -> bool:
    return old.fingerprint is not None or (old.push_batch_id is not None and old.state in _GONE)
