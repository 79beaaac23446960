"""From events that wait to custom events that may go: lookups, consent, and contacts that Ometria lacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from random import random
from time import monotonic
from typing import Any, TypeVar

import msgspec

from ometria_provider.delivery.campaign import Tally
from ometria_provider.delivery.consent import UNSUBSCRIBED
from ometria_provider.exceptions import Fatal, Misconfigured, Retryable, SyncError
from ometria_provider.ledger import cursors, deliveries
from ometria_provider.ledger.deliveries import REJECTED, SENDING, SKIPPED, WAITING, Settled, Waiting
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.files import load_joining, load_owner
from ometria_provider.mapping.model import Connections
from ometria_provider.operators import unsubscribes
from ometria_provider.operators.accounts import antavo_hook, ometria_hook
from ometria_provider.operators.audience import Audience, Standing
from ometria_provider.operators.event_sender import OutgoingEvent
from ometria_provider.operators.lookups import Lookups
from ometria_provider.operators.newcomers import Newcomers
from ometria_provider.operators.unsubscribes import Matcher, Person
from ometria_provider.settings import Settings
from ometria_provider.workflows.events import Event
from ometria_provider.workflows.model import Workflow
from ometria_provider.workflows.records import CustomEvent, Recipe

#: Deliveries that are made ready together: half a megabyte to a few of them, and about three seconds at the push limit.
PAGE = 2_000

#: Seconds that looking up the profiles of those who unsubscribed may hold campaigns up; contact syncs do the rest.
PATIENCE = 2

#: Seconds for which a run believes what it read of unsubscribes: one with a backlog goes on for long.
UNSUBSCRIBES_AGE = 60.0

#: How often a lookup is tried before its events wait for the next run, and the first pause in seconds.
ATTEMPTS, FIRST_WAIT = 3, 0.2

Value = TypeVar("Value")


@dataclass
class Candidate:
    """An event that may start a campaign.

    :param made: the custom event, once it is made.
    """

    row: Waiting
    recipe: Recipe
    event: Event
    customer: dict[str, Any] = field(default_factory=dict)
    made: CustomEvent | None = None

    @property
    def workflow(self) -> Workflow:
        """The workflow that wants to deliver it."""
        return self.recipe.workflow

    @property
    def customer_id(self) -> str:
        """Antavo's id of the customer; events without one are refused before."""
        return self.event.customer_id or ""


