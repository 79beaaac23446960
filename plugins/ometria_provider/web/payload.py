"""Read what a webhook carries: one event (contract/antavo.md, "Outbound webhooks")."""

from __future__ import annotations

import msgspec

from ometria_provider.workflows.events import Event, UnreadableEvent, event_view

_SHAPE = 'send {"event": {"id": …, "action": …, "customer": {"id": …}, "timestamp": …, "properties": {…}}}'


class Unreadable(Exception):
    """The body holds no event that can be kept; the text says which field is wrong, and holds no value."""


def read_webhook(body: bytes) -> Event:
    """Read a request's body.

    An event that could never be mailed is not taken, nor one without `properties`: Antavo's own list may hold it whole,
    and the first one that is kept counts.

    :raises Unreadable: saying what is wrong and what to do.
    """
    try:
        content = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Unreadable(f"the body is not JSON; {_SHAPE}") from None
    if not isinstance(content, dict) or "event" not in content:
        raise Unreadable(f"`event` is missing; {_SHAPE}")
    try:
        event = event_view(content["event"])
    except UnreadableEvent as error:
        raise Unreadable(f"{error}; {_SHAPE}") from None
    if event.problem:
        raise Unreadable(f"{event.problem}; {_SHAPE}")
    if event.customer_id is None:
        raise Unreadable(f"`customer.id` of the event is missing; {_SHAPE}")
    if not isinstance(content["event"].get("properties"), (dict, list)):
        raise Unreadable(f"`properties` of the event are missing, or neither object nor list; empty ones do; {_SHAPE}")
    return event
