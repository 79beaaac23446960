"""Read the account's events by time, missing none (contract/antavo.md, "Events and rewards").

Events may be backdated, so offsets shift while they are read. As a scan does (`hooks.scan`), each request asks from the
last time seen and drops what it has had already; offsets serve only among events of one time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.scan import instant

#: A row of the list: an object, as far as anybody knows. One that is none must not keep the others back.
Event = Any

#: Events may be backdated: each look goes so far back behind the one before (contract/antavo.md, "Events and rewards").
LOOK_BACK = timedelta(minutes=15)

#: Pages in a row, of one time, that hold nothing but rows without ids.
NAMELESS = 100

#: (from this time on, offset) → the rows, ascending by time, and how many there are if the server says so.
FetchEvents = Callable[[datetime, int], tuple[list[Event], int | None]]


def walk_events(fetch: FetchEvents, since: datetime) -> Iterator[list[Event]]:
    """Yield lists of events: each from a time on, exactly once.

    The end is what `total` says, or a page that brings nothing: the server may cap pages. A row without an id is told
    from another by all that it says.

    :raises Misconfigured: the server ignores the order or the offset, or goes on and on with rows that say nothing.
    """
    offset, had, nameless = 0, set[str](), 0
    while True:
        rows, total = fetch(since, offset)
        times = [at for row in rows if (at := instant(_value(row, "timestamp"))) is not None]
        if times != sorted(times):
            raise Misconfigured("Antavo does not sort events by time, so that some would be missed.")
        new = [row for row in rows if _own(row) not in had]
        had |= set(map(_own, new))
        if new:
            yield new
        if not rows or (total is not None and offset + len(rows) >= total):
            return
        if times and times[-1] > since:
            since, offset, nameless = times[-1], 0, 0
            had = set(map(_own, rows))
        elif nameless > NAMELESS:
            raise Misconfigured(
                f"Antavo gave {NAMELESS} pages of events one after the other without a time that moves on or an id."
            )
        elif new or offset == 0:
            offset += len(rows)
            nameless = 0 if any(event_id(row) for row in new) else nameless + 1
        else:
            raise Misconfigured("Antavo ignores the offset of events, so that some would be missed.")


def _own(row: Event) -> str:
    """Return what tells a row from others."""
    return f"id {id_}" if (id_ := event_id(row)) is not None else json.dumps(row, sort_keys=True)


def event_id(event: Event) -> str | None:
    """Return an event's id: what tells it from one that was read before."""
    value = _value(event, "id")
    return None if value in (None, "") else str(value)


def event_customer(event: Event) -> str | None:
    """Return the id of the customer whom an event is about (`Customer`, or `customer`)."""
    value = _value(_value(event, "Customer") or _value(event, "customer"), "id")
    return None if value in (None, "") else str(value)


def _value(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, dict) else None