@dataclass
class Preparing:
    """Makes the events ready that one Antavo account has for one Ometria account.

    :param workflows: the workflows of the Antavo account by name, whichever Ometria account they send to.
    :param unreadable: names of workflow files that cannot be read now: their events wait.
    :param only: deliver for this workflow alone.
    :param send_again: an event that goes however old it is: somebody asked for it.
    """

    ledger: Ledger
    settings: Settings
    account: str
    ometria: str
    dag_id: str
    run_id: str
    workflows: dict[str, Workflow]
    tally: Tally
    unreadable: frozenset[str] = frozenset()
    only: str | None = None
    send_again: str | None = None
    _settled: list[Settled] = field(default_factory=list)
    _unsubscribes_until: float = float("-inf")
    _unsubscribes_fault: SyncError | None = None

    def __post_init__(self) -> None:
        own = {name: one for name, one in self.workflows.items() if one.connections.ometria == self.ometria}
        self._recipes = {name: Recipe(workflow) for name, workflow in own.items()}
        self._audiences: dict[str, Audience | SyncError] = {}

    def pages(self) -> Iterator[list[OutgoingEvent]]:
        """Yield what may go, a page of waiting deliveries at a time."""
        after = 0
        while rows := deliveries.waiting(self.ledger, self.account, limit=PAGE, after=after, workflow=self.only):
            after = rows[-1].id
            try:
                yield self._prepare(rows)
            finally:
                self._flush()

    def _flush(self) -> None:
        deliveries.write(self.ledger, self.run_id, settled=self._settled)
        for one in self._settled:
            self.tally.note(one.state, one.reason)
        self._settled = []

    def _end(self, one: Candidate | Waiting, state: str, reason: str) -> None:
        row = one.row if isinstance(one, Candidate) else one
        self._settled.append(Settled(row.id, state, reason))

    def _wait(self, one: Candidate | Waiting, fault: SyncError) -> None:
        """Leave an event for the next run."""
        self.tally.blame(fault)
        self._end(one, WAITING, str(fault))

    def _prepare(self, rows: Sequence[Waiting]) -> list[OutgoingEvent]:
        candidates = self._with_rewards(self._with_customers(list(self._wanted(rows))))
        ready: list[Candidate] = []
        for mapping, own in _grouped(candidates, lambda one: one.workflow.contact_mapping).items():
            ready += self._allowed(own) if mapping is None else self._in_audience(mapping, own)
        self._flush()
        ready.sort(key=lambda one: one.row.id)
        return [OutgoingEvent(one.row.id, one.made.id, one.made.body) for one in ready if one.made]

    # What the event alone tells

    def _wanted(self, rows: Sequence[Waiting]) -> Iterator[Candidate]:
        now = datetime.now(UTC)
        for row in rows:
            recipe = self._recipes.get(row.workflow)
            if recipe is None:
                self._leave(row)
                continue
            event = Event.decode(row.body)
            # What was on its way, or is sent again on purpose, is not too old by now.
            asked = row.event_id == self.send_again or row.state == SENDING
            at = event.timestamp if asked and event.timestamp else now
            refusal = recipe.refusal(event, now=at, start=None if asked else self._starts[row.workflow])
            if refusal is None:
                yield Candidate(row, recipe, event)
            else:
                self._end(row, refusal.state, refusal.reason)

    def _leave(self, row: Waiting) -> None:
        """Skip what no workflow wants any more; leave to others what is theirs."""
        if row.workflow in self.unreadable:
            self._end(row, WAITING, f"The workflow file {row.workflow}.yaml cannot be read.")
        elif row.workflow not in self.workflows:
            self._end(row, SKIPPED, f"the workflow file {row.workflow}.yaml is gone")

    @cached_property
    def _starts(self) -> dict[str, datetime | None]:
        """When each workflow was first seen by a collection, for `start: now`."""
        return {name: cursors.get(self.ledger, self.account, "", f"workflow:{name}") for name in self._recipes}

    # What Antavo tells

    @cached_property
    def _lookups(self) -> Lookups:
        hook = antavo_hook(self.ledger, self.account, urgent=True, attempts=ATTEMPTS, first_wait=FIRST_WAIT)
        fields = [field for recipe in self._recipes.values() for field in recipe.detail_fields]
        names = {name for recipe in self._recipes.values() if (name := recipe.workflow.contact_mapping)}
        audiences = [one for name in names if isinstance(one := self._audience(name), Audience)]
        fields += [field for audience in audiences for field in audience.detail_fields]
        return Lookups(self.ledger, self.account, hook, tuple(dict.fromkeys(fields)))

    def _with_customers(self, candidates: list[Candidate]) -> list[Candidate]:
        if not candidates:
            return []
        found = self._lookups.customers(one.customer_id for one in _untried_first(candidates))
        kept = []
        for one in candidates:
            customer = found[one.customer_id]
            if isinstance(customer, SyncError):
                self._wait(one, customer)
            elif customer is None:
                self._end(one, SKIPPED, "Antavo does not know the customer")
            else:
                one.customer = customer
                kept.append(one)
        return kept

    def _with_rewards(self, candidates: list[Candidate]) -> list[Candidate]:
        """Make the custom events, with the rewards that they name."""
        candidates = _untried_first(candidates)
        ids = [one.recipe.reward_id(one.event) for one in candidates]
        found = self._lookups.rewards(id_ for id_ in ids if id_) if any(ids) else {}
        kept = []
        for one, id_ in zip(candidates, ids, strict=True):
            reward = found[id_] if id_ else None
            if isinstance(reward, SyncError):
                self._wait(one, reward)
                continue
            made = one.recipe.make(one.event, one.customer, reward)
            if isinstance(made, CustomEvent):
                one.made = made
                kept.append(one)
            else:
                self._end(one, made.state, made.reason)
        return kept

    # Who may be mailed

    @property
    def _unsubscribes(self) -> SyncError | None:
        """Return why nobody can tell who unsubscribed in Ometria; None: it is known, as of a minute ago at most."""
        if monotonic() >= self._unsubscribes_until:
            self._unsubscribes_fault = self._read_unsubscribes()
            self._unsubscribes_until = monotonic() + UNSUBSCRIBES_AGE
        return self._unsubscribes_fault

    def _read_unsubscribes(self) -> SyncError | None:
        try:
            hook = ometria_hook(self.ledger, self.ometria, urgent=True, attempts=ATTEMPTS, first_wait=FIRST_WAIT)
            # Whom the profiles speak of may stay unknown for now: e-mail and customer id are known all the same.
            try:
                unsubscribes.catch_up(self.ledger, self.ometria, hook, run_id=0, patience=PATIENCE)
            except Retryable:
                unsubscribes.catch_up(self.ledger, self.ometria, hook, run_id=0, patience=0)
        except Misconfigured as error:
            return Misconfigured(
                f"{error} Without Ometria's unsubscribes nobody can tell who may get marketing: let the key read them. "
                "Events of transactional workflows go all the same."
            )
        except SyncError as error:
            return error
        return None

    def _consenting(self, candidates: list[Candidate], others: object = None) -> list[Candidate]:
        """Leave those out of whom nobody can tell whether they opted out or unsubscribed."""
        if all(one.workflow.transactional for one in candidates):
            return candidates
        fault = others if isinstance(others, SyncError) else self._unsubscribes
        if fault is None:
            return candidates
        for one in candidates:
            if not one.workflow.transactional:
                self._wait(one, fault)
        return [one for one in candidates if one.workflow.transactional]

    def _allowed(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return who may be mailed where no mapping is named: none that joins the accounts says otherwise."""
        candidates = self._consenting(candidates, self._others)
        asked = [one for one in candidates if not one.workflow.transactional]
        customers = {one.customer_id: one.customer for one in asked}
        reasons: dict[str, str] = {}
        for audience in self._others if asked and not isinstance(self._others, SyncError) else ():
            standings = audience.standings(customers)
            reasons |= {id_: standing.opted_out for id_, standing in standings.items() if standing.opted_out}
        return self._without(candidates, reasons | self._unsubscribed(asked))

    def _unsubscribed(self, asked: Sequence[Candidate]) -> dict[str, str]:
        """Return who unsubscribed, by whatever their custom events name them."""
        times = Matcher(self.ledger, self.ometria, "").match(map(_named, asked))
        return {one.customer_id: UNSUBSCRIBED for one, at in zip(asked, times, strict=True) if at}

    @cached_property
    def _others(self) -> list[Audience] | SyncError:
        """The mappings that join the two accounts; an error when one of them is broken, and what it knows unknown."""
        folder = self.settings.mappings_folder
        try:
            found = load_joining(folder, self._connections) if folder.is_dir() else []
        except SyncError as error:
            return error
        return [Audience(self.ledger, one) for one in found]

    @property
    def _connections(self) -> Connections:
        return Connections(antavo=self.account, ometria=self.ometria)

    def _without(self, candidates: list[Candidate], reasons: dict[str, str]) -> list[Candidate]:
        kept = []
        for one in candidates:
            if one.customer_id in reasons and not one.workflow.transactional:
                self._end(one, SKIPPED, reasons[one.customer_id])
            else:
                kept.append(one)
        return kept

    def _audience(self, name: str) -> Audience | SyncError:
        if name not in self._audiences:
            try:
                mapping = load_owner(self.settings.mappings_folder / f"{name}.yaml", self._connections)
                self._audiences[name] = Audience(self.ledger, mapping)
            except SyncError as error:
                self._audiences[name] = error
        return self._audiences[name]

    def _in_audience(self, name: str, candidates: list[Candidate]) -> list[Candidate]:
        """Return who may be mailed, and let the contacts be pushed first that Ometria lacks."""
        audience = self._audience(name)
        if isinstance(audience, SyncError):
            for one in candidates:
                self._wait(one, audience)
            return []
        candidates = self._consenting(candidates)
        standings = audience.standings({one.customer_id: one.customer for one in candidates})
        reasons = {id_: reason for id_, standing in standings.items() if (reason := standing.no_marketing)}
        # An address that the mapping does not know as the contact's: no consent of the contact's is about it.
        known_by = f"customer.{audience.mapping.identity.email}"
        elsewhere = [one for one in candidates if one.workflow.identity.identity_email not in (known_by, None)]
        candidates = self._without(candidates, self._unsubscribed(elsewhere) | reasons)
        lacking = [one for one in candidates if _is_lacking(standings[one.customer_id])]
        if not lacking:
            return candidates
        fault = self._push_contacts(audience, lacking, standings)
        now = audience.standings({one.customer_id: one.customer for one in lacking})
        left = {one.row.id for one in lacking if not self._has_arrived(one, now[one.customer_id], fault)}
        return [one for one in candidates if one.row.id not in left]

    def _push_contacts(
        self, audience: Audience, lacking: list[Candidate], standings: dict[str, Standing]
    ) -> SyncError | None:
        """Push contacts through their mapping; return what kept that from coming to an end."""
        # Without the reading, no new opt-in is sent: that is the push's own rule.
        known = self._unsubscribes is None if audience.mapping.consent_remotes else True
        newcomers = Newcomers(self.ledger, self.settings, audience.mapping, self.dag_id, unsubscribes_known=known)
        ids = dict.fromkeys(one.customer_id for one in lacking)
        self.tally.contacts += len(ids)
        fault: SyncError | None = None
        for listed in (True, False):
            own = [id_ for id_ in ids if standings[id_].is_member is listed]
            try:
                if own:
                    newcomers.push(own, listed=listed)
            except SyncError as error:
                fault = fault if isinstance(fault, Fatal) else error
        return fault

    def _has_arrived(self, one: Candidate, standing: Standing, fault: SyncError | None) -> bool:
        """Say whether a contact was delivered; otherwise reject its event, or let it wait for what is to be mended."""
        if not _is_lacking(standing):
            return True
        if fault is not None:
            self._wait(one, fault)
        else:
            why = standing.refused or "Antavo no longer has the customer"
            self._end(one, REJECTED, f"its contact was not delivered: {why}")
        return False


def _untried_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Put those last that an earlier run left, and mix them.

    What fails every time uses up the patience with the server: who stood behind it is asked for before it next time.
    """
    return sorted(candidates, key=lambda one: random() if one.row.reason is not None else -1.0)  # noqa: S311 (no secret)


def _is_lacking(standing: Standing) -> bool:
    """Say whether Ometria lacks the contact. Of somebody who is no member it keeps what it has."""
    return not (standing.delivered if standing.is_member else standing.exists)


def _named(one: Candidate) -> Person:
    """Return whom a custom event names."""
    record = msgspec.json.decode(one.made.body) if one.made else {}
    return Person(one.customer_id, record.get("identity_email"), record.get("identity_account_id"))


def _grouped(candidates: Iterable[Candidate], key: Callable[[Candidate], Value]) -> dict[Value, list[Candidate]]:
    groups: defaultdict[Value, list[Candidate]] = defaultdict(list)
    for one in candidates:
        groups[key(one)].append(one)
    return groups
