"""Consent on its way through a run: what map decides of a chunk, and what push makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from ometria_provider.delivery.batches import Outgoing
from ometria_provider.delivery.consent import Facts, alone, decide, may_opt_in, opts_out, splice
from ometria_provider.delivery.digests import digest
from ometria_provider.ledger import findings, run_steps
from ometria_provider.mapping.records import Rejected
from ometria_provider.operators.base import Work
from ometria_provider.operators.reasons import ByReason
from ometria_provider.operators.unsubscribes import Matcher, Person

if TYPE_CHECKING:
    from ometria_provider.ledger.contacts import Known
    from ometria_provider.mapping.records import Mapped

NOT_SENT = "opts out, but the opt-out could not be sent: the identity is at fault"


@dataclass
class Consented:
    """What goes of the consent of a chunk's members; all lists in their order.

    :param groups: consent groups as mapped.
    :param consents: what is sent of them.
    :param held: why an opt-in is held back.
    :param alone: of rejected members who opt out, the identity that carries the opt-out.
    """

    groups: Sequence[bytes | None]
    consents: list[bytes | None]
    held: list[str | None]
    alone: list[bytes | None]

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return the columns that hold anything."""
        found = {"group": self.groups, "consent": self.consents, "held": self.held, "alone": self.alone}
        return {name: values for name, values in found.items() if any(values)}


@dataclass
class ConsentMapper:
    """Decides what is sent of the consent of chunk after chunk, and counts."""

    work: Work
    held_back: ByReason = field(default_factory=ByReason)

    @cached_property
    def _unsure(self) -> bool:
        """Not all unsubscribes in Ometria are known."""
        steps = run_steps.steps(self.work.ledger, self.work.run.id)
        return not next((step.facts.get("unsubscribes_known") for step in steps if step.step == "plan"), False)

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self.work.ledger, self.work.account, self.work.collection)

    def decide(
        self, mapped: Mapped, ids: Sequence[str], statuses: Sequence[Any], before: Sequence[Known | None]
    ) -> Consented:
        """Decide for every member whose group is not the one last acknowledged."""
        groups = mapped.consents or [None] * len(ids)
        made = Consented(groups, [None] * len(ids), [None] * len(ids), [None] * len(ids))
        if mapped.consents is None:
            return made
        rows = [row for row, group in enumerate(groups) if group and not _is_known(group, before[row])]
        asking = [row for row in rows if may_opt_in(groups[row] or b"")]
        emails, customers = (mapped.people.get(name, [None] * len(ids)) for name in ("email", "customer_id"))
        people = [Person(ids[row], emails[row], customers[row]) for row in asking]
        unsubscribed = dict(zip(asking, self._matcher.match(people), strict=True))
        for row in rows:
            facts = self._facts(before[row], statuses[row], unsubscribed.get(row))
            made.consents[row], made.held[row] = decide(groups[row] or b"", facts)
        return made

    def _facts(self, old: Known | None, status: Any, unsubscribed: datetime | None) -> Facts:
        facts = Facts(status=status, unsubscribed_at=unsubscribed, unsure=self._unsure)
        return facts if old is None else known_facts(old, facts)

    def leave_alone(self, made: Consented, mapped: Mapped, actions: Sequence[str]) -> list[Rejected]:
        """Let the opt-outs of members who are rejected go alone; return those that cannot."""
        stuck = []
        for row, consent in enumerate(made.consents):
            if consent is None or actions[row] not in ("rejected", "remembered"):
                continue
            part = decide(consent, Facts(rejected=True)).group
            body = mapped.bodies[row]
            identity = mapped.identities.get(row) if body is None else body
            made.consents[row], made.held[row] = part if identity else None, None
            if part is not None and identity is not None:
                made.alone[row] = alone(identity, part)
            elif part is not None and actions[row] == "rejected":
                stuck.append(Rejected(row, findings.OPT_OUT, NOT_SENT))
        return stuck


def _is_known(group: bytes, old: Known | None) -> bool:
    return old is not None and old.consent_digest is not None and digest(group) == old.consent_digest


def known_facts(old: Known, facts: Facts) -> Facts:
    """Add to facts what the ledger knows of a contact."""
    return replace(facts, last=old.consent_digest, opted_out_at=old.opted_out_at, sms_opted_out_at=old.sms_opted_out_at)


def person(record: Outgoing) -> Person:
    """Return whom a record is about."""
    body = msgspec.json.decode(record.body)
    return Person(record.contact_id, body.get("email"), body.get("customer_id"))


def with_consent(record: Outgoing, old: Known | None, unsubscribed: datetime | None = None) -> Outgoing:
    """Put a record's consent group into its body, as far as it may go by what is known now.

    A later opt-out may have overtaken what map decided, when its push waited, was killed or cleared.
    """
    facts = Facts(unsubscribed_at=unsubscribed)
    facts = facts if old is None else known_facts(old, facts)
    group, held = decide(record.consent, facts) if record.consent else (None, None)
    return record._replace(body=splice(record.body, group), consent=group, held=held or record.held)


def opt_out_of(record: Outgoing, without: Sequence[str] = ()) -> Outgoing | None:
    """Return the identity and opt-out of a record that is not sent itself; None when it does not opt out."""
    if record.consent is None or not any(opts_out(record.consent)) or "id" in without:
        return None
    part = decide(record.consent, Facts(rejected=True)).group
    return None if part is None else record._replace(body=alone(record.body, part, without), consent=part, held=None)
