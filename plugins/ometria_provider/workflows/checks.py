"""What pydantic cannot know about a workflow file: whether its fields exist, and what Ometria makes of them.

Works on a file's plain data, which may be wrong in any way, so that one look finds everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ometria_provider.mapping.catalogue import FieldProblem, LoyaltyField
from ometria_provider.mapping.issues import (
    MOST_CUSTOM_FIELDS,
    Issue,
    duration_issue,
    field_issues,
    row_issues,
    where_issues,
)
from ometria_provider.mapping.model import Transform
from ometria_provider.mapping.source import Loc
from ometria_provider.mapping.values import Unconvertible, parse_time
from ometria_provider.workflows.fields import workflow_field
from ometria_provider.workflows.model import IDENTITY, LONGEST_EVENT_TYPE, REWARD
from ometria_provider.workflows.payload import LONGEST_TEXT, type_after

_PAYLOAD: Loc = ("action", "payload")
_SHOWN = "templates show it, segments and triggers cannot use it"
_TRANSFORMS = TypeAdapter(tuple[Transform, ...])


def find_issues(data: dict[str, Any]) -> Iterator[Issue]:
    """Find what is wrong in a workflow file's data beyond its form."""
    yield from _trigger(data.get("trigger"))
    yield from where_issues(data.get("where"), workflow_field)
    yield from _identity(data.get("identity"))
    yield from _reward(data)
    if (text := data.get("expires_after")) is not None:
        yield from _expiry(text)
    yield from _start(data.get("start", "now"))
    action = data.get("action")
    if isinstance(action, dict):
        yield from _event_type(action.get("event_type"))
        yield from _payload(action.get("payload"), data.get("long_text"))


def _trigger(trigger: Any) -> Iterator[Issue]:
    event = trigger.get("event") if isinstance(trigger, dict) else None
    if isinstance(event, str) and (event.split() != [event]):
        hint = "look at the member's events in Antavo: `reward`, not `Claiming a reward`"
        yield Issue(("trigger", "event"), f"`{event}` looks like an action's label, not its id", hint, warning=True)


def _identity(identity: Any) -> Iterator[Issue]:
    if not isinstance(identity, dict):
        return
    if all(identity.get(remote, "") is None for remote in IDENTITY):
        message = f"`{IDENTITY[0]}` and `{IDENTITY[1]}` must not both be null"
        yield Issue(("identity", IDENTITY[1]), message, "keep one of them: Ometria knows people by these")
    for remote in IDENTITY:
        if isinstance(name := identity.get(remote), str):
            yield from field_issues(("identity", remote), name, workflow_field)


def _reward(data: dict[str, Any]) -> Iterator[Issue]:
    """Find a reward that is read, while nothing says which one it is."""
    named, loc = data.get("reward_id"), ("reward_id",)
    if isinstance(named, str):
        found = list(field_issues(loc, named, workflow_field))
        yield from found
        if not found and not named.startswith("event."):
            yield Issue(loc, "only the event can name its reward", "write such as `event.properties.reward`")
    elif named is None:
        for place, name in _names(data):
            if str(name).startswith(f"{REWARD}.") and _found(name):
                hint = "say where the event names its reward, such as `reward_id: event.properties.reward`"
                yield Issue(place, f"`{name}` needs `reward_id`", hint, key=place[0] == "where")


def _names(data: dict[str, Any]) -> Iterator[tuple[Loc, Any]]:
    """Yield every field that a file names, with its place."""
    where, identity, action = data.get("where"), data.get("identity"), data.get("action")
    yield from ((("where", name), name) for name in where) if isinstance(where, dict) else ()
    yield from ((("identity", key), name) for key, name in identity.items()) if isinstance(identity, dict) else ()
    rows = action.get("payload") if isinstance(action, dict) else None
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict):
            yield (*_PAYLOAD, index, "loyalty"), row.get("loyalty")


