"""From events that wait to custom events that may go, a page at a time: what the event tells, and what Antavo tells.

Who may be mailed is another matter (`operators/permission.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from random import random

from ometria_provider.delivery.campaign import Tally
from ometria_provider.exceptions import LookupRefused, SyncError
from ometria_provider.ledger import cursors, deliveries
from ometria_provider.ledger.deliveries import REJECTED, SENDING, SKIPPED, WAITING, Waiting
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.rebuilding import RESTORED
from ometria_provider.mapping.model import Connections, Mapping
from ometria_provider.operators import starts
from ometria_provider.operators.accounts import antavo_hook
from ometria_provider.operators.audience import Audience
from ometria_provider.operators.candidate import Candidate, Ends
from ometria_provider.operators.event_sender import OutgoingEvent
from ometria_provider.operators.lookups import Lookups
from ometria_provider.operators.permission import Permission
from ometria_provider.settings import Settings
from ometria_provider.workflows.events import Event
from ometria_provider.workflows.model import Workflow
from ometria_provider.workflows.records import CustomEvent, Recipe

#: Deliveries that are made ready together: half a megabyte to a few of them, and about three seconds at the push limit.
PAGE = 2_000

#: How often a lookup is tried before its events wait for the next run, and the first pause in seconds.
ATTEMPTS, FIRST_WAIT = 3, 0.2

#: Why an event is not mailed that happened while another ledger was at work.
MAYBE_MAILED = "may have been mailed already: it happened before the ledger was restored"


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

    def __post_init__(self) -> None:
        self._ends = Ends(self.ledger, self.run_id, self.tally)
        connections = Connections(antavo=self.account, ometria=self.ometria)
        self._permission = Permission(self.ledger, self.settings, connections, self.dag_id, self._ends)

    @cached_property
    def _recipes(self) -> dict[str, Recipe]:
        own = {name: one for name, one in self.workflows.items() if one.connections.ometria == self.ometria}
        return {name: Recipe(workflow, self._contacts(workflow)) for name, workflow in own.items()}

    def _contacts(self, workflow: Workflow) -> Mapping | None:
        audience = self._permission.audience(workflow.contact_mapping) if workflow.contact_mapping else None
        return audience.mapping if isinstance(audience, Audience) else None  # else its events wait, or nobody pushes

    def pages(self) -> Iterator[list[OutgoingEvent]]:
        """Yield what may go, a page of waiting deliveries at a time."""
        after = 0
        while rows := deliveries.waiting(self.ledger, self.account, limit=PAGE, after=after, workflow=self.only):
            after = rows[-1].id
            try:
                yield self._prepare(rows)
            finally:
                self._ends.write()

    def _prepare(self, rows: Sequence[Waiting]) -> list[OutgoingEvent]:
        candidates = self._with_rewards(self._with_customers(list(self._wanted(rows))))
        ready = sorted(self._permission.allowed(candidates), key=lambda one: one.row.id)
        self._ends.write()
        return [event for one in ready if (event := one.outgoing())]

    # What the event alone tells

    def _wanted(self, rows: Sequence[Waiting]) -> Iterator[Candidate]:
        now = datetime.now(UTC)
        former = frozenset[str]().union(*self._former.values())
        sent_by = deliveries.acknowledged_by(self.ledger, self.account, former, [row.event_id for row in rows])
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
            if refusal is not None:
                self._ends.end(row, refusal.state, refusal.reason)
            elif not asked and self._restored and event.timestamp and event.timestamp < self._restored:
                self._ends.end(row, SKIPPED, f"{MAYBE_MAILED}, {self._restored:%Y-%m-%d %H:%M:%SZ}")
            elif not asked and (former := self._former[row.workflow] & sent_by[row.event_id]):
                self._ends.end(row, SKIPPED, f"sent under the workflow's former name already, {min(former)}")
            else:
                yield Candidate(row, recipe, event)

    def _leave(self, row: Waiting) -> None:
        """Leave an event waiting whose workflow is another account's, broken, or gone (`operators/collect.py`)."""
        if row.workflow in self.unreadable:
            self._ends.end(row, WAITING, f"The workflow file {row.workflow}.yaml cannot be read.")

    @cached_property
    def _marks(self) -> dict[str, datetime]:
        return cursors.all_of(self.ledger, self.account, "")

    @property
    def _restored(self) -> datetime | None:
        """Up to when another ledger was at work: what it mailed this one may not know."""
        return self._marks.get(RESTORED)

    @cached_property
    def _starts(self) -> dict[str, datetime | None]:
        """When each workflow was first seen by a collection, for `start: now`."""
        return {name: starts.started_at(recipe.workflow, self._marks) for name, recipe in self._recipes.items()}

    @cached_property
    def _former(self) -> dict[str, frozenset[str]]:
        """The names that each workflow's file had before."""
        files = {*self.workflows, *self.unreadable}
        return {
            name: starts.former_names(recipe.workflow, files, self._marks) for name, recipe in self._recipes.items()
        }

    # What Antavo tells

    @cached_property
    def _lookups(self) -> Lookups:
        hook = antavo_hook(self.ledger, self.account, urgent=True, attempts=ATTEMPTS, first_wait=FIRST_WAIT)
        fields = [field for recipe in self._recipes.values() for field in recipe.detail_fields]
        names = {name for recipe in self._recipes.values() if (name := recipe.workflow.contact_mapping)}
        audiences = [one for name in names if isinstance(one := self._permission.audience(name), Audience)]
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
                self._unanswered(one, customer, "customer")
            elif customer is None:
                self._ends.end(one, SKIPPED, "Antavo does not know the customer")
            else:
                one.customer = customer
                kept.append(one)
        return kept

    def _unanswered(self, one: Candidate, fault: SyncError, what: str) -> None:
        if isinstance(fault, LookupRefused):
            self._ends.end(one, REJECTED, f"Antavo refuses to give the {what}: {fault.reason}")
        else:
            self._ends.wait(one, fault)

    def _with_rewards(self, candidates: list[Candidate]) -> list[Candidate]:
        """Make the custom events, with the rewards that they name."""
        candidates = _untried_first(candidates)
        ids = [one.recipe.reward_id(one.event) for one in candidates]
        found = self._lookups.rewards(id_ for id_ in ids if id_) if any(ids) else {}
        kept = []
        for one, id_ in zip(candidates, ids, strict=True):
            reward = found[id_] if id_ else None
            if isinstance(reward, SyncError):
                self._unanswered(one, reward, "reward")
                continue
            made = one.recipe.make(one.event, one.customer, reward)
            if isinstance(made, CustomEvent):
                one.made = made
                kept.append(one)
            else:
                self._ends.end(one, made.state, made.reason)
        return kept


def _untried_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Put those last that an earlier run left, and mix them.

    What fails every time uses up the patience with the server: who stood behind it is asked for before it next time.
    """
    return sorted(candidates, key=lambda one: random() if one.row.reason is not None else -1.0)  # noqa: S311 (no secret)
