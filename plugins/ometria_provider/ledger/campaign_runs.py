"""What one run made of its events, for its report."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select

from ometria_provider.ledger.deliveries import ACKNOWLEDGED, OF_ITS_EVENT, STATES, UNDONE
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import EventDelivery, InboxEvent


class Outcome(NamedTuple):
    """Events that ended alike.

    :param events: how many.
    :param example: the id of one of them.
    """

    state: str
    reason: str | None
    events: int
    example: str


def outcomes(
    ledger: Ledger, run_ids: Collection[str], workflow: str, *, since: datetime | None = None
) -> list[Outcome]:
    """Return what runs made of a workflow's events: by state, then the most frequent reason first.

    :param run_ids: Airflow's ids of the runs.
    :param since: only what they wrote down from then on.
    """
    count = func.count()
    query = (
        select(EventDelivery.state, EventDelivery.reason, count, func.max(EventDelivery.event_id))
        .where(EventDelivery.run_id.in_(run_ids), EventDelivery.workflow == workflow, *_from(since))
        .group_by(EventDelivery.state, EventDelivery.reason)
        .order_by(count.desc(), EventDelivery.reason)
    )
    with ledger.read() as connection:
        found = [Outcome._make(row) for row in connection.execute(query)]
    return sorted(found, key=lambda outcome: STATES.index(outcome.state))


def _from(since: datetime | None) -> list[ColumnElement[bool]]:
    return [] if since is None else [EventDelivery.updated_at >= since]


def delays(ledger: Ledger, run_ids: Collection[str], workflow: str, *, since: datetime | None = None) -> list[float]:
    """Return how many seconds passed between what happened and its acknowledgement, for each event, ascending.

    That of an event which was tried again later, or sent again on purpose, counts from the same time: the ledger keeps
    no trace of the delivery before.

    :param since: only of those acknowledged from then on.
    """
    query = (
        select(InboxEvent.occurred_at, EventDelivery.acknowledged_at)
        .join(InboxEvent, OF_ITS_EVENT)
        .where(EventDelivery.run_id.in_(run_ids), EventDelivery.workflow == workflow)
        .where(EventDelivery.state == ACKNOWLEDGED, *_from(since))
    )
    with ledger.read() as connection:
        rows: list[tuple[datetime | None, datetime | None]] = [(row[0], row[1]) for row in connection.execute(query)]
    return sorted((to - at).total_seconds() for at, to in rows if at is not None and to is not None)


def runs_since(ledger: Ledger, account: str, workflow: str, since: datetime) -> list[str]:
    """Return Airflow's ids of the runs that wrote down what became of a workflow's events since a time."""
    query = select(EventDelivery.run_id).where(
        EventDelivery.account == account, EventDelivery.workflow == workflow, EventDelivery.updated_at >= since
    )
    with ledger.read() as connection:
        return sorted({run_id for (run_id,) in connection.execute(query.distinct()) if run_id is not None})


class Undone(NamedTuple):
    """A workflow's events that are still to be delivered.

    :param held: those that a run, whichever, could not deliver; they have a reason.
    :param new: those that no run has tried yet.
    """

    held: int
    new: int


def undone(ledger: Ledger, account: str, workflow: str) -> Undone:
    """Return how many of a workflow's events are still to be delivered."""
    query = select(func.count(EventDelivery.reason), func.count()).where(
        EventDelivery.account == account, EventDelivery.workflow == workflow, EventDelivery.state.in_(UNDONE)
    )
    with ledger.read() as connection:
        held, count = connection.execute(query).one()
    return Undone(held, count - held)


def told(ledger: Ledger, account: str, workflow: str) -> int:
    """Return how many events a workflow was ever told of, as far as the ledger goes back."""
    query = select(func.count()).where(EventDelivery.account == account, EventDelivery.workflow == workflow)
    with ledger.read() as connection:
        return int(connection.execute(query).scalar_one())


#: Deliveries by which the latest runs of a workflow are told.
LATEST = 2_000


class Past(NamedTuple):
    """One run, and how many of a workflow's events it left in which state.

    :param at: when it last wrote one of them down.
    """

    account: str
    run_id: str
    at: datetime
    states: dict[str, int]


def latest_runs(ledger: Ledger, workflow: str, limit: int = 20) -> list[Past]:
    """Return the last runs that wrote down what became of a workflow's latest events, the newest first."""
    columns = (EventDelivery.account, EventDelivery.run_id, EventDelivery.state, EventDelivery.updated_at)
    query = (
        select(*columns)
        .where(EventDelivery.workflow == workflow, EventDelivery.run_id.is_not(None))
        .order_by(EventDelivery.id.desc())
        .limit(LATEST)
    )
    found: dict[tuple[str, str], Past] = {}
    with ledger.read() as connection:
        for account, run_id, state, at in connection.execute(query):
            run = (account, str(run_id))
            past = found.get(run, Past(*run, at, {}))
            past.states[state] = past.states.get(state, 0) + 1
            found[run] = past._replace(at=max(past.at, at))
    return sorted(found.values(), key=lambda past: past.at, reverse=True)[:limit]


def workflows_of(ledger: Ledger, run_id: str) -> list[tuple[str, str]]:
    """Return account and workflow of the events of which a run wrote down what became of them.

    Of several accounts: their DAGs run at the same minutes, and Airflow names scheduled runs after these.
    """
    query = select(EventDelivery.account, EventDelivery.workflow).where(EventDelivery.run_id == run_id).distinct()
    with ledger.read() as connection:
        return sorted((account, workflow) for account, workflow in connection.execute(query))
