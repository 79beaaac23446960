"""Who may be mailed: consent, unsubscribes, and contacts that Ometria lacks, who are pushed first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any

import msgspec

from ometria_provider.delivery.consent import UNSUBSCRIBED
from ometria_provider.exceptions import Fatal, Misconfigured, Retryable, SyncError
from ometria_provider.ledger.deliveries import REJECTED, SKIPPED
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.files import load_owner
from ometria_provider.mapping.model import Connections
from ometria_provider.operators import rebuilding, unsubscribes
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.audience import Audience, Audiences, Member, Standing
from ometria_provider.operators.candidate import Candidate, Ends
from ometria_provider.operators.event_sender import Look, objections
from ometria_provider.operators.joining import joining
from ometria_provider.operators.newcomers import Newcomers
from ometria_provider.operators.unsubscribes import Matcher, Person
from ometria_provider.settings import Settings

#: Seconds that looking up the profiles of those who unsubscribed may take. Where there are more, no marketing goes
#: before all are known, so that a longer look is a shorter wait.
PATIENCE = 30

#: Seconds for which a run believes what it read of unsubscribes: one with a backlog goes on for long.
UNSUBSCRIBES_AGE = 60.0

#: What becomes of events while nobody knows all opt-outs: a rebuild of the contacts has not ended.
MEANWHILE = "Until then events for its contacts wait."

#: What marketing events wait for while profiles are left over.
UNREAD = (
    "Not all profiles of people who unsubscribed in Ometria could be read yet, so that nobody can tell who may get "
    "marketing: each run, and each contact sync that maps consent, reads on. Events of transactional workflows go all "
    "the same."
)

#: How often Ometria is asked before events wait for the next run, and the first pause in seconds.
ATTEMPTS, FIRST_WAIT = 3, 0.2


@dataclass
class Permission:
    """Tells which events that one Antavo account has for one Ometria account may go."""

    ledger: Ledger
    settings: Settings
    connections: Connections
    dag_id: str
    ends: Ends
    _audiences: dict[str, Audience | SyncError] = field(default_factory=dict)
    _unsubscribes_until: float = float("-inf")
    _unsubscribes_fault: SyncError | None = None

    def allowed(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Return the events whose members may be mailed, and push the contacts first that Ometria lacks.

        The others are ended, or wait for what is to be mended.
        """
        groups: defaultdict[str | None, list[Candidate]] = defaultdict(list)
        for one in candidates:
            groups[one.workflow.contact_mapping].append(one)
        allowed: list[Candidate] = []
        for mapping, own in groups.items():
            allowed += self._without_mapping(own) if mapping is None else self._in_audience(mapping, own)
        return allowed

    def audience(self, name: str) -> Audience | SyncError:
        """Return the members of a mapping; an error when its file cannot be used, or its contacts are being rebuilt."""
        if name not in self._audiences:
            try:
                mapping = load_owner(self.settings.mappings_folder / f"{name}.yaml", self.connections)
                rebuilding.refuse_unfinished(self.ledger, mapping, then=MEANWHILE)
                self._audiences[name] = Audience(self.ledger, mapping)
            except SyncError as error:
                self._audiences[name] = error
        return self._audiences[name]

    # Who unsubscribed in Ometria

    @property
    def _unsubscribes(self) -> SyncError | None:
        """Return why nobody can tell who unsubscribed in Ometria; None: it is known, as of a minute ago at most."""
        if monotonic() >= self._unsubscribes_until:
            self._unsubscribes_fault = self._read_unsubscribes()
            self._unsubscribes_until = monotonic() + UNSUBSCRIBES_AGE
        return self._unsubscribes_fault

    def _read_unsubscribes(self) -> SyncError | None:
        account = self.connections.ometria
        try:
            hook = ometria_hook(self.ledger, account, urgent=True, attempts=ATTEMPTS, first_wait=FIRST_WAIT)
            known = unsubscribes.catch_up(self.ledger, account, hook, run_id=0, patience=PATIENCE)
        except Misconfigured as error:
            return Misconfigured(
                f"{error} Without Ometria's unsubscribes nobody can tell who may get marketing: let the key read them. "
                "Events of transactional workflows go all the same."
            )
        except SyncError as error:
            return error
        return None if known else Retryable(UNREAD)

    def _named_unsubscribed(self, people: Mapping[int, Person]) -> dict[int, str]:
        """Return who unsubscribed, by whatever their custom events name them."""
        times = Matcher(self.ledger, self.connections.ometria, "").match(people.values())
        return {key: UNSUBSCRIBED for key, at in zip(people, times, strict=True) if at}

    # Who opted out

    @cached_property
    def _joining(self) -> list[Audience] | SyncError:
        """The members of all mappings that join the two accounts; an error when nobody can tell who opted out there."""
        try:
            found = joining(self.ledger, self.settings.mappings_folder, self.connections)
            for one in found:
                rebuilding.refuse_unfinished(self.ledger, one, then=MEANWHILE)
        except SyncError as error:
            return error
        return [Audience(self.ledger, one) for one in found]

    def _heeding(
        self, candidates: list[Candidate], looks: dict[int, list[Look]], own: str | None = None
    ) -> list[Candidate]:
        """Skip whom anything speaks against. While nobody can tell all that may, the other marketing events wait.

        Those that go are looked at again before they do.

        :param looks: what marketing events are skipped for, by delivery; what other mappings know is added.
        :param own: the contact mapping that the workflows name. Without one the others say who left the programme, too.
        """
        marketing = [one for one in candidates if one.is_marketing]
        if not marketing:
            return candidates
        joined = self._joining
        fault = joined if isinstance(joined, SyncError) else self._unsubscribes
        known = [] if isinstance(joined, SyncError) else joined
        others = Audiences([audience for audience in known if audience.mapping.name != own])
        members = others.members(_customers(marketing))
        for one in marketing:
            ask = others.opted_out if own else others.no_marketing
            looks[one.row.id].append(Look(ask, members[one.customer_id]))
        reasons = objections(looks)
        kept = []
        for one in candidates:
            if one.row.id in reasons:
                self.ends.end(one, SKIPPED, reasons[one.row.id])
            elif fault is not None and one.is_marketing:
                self.ends.wait(one, fault)
            else:
                one.looks.extend(looks.get(one.row.id, ()))
                kept.append(one)
        return kept

    def _without_mapping(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return who may be mailed where no mapping is named."""
        looks = {one.row.id: [Look(self._named_unsubscribed, _named(one))] for one in candidates if one.is_marketing}
        return self._heeding(candidates, looks)

    def _in_audience(self, name: str, candidates: list[Candidate]) -> list[Candidate]:
        """Return who may be mailed of those whom a mapping knows, with their contacts in Ometria."""
        audience = self.audience(name)
        if isinstance(audience, SyncError):
            for one in candidates:
                self.ends.wait(one, audience)
            return []
        members = audience.members(_customers(candidates))
        looks: dict[int, list[Look]] = {}
        # An address that the mapping does not know as the contact's: no consent of the contact's is about it.
        known_by = [f"customer.{row.loyalty}" for row in audience.mapping.rows if row.remote == "email"]
        for one in candidates:
            if one.is_marketing:
                looks[one.row.id] = [Look(audience.no_marketing, members[one.customer_id])]
                if one.workflow.identity.identity_email not in (*known_by, None):
                    looks[one.row.id].append(Look(self._named_unsubscribed, _named(one)))
        return self._with_contacts(audience, self._heeding(candidates, looks, own=name), members)

    # Contacts that Ometria lacks

    def _with_contacts(
        self, audience: Audience, candidates: list[Candidate], members: Mapping[str, Member]
    ) -> list[Candidate]:
        """Push the contacts that Ometria lacks; return the events whose contacts are there."""
        concerned = {one.customer_id: members[one.customer_id] for one in candidates}
        standings = audience.standings(concerned)
        lacking = {id_: standing for id_, standing in standings.items() if _is_lacking(standing)}
        if not lacking:
            return candidates
        fault = self._push_contacts(audience, lacking)
        now = audience.standings({id_: concerned[id_] for id_ in lacking})
        return [one for one in candidates if one.customer_id not in now or self._has_arrived(one, now, fault)]

    def _push_contacts(self, audience: Audience, lacking: Mapping[str, Standing]) -> SyncError | None:
        """Push contacts through their mapping; return what kept that from coming to an end."""
        # Without the reading, no new opt-in is sent: that is the push's own rule.
        known = self._unsubscribes is None if audience.mapping.consent_remotes else True
        newcomers = Newcomers(self.ledger, self.settings, audience.mapping, self.dag_id, unsubscribes_known=known)
        self.ends.tally.contacts += len(lacking)
        fault: SyncError | None = None
        for listed in (True, False):
            own = [id_ for id_, standing in lacking.items() if standing.is_member is listed]
            try:
                if own:
                    newcomers.push(own, listed=listed)
            except SyncError as error:
                fault = fault if isinstance(fault, Fatal) else error
        return fault

    def _has_arrived(self, one: Candidate, standings: Mapping[str, Standing], fault: SyncError | None) -> bool:
        """Say whether a contact was delivered; otherwise reject its event, or let it wait for what is to be mended."""
        standing = standings[one.customer_id]
        if not _is_lacking(standing):
            return True
        if fault is not None:
            self.ends.wait(one, fault)
        else:
            why = standing.refused or "Antavo no longer has the customer"
            self.ends.end(one, REJECTED, f"its contact was not delivered: {why}")
        return False


def _customers(candidates: Iterable[Candidate]) -> dict[str, dict[str, Any]]:
    return {one.customer_id: one.customer for one in candidates}


def _is_lacking(standing: Standing) -> bool:
    """Say whether Ometria lacks the contact. Of somebody who is no member it keeps what it has."""
    return not (standing.delivered if standing.is_member else standing.exists)


def _named(one: Candidate) -> Person:
    """Return whom a custom event names."""
    record = msgspec.json.decode(one.made.body) if one.made else {}
    return Person(one.customer_id, record.get("identity_email"), record.get("identity_account_id"))