def _expiry(text: Any) -> Iterator[Issue]:
    loc: Loc = ("expires_after",)
    found = list(duration_issue(loc, text, "PT24H or P7D"))
    yield from found
    if not found and not any(digit in text for digit in "123456789"):
        yield Issue(loc, "every event would be expired", "write how old an event may be, such as PT24H")


def _start(start: Any) -> Iterator[Issue]:
    if start == "now":
        return
    try:
        parse_time(start if isinstance(start, str) else "")
    except Unconvertible:
        hint = "write one such as 2026-01-31 or 2026-01-31T09:00:00Z"
        yield Issue(("start",), "`start` is `now`, a date or a time", hint)


def _event_type(event_type: Any) -> Iterator[Issue]:
    if isinstance(event_type, str) and len(event_type) > LONGEST_EVENT_TYPE:
        message = f"the event type has {len(event_type)} characters, and Ometria takes {LONGEST_EVENT_TYPE}"
        yield Issue(("action", "event_type"), message, "let Ometria set up a shorter one: it truncates longer ones")


def _payload(rows: Any, long_text: Any) -> Iterator[Issue]:
    first: dict[str, int] = {}
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if not isinstance(row, dict):
            continue
        loc: Loc = (*_PAYLOAD, index)
        found = list(row_issues(loc, row, workflow_field, "reward.name"))
        yield from found
        if not found:
            yield from _usable(loc, row)
            yield from _constant((*loc, "value"), row.get("value"), long_text)
        yield from _remote((*loc, "remote"), row.get("remote"), first)
        if index == MOST_CUSTOM_FIELDS:
            yield Issue(loc, f"Ometria holds at most {MOST_CUSTOM_FIELDS} properties of an event", "remove rows")


def _remote(loc: Loc, remote: Any, first: dict[str, int]) -> Iterator[Issue]:
    """Find what is wrong with a property's name.

    :param first: the row of each name so far; this one is added.
    """
    if not isinstance(remote, str):
        return
    if not remote.strip() or remote.startswith("@"):
        yield Issue(loc, f"`{remote}` is no property's name", "write one such as `reward_name`")
    elif any(mark.isspace() or not mark.isprintable() for mark in remote):
        hint = f"write `{'_'.join(remote.split())}`: templates say {{{{ event.{'_'.join(remote.split())} }}}}"
        yield Issue(loc, f"`{remote}` holds a space: a property's name has none", hint)
    elif remote in first:
        message = f"the property `{remote}` is filled twice, first in row {first[remote] + 1}"
        yield Issue(loc, message, "remove one of the rows")
    else:
        first[remote] = int(loc[-2])


def _constant(loc: Loc, value: Any, long_text: Any) -> Iterator[Issue]:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        fate = "would never be sent" if long_text == "reject" else "would be cut"
        yield Issue(loc, f"the constant has more than {LONGEST_TEXT} characters: it {fate}", "write a shorter one")


def _usable(loc: Loc, row: dict[str, Any]) -> Iterator[Issue]:
    """Warn of a value that no campaign can start on (contract/ometria.md, "Custom event")."""
    field = _found(row.get("loyalty"))
    try:
        transforms = _TRANSFORMS.validate_python(tuple(row.get("transform") or ()))
    except (ValidationError, TypeError):
        return
    if field is None:
        return
    kind, here, name = type_after(field.type, transforms), (*loc, "loyalty"), row["loyalty"]
    if kind in ("date", "time"):
        hint = "to send it as text, end its transforms with `string`"
        yield Issue(here, f"`{name}` gives a date: {_SHOWN}", hint, warning=True)
    elif kind == "list":
        hint = 'to send one text, add the transform `first` or {join: ", "}'
        yield Issue(here, f"`{name}` gives a list: {_SHOWN}", hint, warning=True)
    elif name == "customer.extensions.expiring_points.history":
        hint = "name one of its members, such as `customer.extensions.expiring_points.history.0.date`"
        yield Issue(here, f"`{name}` gives nested values, which are not sent", hint, warning=True)


def _found(name: Any) -> LoyaltyField | None:
    try:
        return workflow_field(name) if isinstance(name, str) else None
    except FieldProblem:
        return None
