"""The inbox of events that start campaigns: each kept once, by webhook or by asking, until it is delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, bindparam, exists, not_, select, text, update

from ometria_provider.ledger import cursors
from ometria_provider.ledger.deliveries import IS_UNDONE, OF_ITS_EVENT, WAITING
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import EventDelivery, InboxEvent
from ometria_provider.ledger.statements import insert, is_one_of

#: Events looked up and written in one transaction.
CHUNK = 5_000

WEBHOOK, ASKED = "webhook", "asked"

#: Name of the cursor that says up to where an account's events were let go (`ledger/prune.py`).
PRUNED = "pruned_events"


class Canonical(Protocol):
    """What the inbox needs of an event (`workflows.events.Event`)."""

    @property
    def id(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def customer_id(self) -> str | None: ...
    @property
    def timestamp(self) -> datetime | None: ...
    def encode(self) -> bytes: ...


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

    @classmethod
    def of(cls, event: Canonical, workflows: tuple[str, ...]) -> Collected:
        """Return an event as the inbox takes it."""
        return cls(event.id, event.action, event.customer_id, event.timestamp, event.encode(), workflows)


class Bodiless(NamedTuple):
    """An event that somebody wants again, of which only this is left.

    :param id: its number here; they ascend.
    """

    id: int
    event_id: str
    occurred_at: datetime | None


class _Here(NamedTuple):
    has_body: bool
    is_undone: bool

    @property
    def is_missed(self) -> bool:
        return self.is_undone and not self.has_body


#: In the words of an index: a database uses it for a query that says exactly this.
_IS_UNDONE = text("event_inbox.done_at IS NULL")

_WANTED = exists().where(OF_ITS_EVENT, IS_UNDONE)


def put(ledger: Ledger, account: str, events: Sequence[Collected], source: str) -> list[bool]:
    """Keep events with what they start, and say of each whether it is new here. When this returns, they are safe.

    One that is here already stays as it is, but for a workflow that was not told of it before, and a body that was let
    go while somebody wants the event delivered again. One from before what was pruned was here, and is not new.

    :param account: the Antavo connection.
    :param source: `WEBHOOK` or `ASKED`.
    """
    new: list[bool] = []
    pruned = cursors.get(ledger, account, "", PRUNED)
    for start in range(0, len(events), CHUNK):
        new += _put(ledger, account, events[start : start + CHUNK], source, pruned)
    return new


def _put(ledger: Ledger, account: str, given: Sequence[Collected], source: str, pruned: datetime | None) -> list[bool]:
    known, told = _known(ledger, account, given)
    events = [event for event in given if event.event_id in known or not _was_here(event, pruned)]
    unknown = {event.event_id: event for event in reversed(events) if event.event_id not in known}
    wanted = dict.fromkeys((e.event_id, w) for e in events for w in e.workflows if (e.event_id, w) not in told)
    gained = {event_id for event_id, _ in wanted}
    missed = {
        event.event_id: event.body
        for event in events
        if event.event_id in known
        # For a workflow that gains it whatever was read here: a run that ends just now may let go of the body.
        if event.event_id in gained or known[event.event_id].is_missed
    }
    if not (unknown or wanted or missed):
        return [False] * len(given)
    # Whoever writes them, in one order: two writers of the same events never wait for each other.
    rows = sorted(unknown.values(), key=_age)
    with ledger.write() as connection:
        added = _insert(ledger, connection, account, rows, source)
        _tell(ledger, connection, account, list(wanted))
        _restore(connection, account, missed)
    return [event.event_id in added and unknown[event.event_id] is event for event in given]


def _was_here(event: Collected, pruned: datetime | None) -> bool:
    return pruned is not None and event.occurred_at is not None and event.occurred_at < pruned


def _age(event: Collected) -> tuple[datetime, str]:
    return event.occurred_at or datetime.max.replace(tzinfo=UTC), event.event_id


def bodiless(ledger: Ledger, account: str, *, limit: int, after: int = 0) -> list[Bodiless]:
    """Return the next events that somebody wants again and whose bodies were let go.

    :param after: the last number of the page before.
    """
    query = (
        select(InboxEvent.id, InboxEvent.event_id, InboxEvent.occurred_at)
        .where(_IS_UNDONE, InboxEvent.account == account, InboxEvent.id > after)
        .where(InboxEvent.body.is_(None), _WANTED)
        .order_by(InboxEvent.id)
        .limit(limit)
    )
    with ledger.read() as connection:
        return [Bodiless._make(row) for row in connection.execute(query)]


def finish(ledger: Ledger, account: str) -> int:
    """Let go of the bodies of events that every workflow is done with; return how many."""
    statement = (
        update(InboxEvent)
        .where(_IS_UNDONE, InboxEvent.account == account, not_(_WANTED))
        .values(body=None, done_at=datetime.now(UTC))
    )
    with ledger.write() as connection:
        return int(connection.execute(statement).rowcount)


def _known(ledger: Ledger, account: str, events: Sequence[Collected]) -> tuple[dict[str, _Here], set[tuple[str, str]]]:
    """Return the events that are here, and which workflows were told of which event."""
    ids = [event.event_id for event in events]
    here = select(InboxEvent.event_id, InboxEvent.body.is_not(None), InboxEvent.done_at.is_(None)).where(
        is_one_of(ledger, InboxEvent.event_id, ids), InboxEvent.account == account
    )
    told = select(EventDelivery.event_id, EventDelivery.workflow).where(
        is_one_of(ledger, EventDelivery.event_id, ids), EventDelivery.account == account
    )
    with ledger.read() as connection:
        known = {id_: _Here(*flags) for id_, *flags in connection.execute(here)}
        return known, {(id_, workflow) for id_, workflow in connection.execute(told)}


def _insert(ledger: Ledger, connection: Connection, account: str, events: Sequence[Collected], source: str) -> set[str]:
    """Insert events, and return the ids of those that nobody else inserted meanwhile."""
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
    if not rows:
        return set()
    statement = insert(ledger, InboxEvent).on_conflict_do_nothing(index_elements=["event_id", "account"])
    return set(connection.execute(statement.returning(InboxEvent.event_id), rows).scalars())


def _tell(ledger: Ledger, connection: Connection, account: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Make events wait for workflows that were not told of them."""
    if not pairs:
        return
    now = datetime.now(UTC)
    common = {"account": account, "state": WAITING, "attempts": 0, "created_at": now, "updated_at": now}
    statement = insert(ledger, EventDelivery).on_conflict_do_nothing(index_elements=["event_id", "account", "workflow"])
    connection.execute(statement, [{**common, "event_id": id_, "workflow": workflow} for id_, workflow in pairs])


def _restore(connection: Connection, account: str, bodies: Mapping[str, bytes]) -> None:
    if not bodies:
        return
    statement = (
        update(InboxEvent)
        .where(InboxEvent.account == account, InboxEvent.event_id == bindparam("of"))
        .values(body=bindparam("content"), done_at=None)
    )
    connection.execute(statement, [{"of": event_id, "content": body} for event_id, body in bodies.items()])
