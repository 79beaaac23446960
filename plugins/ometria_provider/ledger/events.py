"""What the ledger can tell of events and their deliveries, and which of them can be tried again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select

from ometria_provider.ledger import deliveries
from ometria_provider.ledger.deliveries import EXPIRED, OF_ITS_EVENT, REJECTED, SKIPPED
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import EventDelivery, InboxEvent
from ometria_provider.ledger.statements import is_one_of

#: Ends that somebody can ask to be tried again; what was acknowledged goes again with the param `send_again` alone.
RETRYABLE = (REJECTED, SKIPPED, EXPIRED)

#: Deliveries reopened in one transaction.
CHUNK = 5_000


@dataclass(frozen=True)
class Delivery:
    """One event, and what became of it for one workflow.

    :param account: the Antavo connection.
    :param source: how the event came first: `webhook` or `asked`.
    :param run_id: Airflow's id of the run that wrote this last.
    """

    id: int
    account: str
    event_id: str
    action: str
    customer_id: str | None
    occurred_at: datetime | None
    received_at: datetime
    source: str
    workflow: str
    state: str
    reason: str | None
    attempts: int
    custom_event_id: str | None
    run_id: str | None
    updated_at: datetime
    acknowledged_at: datetime | None


@dataclass(frozen=True)
class Reopened:
    """What a retry came to.

    :param deliveries: how many wait again.
    :param timeless: events that cannot be tried again: they have no time by which Antavo could be asked for them.
    :param accounts: the Antavo connections concerned.
    """

    deliveries: int
    timeless: int
    accounts: tuple[str, ...]


_OF_INBOX = ("action", "customer_id", "occurred_at", "received_at", "source")


def _select() -> Select[Any]:
    columns = [
        getattr(InboxEvent if name in _OF_INBOX else EventDelivery, name) for name in Delivery.__dataclass_fields__
    ]
    return select(*columns).select_from(EventDelivery).join(InboxEvent, OF_ITS_EVENT)


def list_deliveries(
    ledger: Ledger, *, workflow: str | None = None, state: str | None = None, limit: int | None = 20
) -> list[Delivery]:
    """Return the latest deliveries, the newest first."""
    query = _select().order_by(EventDelivery.id.desc()).limit(limit)
    if workflow is not None:
        query = query.where(EventDelivery.workflow == workflow)
    if state is not None:
        query = query.where(EventDelivery.state == state)
    with ledger.read() as connection:
        return [Delivery(*row) for row in connection.execute(query)]


def deliveries_about(ledger: Ledger, id_: str) -> list[Delivery]:
    """Return all deliveries of an event, or of a customer's events, the newest first.

    :param id_: Antavo's id of either.
    """
    events = select(InboxEvent.id).where(or_(InboxEvent.event_id == id_, InboxEvent.customer_id == id_))
    query = _select().where(InboxEvent.id.in_(events)).order_by(EventDelivery.id.desc())
    with ledger.read() as connection:
        return [Delivery(*row) for row in connection.execute(query)]


def retry(
    ledger: Ledger, *, workflow: str | None = None, events: Sequence[str] = (), states: Sequence[str] = RETRYABLE
) -> Reopened:
    """Let deliveries that have ended wait again; the next run asks Antavo for their events.

    :param workflow: only of this one.
    :param events: only of these events; none: of all.
    :param states: only those that ended so.
    """
    count, timeless, accounts = 0, set[tuple[str, str]](), set[str]()
    for page in _ended(ledger, workflow, events, states):
        by_account: dict[str, list[tuple[str, str]]] = {}
        for _, account, event_id, name, occurred_at in page:
            if occurred_at is None:
                timeless.add((account, event_id))
            else:
                by_account.setdefault(account, []).append((event_id, name))
        for account, pairs in by_account.items():
            count += deliveries.reopen(ledger, account, pairs)
        accounts |= by_account.keys()
    return Reopened(count, len(timeless), tuple(sorted(accounts)))


def _ended(
    ledger: Ledger, workflow: str | None, events: Sequence[str], states: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """Yield pages of deliveries that ended so."""
    query = (
        select(
            EventDelivery.id,
            EventDelivery.account,
            EventDelivery.event_id,
            EventDelivery.workflow,
            InboxEvent.occurred_at,
        )
        .join(InboxEvent, OF_ITS_EVENT)
        .where(EventDelivery.state.in_(states))
        .order_by(EventDelivery.id)
        .limit(CHUNK)
    )
    if workflow is not None:
        query = query.where(EventDelivery.workflow == workflow)
    if events:
        query = query.where(is_one_of(ledger, EventDelivery.event_id, events))
    after = 0
    while True:
        with ledger.read() as connection:
            page = connection.execute(query.where(EventDelivery.id > after)).all()
        if not page:
            return
        yield page
        after = page[-1][0]
