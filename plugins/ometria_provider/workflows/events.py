"""An Antavo event in one canonical shape, whatever shape it came in (contract/antavo.md, "Events and rewards").

Antavo lists ``Customer`` or ``customer``, and properties as a list of {name, value} or as an object. Whoever collects
events, by asking or by webhook, makes them canonical with :func:`event_view` and keeps :meth:`Event.encode`.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from ometria_provider.mapping.customers import canonical_time
from ometria_provider.mapping.formats import ID_LIMIT
from ometria_provider.mapping.values import Unconvertible, parse_number, parse_time

MOST_PROPERTIES = 1_000
"""An event with more is kept without them and never mailed: none that a person caused has so many."""

LARGEST_EVENT = 256 * 1024
"""Bytes of the largest event that is kept whole."""


ODD = "unreadable"
"""What the ids of events begin with that cannot be told from others; the action of those that have none."""


class UnreadableEvent(ValueError):
    """What came is not an event that could be told from others. The text says why and holds no value."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event.

    :param customer_id: None when the event names no customer.
    :param timestamp: an aware UTC time; None only with a ``problem``.
    :param properties: by name; of several that share a name the last.
    :param problem: why the event can be recorded, but never mailed: a field and a reason, no value.
    """

    id: str
    action: str
    customer_id: str | None = None
    timestamp: datetime | None = None
    points: int | float | None = None
    label: Any = None
    expdate: Any = None
    properties: dict[str, Any] = {}
    problem: str | None = None

    def encode(self) -> bytes:
        """Return the event as JSON, for the inbox."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, body: bytes) -> Event:
        """Return the event that was encoded."""
        return _DECODER.decode(body)


_DECODER = msgspec.json.Decoder(Event)


def event_view(raw: Any) -> Event:
    """Bring an event of Antavo's to the canonical shape.

    An event without a usable time, whose customer's id cannot be used, with more than 1,000 properties, larger than
    256 KB, nested without end or with broken Unicode is kept without its properties, with the ``problem`` that it has.

    :raises UnreadableEvent: when it is no object, or its id or action cannot be used.
    """
    if not isinstance(raw, dict):
        raise UnreadableEvent("the event is not an object")
    event = Event(id=_name(raw.get("id"), "id"), action=_name(raw.get("action"), "action"))
    try:
        event = msgspec.structs.replace(event, customer_id=_customer_id(raw))
    except UnreadableEvent as problem:
        event = msgspec.structs.replace(event, problem=str(problem))
    try:
        event = msgspec.structs.replace(event, timestamp=_time(raw.get("timestamp")))
        if event.problem:
            return event
        whole = msgspec.structs.replace(
            event,
            points=_points(raw.get("points")),
            label=raw.get("label"),
            expdate=canonical_time(raw.get("expdate")),
            properties=_properties(raw.get("properties")),
        )
        if len(whole.encode()) > LARGEST_EVENT:
            raise Unconvertible(f"the event is larger than {LARGEST_EVENT // 1024} KB")
    except UnicodeEncodeError:
        return msgspec.structs.replace(event, problem="the event holds broken Unicode")
    except RecursionError:
        return msgspec.structs.replace(event, problem="the event is nested too deeply")
    except Unconvertible as problem:
        return msgspec.structs.replace(event, problem=str(problem))
    return whole


def odd_event(raw: Any, problem: str) -> Event:
    """Return what is recorded of something that :func:`event_view` cannot read: never mailed, and seen by people.

    Its id is made of its content: whoever reads it again knows it.
    """
    try:
        content = repr(raw).encode("utf-8", "backslashreplace")
    except RecursionError:
        content = b"nested too deeply"
    action = raw.get("action") if isinstance(raw, dict) else None
    try:
        action = _name(action, "action")
    except UnreadableEvent:
        action = ODD
    return Event(id=f"{ODD}-{blake2b(content, digest_size=12).hexdigest()}", action=action, problem=problem)


def _customer_id(raw: dict[str, Any]) -> str | None:
    customer = raw.get("Customer") or raw.get("customer")
    value = customer.get("id") if isinstance(customer, dict) else customer
    return None if value in (None, "") else _name(value, "customer.id")


def _name(value: Any, field: str) -> str:
    """Read an id: text, or a whole number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise UnreadableEvent(f"`{field}` of the event is missing, or no text")
    text = str(value)
    if len(text) > ID_LIMIT:
        raise UnreadableEvent(f"`{field}` of the event is longer than {ID_LIMIT} characters")
    if not text.isprintable():  # half a surrogate pair is not printable either
        raise UnreadableEvent(f"`{field}` of the event holds characters that no id has")
    return text


def _time(value: Any) -> datetime:
    if value in (None, ""):
        raise Unconvertible("timestamp is missing")
    try:
        return parse_time(value)
    except Unconvertible as problem:
        raise Unconvertible(f"timestamp {problem}") from None


def _points(value: Any) -> int | float | None:
    try:
        return None if value is None else parse_number(value)
    except Unconvertible:  # the wrong shape reads as empty, as in customers
        return None


def _properties(value: Any) -> dict[str, Any]:
    """Read properties from a list of {name, value}, or from an object."""
    if isinstance(value, list):
        value = {item["name"]: item.get("value") for item in value if isinstance(item, dict) and _is_name(item)}
    if not isinstance(value, dict):
        return {}
    if len(value) > MOST_PROPERTIES:
        raise Unconvertible(f"the event has more than {MOST_PROPERTIES:,} properties")
    return value


def _is_name(item: dict[str, Any]) -> bool:
    return isinstance(item.get("name"), str)
