"""From an Antavo event to Ometria's custom event (contract/ometria.md, "Custom event").

A :class:`Recipe` is a workflow made ready for many events: compile it once, ask it for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Literal

import msgspec

from ometria_provider.mapping.catalogue import split_path
from ometria_provider.mapping.customers import Reader, from_loyalty_api, reach_inside, resolve_language
from ometria_provider.mapping.formats import ID_LIMIT, text
from ometria_provider.mapping.model import Mapping, SentRow
from ometria_provider.mapping.records import RECORD_LIMIT, FieldTrace
from ometria_provider.mapping.rules import Condition, compile_where
from ometria_provider.mapping.transforms import Step, make_steps, run_steps
from ometria_provider.mapping.values import Unconvertible
from ometria_provider.workflows.events import Event
from ometria_provider.workflows.fields import workflow_field
from ometria_provider.workflows.model import CUSTOMER, EVENT, IDENTITY, REWARD, Payload, PayloadRow, Workflow
from ometria_provider.workflows.payload import final_step, type_after

CLOCKS = timedelta(minutes=5)
"""An event may lie so far ahead: clocks differ. Escher allows the same (contract/antavo.md, "Traps")."""

_IDENTIFIER = (Step("", lambda value: text(value).strip()),)

Final = Literal["filtered", "expired", "skipped", "rejected"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event is not mailed: the delivery's final state, and a reason that holds field names and no values."""

    state: Final
    reason: str


@dataclass(frozen=True, slots=True)
class CustomEvent:
    """A custom event.

    :param id: stable for workflow and event: Ometria stores a repeated id once.
    :param body: as JSON.
    """

    id: str
    body: bytes


def custom_event_id(workflow: str, event_id: str) -> str:
    """Return the id of the custom event that a workflow, by its name, makes of an event."""
    return hashlib.blake2b(f"{workflow}\0{event_id}".encode(), digest_size=16).hexdigest()


#: What Ometria calls on a contact the two by which a custom event names it (contract/ometria.md, "Custom event").
_OF_CONTACT = {"identity_email": "email", "identity_account_id": "customer_id"}


class Recipe:
    """Makes a workflow's custom events.

    :param contacts: the contact mapping, if there is one: what both send goes through the mapping's transforms, so that
        the custom event names the contact as Ometria knows it.
    """

    def __init__(self, workflow: Workflow, contacts: Mapping | None = None) -> None:
        self.workflow = workflow
        conditions = compile_where(workflow.where, workflow_field)
        self._early = [condition for condition in conditions if _root(condition.loyalty) == EVENT]
        self._late = [condition for condition in conditions if _root(condition.loyalty) != EVENT]
        self._event = [(name, _event_reader(name)) for name in workflow.reads if _root(name) == EVENT]
        self._customer = Reader(workflow.reads_customer, workflow.language)
        self._reward = [(name, split_path(name)[1]) for name in workflow.reads if _root(name) == REWARD]
        sent = {row.remote: row for row in contacts.rows} if contacts else {}
        self._identity = [
            (remote, name, _naming(name, sent.get(_OF_CONTACT[remote])))
            for remote in IDENTITY
            if (name := getattr(workflow.identity, remote))
        ]
        self._rows = [(row, _steps(row, workflow)) for row in workflow.action.payload]

    @property
    def detail_fields(self) -> tuple[str, ...]:
        """What the detail call is asked for, for ``customer.extensions.*``; empty: it is not needed."""
        return self._customer.detail_fields

    def refusal(self, event: Event, *, now: datetime, start: datetime | None = None) -> Refusal | None:
        """Say why an event is not mailed, as far as the event alone tells: no customer has to be asked for then.

        :param start: the first collection that knew the workflow, for ``start: now``.
        """
        return next(self._objections(event, now, self.workflow.starts_at or start), None)

    def _objections(self, event: Event, now: datetime, first: datetime | None) -> Iterator[Refusal]:
        if event.problem or event.timestamp is None:
            yield Refusal("rejected", event.problem or "timestamp is missing")
            return
        if event.timestamp > now + CLOCKS:
            yield Refusal("rejected", "timestamp lies in the future")
        if first is not None and event.timestamp < first:
            yield Refusal("filtered", f"before the workflow's start, {first:%Y-%m-%d %H:%M:%SZ}")
        yield from _unwanted(self._early, self._of_event(event))
        if event.timestamp < now - self.workflow.expires_after:
            yield Refusal("expired", f"older than expires_after, {self.workflow.expires_after}")
        if event.customer_id is None:
            yield Refusal("skipped", "the event names no customer")

    def reward_id(self, event: Event) -> str | None:
        """Return the id of the event's reward; None when the event names none, or the workflow reads none.

        What is no id is not asked for: an answer to that would speak of the address, not of a reward.
        """
        if self.workflow.reward_id is None or not self._reward:
            return None
        try:
            name = str(run_steps(_IDENTIFIER, self._of_event(event).get(self.workflow.reward_id)) or "")
        except Unconvertible:  # a list or an object names nothing
            return None
        is_id = len(name) <= ID_LIMIT and name.isprintable() and "/" not in name and name.strip(". ")
        return name if is_id else None

    def _no_id(self, event: Event) -> str:
        place = self.workflow.reward_id or ""
        is_empty = self._of_event(event).get(place) in (None, "", [])
        return f"the event names no reward: {place} {'is empty' if is_empty else 'holds no id'}"

    def make(
        self, event: Event, customer: dict[str, Any] | None, reward: dict[str, Any] | None
    ) -> CustomEvent | Refusal:
        """Make the custom event of an event that :meth:`refusal` let through.

        :param customer: as one of Antavo's APIs gives it, with details if there are :attr:`detail_fields`; None: Antavo
            does not know it.
        :param reward: as Antavo gives it; None: it does not know it, or none was asked for.
        """
        if customer is None:
            return Refusal("skipped", "Antavo does not know the customer")
        if self._reward and reward is None:
            return Refusal(
                "skipped", "Antavo does not know the reward" if self.reward_id(event) else self._no_id(event)
            )
        values = self._values(event, customer, reward)
        if refusal := next(_unwanted(self._late, values), None):
            return refusal
        try:
            identity = {remote: _convert(remote, steps, values[name]) for remote, name, steps in self._identity}
            properties = {row.remote: _convert(row.remote, steps, _source(row, values)) for row, steps in self._rows}
        except Unconvertible as problem:
            return Refusal("rejected", str(problem))
        return self._encode(event, _filled(identity), _filled(properties))

    def explain(
        self, event: Event, customer: dict[str, Any] | None, reward: dict[str, Any] | None
    ) -> Iterator[FieldTrace]:
        """Follow each value of the identity and the payload to where it is sent, for people to look at."""
        values = self._values(event, customer or {}, reward or {})
        for remote, name, steps in self._identity:
            yield _trace(remote, name, values[name], steps)
        for row, steps in self._rows:
            yield _trace(row.remote, getattr(row, "loyalty", None), _source(row, values), steps)

    def _of_event(self, event: Event) -> dict[str, Any]:
        return {name: read(event) for name, read in self._event}

    def _values(self, event: Event, customer: dict[str, Any], reward: dict[str, Any] | None) -> dict[str, Any]:
        """Return the value of every field that the workflow reads."""
        values = self._of_event(event)
        shaped = customer if "_id" in customer else from_loyalty_api(customer)
        for path, value in zip(self._customer.paths, self._customer.project(shaped), strict=True):
            values[f"{CUSTOMER}.{path}"] = value
        for name, key in self._reward:
            values[name] = resolve_language((reward or {}).get(key), self.workflow.language)
        return values

    def _encode(self, event: Event, identity: dict[str, Any], properties: dict[str, Any]) -> CustomEvent | Refusal:
        if not identity:
            fields = " and ".join(name for _, name, _ in self._identity)
            return Refusal("rejected", f"{self._identity[0][0]}: is empty, as {fields} are: nobody is named")
        made = custom_event_id(self.workflow.name, event.id)
        record = {
            "@type": "custom_event",
            "id": made,
            "event_type": self.workflow.action.event_type,
            "timestamp": event.timestamp.isoformat() if event.timestamp else None,
            **identity,
            "properties": properties,
        }
        body = msgspec.json.encode(record)
        if len(body) > RECORD_LIMIT:
            largest = max(record["properties"], key=lambda remote: len(msgspec.json.encode(properties[remote])))
            return Refusal("rejected", f"{largest}: the record is larger than {RECORD_LIMIT} bytes, most of it here")
        return CustomEvent(made, body)


