"""Explain one customer now: what Antavo holds, what a mapping makes of it, what Ometria holds, and what a run would do.

The command line and the customer's page ask this. It costs a request to Antavo for each of its connections (one more
for details), and one to Ometria for each mapping. Nothing is kept of the answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ometria_provider.delivery.compare import Action, Comparison
from ometria_provider.delivery.digests import digest, encode_source, source_digest, with_details
from ometria_provider.exceptions import SyncError
from ometria_provider.ledger import contacts
from ometria_provider.operators.accounts import antavo_hook, ometria_hook
from ometria_provider.operators.base import Planned
from ometria_provider.operators.error_log import fields_of
from ometria_provider.operators.previewing import Previewed, ask_details, preview_members

if TYPE_CHECKING:
    from ometria_provider.ledger.contacts import Known
    from ometria_provider.ledger.engine import Ledger
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.mapping.records import FieldTrace

#: What the next run does, beside its own actions: Antavo does not know the customer, or nobody could ask.
Fate = Action | Literal["absent", "unknown"]

_WORDS: dict[str, str] = {
    "send": "the next run sends it, if it passes the mapping's rules",
    "unchanged": "unchanged: the next run sends nothing",
    "filtered": "left out on purpose",
    "rejected": "the next run rejects it",
    "remembered": "rejected before, and not tried again yet",
    "held": "in doubt: the next run reads it back",
    "absent": "Antavo does not know it",
    "unknown": "nobody knows: a system could not be asked",
}


@dataclass(frozen=True)
class FieldNow:
    """One row of a mapping for one customer. It holds a member's data: show it, keep it nowhere.

    :param value: what Antavo holds, in canonical shape; None for nothing.
    :param steps: each transform's name and the value after it.
    :param final: what the record says, None for nothing.
    :param held: what Ometria holds.
    :param agrees: whether Ometria holds what the record says; None: there is nothing to compare.
    :param why: in which way it does not, or why there is nothing to compare, unless Ometria lacks it all. No value.
    """

    remote: str
    loyalty: str | None
    value: Any
    steps: tuple[tuple[str, Any], ...]
    final: Any
    held: Any
    agrees: bool | None
    why: str | None = None

    @property
    def way(self) -> list[tuple[str, Any]]:
        """What the value became: by each transform that changed it, and what is sent if that is another again."""
        way: list[tuple[str, Any]] = []
        last = self.value
        for name, after in self.steps:
            if (type(after), after) != (type(last), last):
                way.append((name, after))
                last = after
        if not way or (type(self.final), self.final) != (type(last), last):
            way.append(("", self.final))
        return way

    def without_values(self) -> FieldNow:
        """Return the row for somebody who may not see members' values."""
        return replace(self, value=None, steps=tuple((name, None) for name, _ in self.steps), final=None, held=None)


@dataclass(frozen=True)
class Explained:
    """One customer under one mapping, as things are now.

    :param contact_id: the id of its contact; None when it has no usable one.
    :param in_antavo: Antavo knows the customer; None: it could not be asked.
    :param in_ometria: Ometria has the contact; None: it could not be asked.
    :param fate: what the next run does with it.
    :param reasons: why. Never a value.
    :param problem: what went wrong with asking.
    """

    mapping: str
    customer: str
    collection: str
    contact_id: str | None
    in_antavo: bool | None
    in_ometria: bool | None
    fate: Fate
    reasons: tuple[str, ...] = ()
    fields: tuple[FieldNow, ...] = ()
    problem: str | None = None

    @property
    def differs(self) -> tuple[str, ...]:
        """The remote fields in which Ometria does not hold what the record says."""
        return tuple(row.remote for row in self.fields if row.agrees is False)

    @property
    def words(self) -> str:
        """What the next run does, for people."""
        return _WORDS[self.fate]

    def without_values(self) -> Explained:
        """Return it for somebody who may not see members' values: field names, and whether they agree."""
        return replace(self, fields=tuple(row.without_values() for row in self.fields))


