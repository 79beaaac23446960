"""Who may be mailed: where the members whom events name stand with the contact mapping and with Ometria."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from ometria_provider.delivery.consent import Facts, opted_out
from ometria_provider.ledger import contacts
from ometria_provider.ledger.contacts import Known
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import map_customers
from ometria_provider.operators.consent import known_facts
from ometria_provider.operators.unsubscribes import Matcher, Person

Key = TypeVar("Key")


class Member(NamedTuple):
    """What a mapping makes of one customer, as far as mail to it is concerned.

    :param contact_id: None when the mapping makes no usable one.
    :param consent: the consent group; None: the mapping says nothing of it.
    :param outside: the rule of the mapping's `where` that leaves it out.
    """

    contact_id: str | None
    consent: bytes | None
    outside: str | None
    person: Person


@dataclass(frozen=True)
class Standing:
    """Where one member stands.

    :param opted_out: why no marketing goes to it; None: nothing speaks against it.
    :param departed: why it is no member any more.
    :param outside: the rule of the mapping's `where` that leaves it out.
    :param refused: why its record was rejected last.
    :param delivered: Ometria has its record, as far as the ledger knows.
    :param exists: Ometria has the contact, if only from earlier times.
    :param current: a run met it as a member, and the mapping's `where` says the same today.
    """

    opted_out: str | None
    departed: str | None
    outside: str | None
    refused: str | None
    delivered: bool
    exists: bool
    current: bool

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

    def members(self, customers: AnyMapping[str, dict[str, Any]]) -> dict[str, Member]:
        """Return what the mapping makes of customers, by Antavo's id."""
        projection = Projection(self.mapping)
        rows = [projection.project(customer) for customer in customers.values()]
        mapped = map_customers(self.mapping, rows, today=datetime.now(UTC).date())
        ids = mapped.contact_ids
        emails, numbers = (mapped.people.get(name, [None] * len(ids)) for name in ("email", "customer_id"))
        groups = mapped.consents or [None] * len(ids)
        return {
            customer_id: Member(
                contact_id=ids[row] or None,
                consent=groups[row],
                outside=mapped.reasons[row] if mapped.outcomes[row] == "filtered" else None,
                person=Person(ids[row], emails[row], numbers[row]),
            )
            for row, customer_id in enumerate(customers)
        }

    def standings(self, members: AnyMapping[Key, Member]) -> dict[Key, Standing]:
        """Return where members stand by what the ledger knows now."""
        account, collection = self.mapping.connections.ometria, self.mapping.collection
        ids = list({one.contact_id for one in members.values() if one.contact_id})
        known = contacts.known_contacts(self.ledger, account, collection, ids)
        times = Matcher(self.ledger, account, collection).match(one.person for one in members.values())
        return {
            key: _standing(one, known.get(one.contact_id or ""), unsubscribed_at)
            for (key, one), unsubscribed_at in zip(members.items(), times, strict=True)
        }

    def no_marketing(self, members: AnyMapping[Key, Member]) -> dict[Key, str]:
        """Return why members of its own start no campaign, those who may be mailed left out."""
        return {key: why for key, one in self.standings(members).items() if (why := one.no_marketing)}

    def opted_out(self, members: AnyMapping[Key, Member]) -> dict[Key, str]:
        """Return who opted out, and how it is known, whether or not they are members of its own."""
        return {key: why for key, one in self.standings(members).items() if (why := one.opted_out)}


@dataclass(frozen=True)
class Audiences:
    """The members of several mappings: one customer may be a contact of each."""

    each: Sequence[Audience]

    def members(self, customers: AnyMapping[str, dict[str, Any]]) -> dict[str, list[Member]]:
        """Return what each mapping makes of customers, by Antavo's id."""
        made = [audience.members(customers) for audience in self.each]
        return {id_: [own[id_] for own in made] for id_ in customers}

    def no_marketing(self, members: AnyMapping[Key, Sequence[Member]]) -> dict[Key, str]:
        """Return why customers start no campaign of no mapping's own: one opted out, or left and is a member nowhere.

        Being outside a `where` without having left says nothing: that mapping was never about the customer.
        """
        return {key: why for key, own in self._standings(members).items() if (why := _refusal(own) or _farewell(own))}

    def opted_out(self, members: AnyMapping[Key, Sequence[Member]]) -> dict[Key, str]:
        """Return who opted out through any of the mappings, and how it is known."""
        return {key: why for key, own in self._standings(members).items() if (why := _refusal(own))}

    def _standings(self, members: AnyMapping[Key, Sequence[Member]]) -> dict[Key, list[Standing]]:
        found = [
            audience.standings({key: own[number] for key, own in members.items()})
            for number, audience in enumerate(self.each)
        ]
        return {key: [own[key] for own in found] for key in members}


def _refusal(standings: Sequence[Standing]) -> str | None:
    return next((one.opted_out for one in standings if one.opted_out), None)


def _farewell(standings: Sequence[Standing]) -> str | None:
    if any(one.current for one in standings):
        return None
    return next((one.departed for one in standings if one.departed), None)


def _standing(one: Member, old: Known | None, unsubscribed_at: datetime | None) -> Standing:
    facts = Facts(unsubscribed_at=unsubscribed_at)
    return Standing(
        opted_out=opted_out(one.consent, facts if old is None else known_facts(old, facts)),
        departed=f"departed: {old.reason}" if old is not None and old.state == "departed" else None,
        outside=f"outside the contact mapping's {one.outside}" if one.outside else None,
        refused=old.reason if old is not None and old.state == "rejected" else None,
        delivered=old is not None and old.fingerprint is not None,
        exists=old is not None and _exists(old),
        current=old is not None and old.state not in _GONE and one.outside is None,
    )


#: States of contacts that are not on the list, which Ometria may have all the same: no call deletes a contact.
_GONE = ("filtered", "departed")


def _exists(old: Known) -> bool:
    return old.fingerprint is not None or (old.push_batch_id is not None and old.state in _GONE)