def _root(name: str) -> str:
    return name.partition(".")[0]


def _event_reader(name: str) -> Callable[[Event], Any]:
    first, *inner = split_path(name)[1:]
    if first == "timestamp":
        return lambda event: event.timestamp.isoformat() if event.timestamp else None
    if first == "properties":
        return lambda event: reach_inside(event.properties, tuple(inner))
    return attrgetter(first)


def _naming(name: str, row: SentRow | None) -> tuple[Step, ...]:
    """Return the steps of a field that names the contact.

    :param row: how the contact mapping fills what it is on the contact.
    """
    is_same = row is not None and name == f"{CUSTOMER}.{row.loyalty}"
    return (*make_steps(row.transform), *_IDENTIFIER) if row is not None and is_same else _IDENTIFIER


def _steps(row: Payload, workflow: Workflow) -> tuple[Step, ...]:
    if not isinstance(row, PayloadRow):
        return (final_step("any", workflow.long_text),)
    kind = type_after(workflow_field(row.loyalty).type, row.transform)
    return (*make_steps(row.transform), final_step(kind, workflow.long_text))


def _source(row: Payload, values: dict[str, Any]) -> Any:
    return values[row.loyalty] if isinstance(row, PayloadRow) else row.value


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _unwanted(conditions: list[Condition], values: dict[str, Any]) -> Iterator[Refusal]:
    for condition in conditions:
        if not condition.test(values[condition.loyalty]):
            yield Refusal("filtered", condition.reason)


def _convert(remote: str, steps: tuple[Step, ...], value: Any) -> Any:
    """Send a value through its steps; what goes wrong names the property."""
    try:
        return run_steps(steps, value)
    except Unconvertible as problem:
        raise Unconvertible(f"{remote}: {problem}") from None


def _trace(remote: str, loyalty: str | None, value: Any, steps: tuple[Step, ...]) -> FieldTrace:
    shown, current = [], value
    try:
        for step in steps:
            current = run_steps((step,), current)
            shown += [(step.label, current)] if step.label else []
    except Unconvertible as problem:
        return FieldTrace(remote, loyalty, value, tuple(shown), None, str(problem))
    return FieldTrace(remote, loyalty, value, tuple(shown), current, None)