@dataclass
class Explainer:
    """Explains one customer, mapping by mapping; Antavo is asked once for each connection.

    :param options: of the hooks: `attempts`, `first_wait`.
    """

    ledger: Ledger
    customer: str
    suites: Path
    options: dict[str, Any] = field(default_factory=dict)
    _read: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def explain(self, mappings: Iterable[Mapping]) -> list[Explained]:
        """Explain the customer under each of these mappings; a system that does not answer spoils only its own."""
        return [self._safely(mapping) for mapping in mappings]

    def _safely(self, mapping: Mapping) -> Explained:
        try:
            return self.under(mapping)
        except SyncError as error:
            return Explained(
                mapping.name, self.customer, mapping.collection, None, None, None, "unknown", problem=str(error)
            )

    def under(self, mapping: Mapping) -> Explained:
        """Explain the customer under one mapping.

        :raises SyncError: when Antavo or Ometria cannot be asked, or the mapping's rules are broken.
        """
        customer = self._customer(mapping)
        if customer is None:
            return self._absent(mapping)
        (member,) = preview_members(mapping, [customer], today=datetime.now(UTC).date(), ledger=self.ledger)
        contact_id = next((row.final for row in member.fields if row.remote == "id"), None)
        contact = self._contact(mapping, contact_id) if contact_id else None
        known = self._known(mapping, contact_id) if contact_id else None
        fate, reasons = self._fate(mapping, customer, member, known)
        return Explained(
            mapping.name,
            self.customer,
            mapping.collection,
            contact_id,
            in_antavo=True,
            in_ometria=contact is not None,
            fate=fate,
            reasons=tuple(reasons),
            fields=tuple(_field_now(mapping, trace, contact, member.held) for trace in member.fields),
        )

    def _customer(self, mapping: Mapping) -> dict[str, Any] | None:
        name = mapping.connections.antavo
        hook = antavo_hook(self.ledger, name, **self.options)
        if name not in self._read:
            self._read[name] = hook.customer(self.customer)
        found = self._read[name]
        return next(iter(ask_details(mapping, hook, [found])), None) if found else None

    def _contact(self, mapping: Mapping, contact_id: str) -> dict[str, Any] | None:
        hook = ometria_hook(self.ledger, mapping.connections.ometria, **self.options)
        return hook.contact(mapping.collection, contact_id)

    def _known(self, mapping: Mapping, contact_id: str) -> Known | None:
        account = mapping.connections.ometria
        return contacts.known_contacts(self.ledger, account, mapping.collection, [contact_id]).get(contact_id)

    def _absent(self, mapping: Mapping) -> Explained:
        """Explain an id that Antavo does not know: of somebody who left, or a contact id that the mapping made."""
        from ometria_provider.mapping.identity import takes_antavos_id

        reasons = ["Antavo knows no customer with this id: it opted out there, was removed, or never joined."]
        if not takes_antavos_id(mapping):
            reasons.append("This mapping makes contact ids of its own: ask with Antavo's customer id.")
        contact = self._contact(mapping, self.customer)
        rows = tuple(
            FieldNow(row.remote, row.loyalty, None, (), None, _held(mapping, row.remote, contact), None)
            for row in mapping.rows
        )
        there = contact is not None
        return Explained(
            mapping.name,
            self.customer,
            mapping.collection,
            self.customer,
            in_antavo=False,
            in_ometria=there,
            fate="absent",
            reasons=tuple(reasons),
            fields=rows if there else (),
        )

    def _fate(
        self, mapping: Mapping, customer: dict[str, Any], member: Previewed, known: Known | None
    ) -> tuple[Action, list[str]]:
        """Return what the next run does, by the rules that a run goes by, and why."""
        held = [member.held] if member.held else []
        rules = Comparison(run_id=0, retry_rejected=mapping.retry_rejected, now=datetime.now(UTC))
        if member.outcome == "filtered":
            return "filtered", list(member.reasons)
        planned = Planned(mapping, self._suite(mapping))
        source = _source_digest(mapping, customer, planned.key)
        if member.outcome == "rejected":
            return rules.by_refusal(known, source), [*member.reasons, *held]
        fingerprint, consent = _fingerprint(mapping, customer, member)
        action = rules.by_record(known, source, fingerprint, consent=consent)
        return action, [*_reasons(mapping, action, known, fingerprint, consent), *held]

    def _suite(self, mapping: Mapping) -> Any:
        from ometria_provider.validation.suites import load_suites

        return load_suites(self.suites, mapping.name, mapping.remotes)


