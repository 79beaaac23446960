"""Show members' way through a mapping: what a command and a page both tell. Nothing of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from ometria_provider.ledger.engine import Ledger
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.mapping.records import FieldTrace, Mapped


@dataclass(frozen=True)
class Previewed:
    """One member's way through a mapping.

    :param outcome: what a run would do: make a record, leave the member out, or reject it.
    :param reasons: why it is left out or rejected.
    :param record: what would be sent: its consent group as far as it may go, by what the ledger knows.
    :param held: why an opt-in would be held back.
    """

    customer: str
    outcome: Literal["record", "filtered", "rejected"]
    reasons: list[str]
    fields: list[FieldTrace]
    record: dict[str, Any] | None
    held: str | None = None


class Details(Protocol):
    """Where details come from: the hook, or what remembers its answers."""

    def details(self, id: str, fields: Sequence[str]) -> dict[str, Any] | None:
        """Return what only a member's detail call knows; None: Antavo does not know the member any more."""


def ask_details(mapping: Mapping, source: Details, customers: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return members with the details that the mapping reads, if any; without those who vanished meanwhile."""
    from ometria_provider.mapping.customers import Projection, with_details

    fields = Projection(mapping).detail_fields
    if not fields:
        return customers
    answers = [(customer, source.details(str(customer.get("_id")), fields)) for customer in customers]
    return [with_details(customer, answer) for customer, answer in answers if answer is not None]


def preview_members(
    mapping: Mapping, customers: Sequence[dict[str, Any]], *, today: date, ledger: Ledger | None = None
) -> list[Previewed]:
    """Map members as a run does, and follow each value besides.

    :param ledger: says whom we opted out, and who unsubscribed; None: nothing is known of anybody.
    """
    from ometria_provider.mapping.customers import Projection
    from ometria_provider.mapping.records import explain, map_customers

    projection = Projection(mapping)
    projected = [projection.project(customer) for customer in customers]
    mapped = map_customers(mapping, projected, today=today)
    statuses = [values[projection.paths.index("status")] for values in projected]
    held = _settle_consent(mapping, mapped, statuses, ledger)
    reasons = [[reason] if reason else [] for reason in mapped.reasons]
    for refused in mapped.rejections:
        reasons[refused.row].append(f"{refused.field}: {refused.reason}")
    traces = [explain(mapping, customer, today=today) for customer in customers]
    names = [str(customer.get("_id")) for customer in customers]
    rows = zip(names, mapped.outcomes, reasons, traces, mapped.records, held, strict=True)
    return [Previewed(*row) for row in rows]


def _settle_consent(
    mapping: Mapping, mapped: Mapped, statuses: Sequence[Any], ledger: Ledger | None
) -> list[str | None]:
    """Leave of each consent group what would be sent; return why an opt-in would be held back."""
    held: list[str | None] = [None] * len(statuses)
    groups = mapped.consents
    if groups is None:
        return held
    from ometria_provider.delivery.consent import Facts, decide
    from ometria_provider.ledger import contacts
    from ometria_provider.operators.consent import known_facts
    from ometria_provider.operators.unsubscribes import Matcher, Person

    account, ids = mapping.connections.ometria, mapped.contact_ids
    known = contacts.known_contacts(ledger, account, mapping.collection, ids) if ledger else {}
    emails, customers = (mapped.people.get(name, [None] * len(ids)) for name in ("email", "customer_id"))
    people = map(Person._make, zip(ids, emails, customers, strict=True))
    times = Matcher(ledger, account, mapping.collection).match(people) if ledger else [None] * len(ids)
    for row, group in enumerate(groups):
        if group is not None:
            facts = Facts(status=statuses[row], unsubscribed_at=times[row], rejected=mapped.bodies[row] is None)
            old = known.get(ids[row])
            groups[row], held[row] = decide(group, known_facts(old, facts) if old else facts)
    return held
