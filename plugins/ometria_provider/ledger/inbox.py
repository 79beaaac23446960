"""The inbox of events that start campaigns: each kept once, by webhook or by asking, until it is delivered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, exists, not_, select, update

from ometria_provider.ledger.deliveries import UNDONE, WAITING
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import EventDelivery, InboxEvent
from ometria_provider.ledger.statements import insert, is_one_of

#: Events looked up and written in one transaction.
CHUNK = 5_000

WEBHOOK, ASKED = "webhook", "asked"


class Collected(NamedTuple):
    """An event that came from Antavo.

    :param body: the event as JSON.
    :param workflows: the names of those whose trigger it is.
    """

    event_id: str
    action: str
    customer_id: str | None
    occurred_at: datetime | None
    body: bytes
    workflows: tuple[str, ...]


def put(ledger: Ledger, account: str, events: Sequence[Collected], source: str) -> list[bool]:
    """Keep events with what they start, and say of each whether it is new here. When this returns, they are safe.

    One that is here already stays as it is, but for a workflow that was not told of it before, and a body that was let
    go while somebody wants the event delivered again.

    :param account: the Antavo connection.
    :param source: `WEBHOOK` or `ASKED`.
    """
    new: list[bool] = []
    for start in range(0, len(events), CHUNK):
        chunk = events[start : start + CHUNK]
        with ledger.read() as connection:
            known, told = _known(ledger, connection, account, chunk)
        if all(_is_settled(event, known, told) for event in chunk):
            new += [False] * len(chunk)
            continue
        with ledger.write() as connection:
            # Anew: a webhook and a run may bring the same event at once.
            known, told = _known(ledger, connection, account, chunk)
            first = {event.event_id: event for event in reversed(chunk) if event.event_id not in known}
            _insert(ledger, connection, account, first.values(), source)
            now = datetime.now(UTC)
            common = {"account": account, "state": WAITING, "attempts": 0, "created_at": now, "updated_at": now}
            wanted = dict.fromkeys((e.event_id, w) for e in chunk for w in e.workflows if (e.event_id, w) not in told)
            if wanted:
                connection.execute(
                    insert(ledger, EventDelivery), [{**common, "event_id": id_, "workflow": w} for id_, w in wanted]
                )
            gained = {id_ for id_, _ in wanted}
            for event in chunk:
                if event.event_id in known and (event.event_id in gained or not known[event.event_id]):
                    _restore(connection, account, event)
        new += [event.event_id in first and first[event.event_id] is event for event in chunk]
    return new


def finish(ledger: Ledger, account: str) -> int:
    """Let go of the bodies of events that every workflow is done with; return how many."""
    undone = exists().where(
        EventDelivery.account == InboxEvent.account,
        EventDelivery.event_id == InboxEvent.event_id,
        EventDelivery.state.in_(UNDONE),
    )
    statement = (
        update(InboxEvent)
        .where(InboxEvent.account == account, InboxEvent.done_at.is_(None), not_(undone))
        .values(body=None, done_at=datetime.now(UTC))
    )
    with ledger.write() as connection:
        return int(connection.execute(statement).rowcount)


def _known(
    ledger: Ledger, connection: Connection, account: str, events: Sequence[Collected]
) -> tuple[dict[str, bool], set[tuple[str, str]]]:
    """Return of the events that are here whether no body is missed, and which workflows were told of which event."""
    ids = [event.event_id for event in events]
    here = select(InboxEvent.event_id, InboxEvent.body.is_not(None) | InboxEvent.done_at.is_not(None)).where(
        InboxEvent.account == account, is_one_of(ledger, InboxEvent.event_id, ids)
    )
    told = select(EventDelivery.event_id, EventDelivery.workflow).where(
        EventDelivery.account == account, is_one_of(ledger, EventDelivery.event_id, ids)
    )
    known = {id_: bool(complete) for id_, complete in connection.execute(here)}
    return known, {(id_, workflow) for id_, workflow in connection.execute(told)}


def _is_settled(event: Collected, known: dict[str, bool], told: set[tuple[str, str]]) -> bool:
    return known.get(event.event_id, False) and all((event.event_id, name) in told for name in event.workflows)


def _insert(ledger: Ledger, connection: Connection, account: str, events: Iterable[Collected], source: str) -> None:
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {
            "account": account,
            "event_id": event.event_id,
            "action": event.action,
            "customer_id": event.customer_id,
            "occurred_at": event.occurred_at,
            "received_at": now,
            "source": source,
            "body": event.body,
        }
        for event in events
    ]
    if rows:
        connection.execute(insert(ledger, InboxEvent), rows)


def _restore(connection: Connection, account: str, event: Collected) -> None:
    connection.execute(
        update(InboxEvent)
        .where(and_(InboxEvent.account == account, InboxEvent.event_id == event.event_id))
        .values(body=event.body, done_at=None)
    )