def _source_digest(mapping: Mapping, customer: dict[str, Any], key: bytes) -> bytes:
    """Return the digest that a run would keep of the customer: the rest first, then the details."""
    from ometria_provider.mapping.customers import DETAILS, Projection

    projection = Projection(mapping)
    bare = {name: value for name, value in customer.items() if name != DETAILS}
    base = source_digest(encode_source(projection.project(bare)), key)
    return with_details(base, projection.details(customer[DETAILS])) if projection.detail_fields else base


def _fingerprint(mapping: Mapping, customer: dict[str, Any], member: Previewed) -> tuple[bytes, bool]:
    """Return the fingerprint of a member's record, and whether something of its consent is to be sent with it."""
    from ometria_provider.mapping.customers import Projection
    from ometria_provider.mapping.records import map_customers

    mapped = map_customers(mapping, [Projection(mapping).project(customer)], today=datetime.now(UTC).date())
    body = mapped.bodies[0] or b""
    return digest(body), bool((member.record or {}).keys() - msgspec.json.decode(body).keys())


def _reasons(mapping: Mapping, action: Action, known: Known | None, fingerprint: bytes, consent: bool) -> list[str]:
    """Say why a record goes, or stays."""
    match action:
        case "unchanged":
            return ["The record is the one that Ometria acknowledged last."]
        case "held":
            return ["Ometria acknowledged it among rejected records: it is read back before it goes again."]
        case "remembered":
            again = "when it or the mapping changes, or somebody retries it"
            if known and mapping.retry_rejected is not None:
                again += f", or after {known.changed_at + mapping.retry_rejected:%Y-%m-%d %H:%M} UTC"
            return [f"Rejected before: {known.reason if known else ''}", f"It is tried again {again}."]
    if known is None or known.fingerprint is None:
        return ["Ometria has acknowledged no record of it yet."]
    if known.fingerprint != fingerprint:
        return ["The record differs from the one that Ometria acknowledged last."]
    return ["Its consent differs from what Ometria acknowledged last."] if consent else []


def _held(mapping: Mapping, remote: str, contact: dict[str, Any] | None) -> Any:
    """Return what Ometria holds in a remote field."""
    from ometria_provider.mapping.layout import path

    value: Any = contact
    for key in path(remote, mapping.mode):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _field_now(
    mapping: Mapping, trace: FieldTrace, contact: dict[str, Any] | None, consent_held: str | None
) -> FieldNow:
    """Compare what the record says in a field with what Ometria holds, as reconcile compares."""
    from ometria_provider.delivery.readback import CONSENT, mismatches
    from ometria_provider.mapping.layout import path

    held = _held(mapping, trace.remote, contact)
    given = (trace.remote, trace.loyalty, trace.value, trace.steps, trace.final, held)
    if trace.problem:
        return FieldNow(*given, None, f"rejected: {trace.problem}")
    if contact is None:
        return FieldNow(*given, None)
    record: Any = trace.final
    for key in reversed(path(trace.remote, mapping.mode)):
        record = {key: record}
    wrong = mismatches(record, contact, fields_of(mapping))
    if not wrong:
        return FieldNow(*given, True)
    if trace.remote in CONSENT:
        return FieldNow(*given, False, consent_held or "consent: other sources and people change it in Ometria")
    if trace.final is None:
        keeps = mapping.on_empty == "keep"
        word = "Antavo has none; `on_empty: keep` leaves it" if keeps else "Antavo has none, and Ometria holds one"
        return FieldNow(*given, False, word)
    return FieldNow(*given, False, wrong[0].problem)
