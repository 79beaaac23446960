"""What became of each event for each workflow: the checkpoint of campaigns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, func, select, text, update

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import EventDelivery, InboxEvent
from ometria_provider.ledger.statements import is_one_of

#: To be delivered; on its way. One that was on its way when its task died goes again, under the same id.
WAITING, SENDING = "waiting", "sending"
UNDONE = (WAITING, SENDING)

#: The same in the words of an index: a database uses it for a query that says exactly this.
IS_UNDONE = text("event_delivery.state IN ('waiting', 'sending')")

#: Which event of the inbox a delivery is about.
OF_ITS_EVENT = and_(EventDelivery.event_id == InboxEvent.event_id, EventDelivery.account == InboxEvent.account)

#: How a delivery ends. Each but the first has a reason; the first one when Ometria's answer leaves it in doubt.
ACKNOWLEDGED, FILTERED, EXPIRED, SKIPPED, REJECTED = "acknowledged", "filtered", "expired", "skipped", "rejected"
STATES = (WAITING, SENDING, ACKNOWLEDGED, FILTERED, EXPIRED, SKIPPED, REJECTED)


class Waiting(NamedTuple):
    """An event that one workflow has still to deliver.

    :param id: the delivery's number; they ascend.
    :param reason: why an earlier run left it; None: none tried.
    :param body: the event as JSON.
    """

    id: int
    event_id: str
    workflow: str
    state: str
    attempts: int
    reason: str | None
    customer_id: str | None
    occurred_at: datetime | None
    received_at: datetime
    body: bytes


class Settled(NamedTuple):
    """How a delivery stands now: ended, or `WAITING` still with the reason."""

    id: int
    state: str
    reason: str | None = None


class Departing(NamedTuple):
    """A delivery whose request is about to go."""

    id: int
    custom_event_id: str


def waiting(ledger: Ledger, account: str, *, limit: int, after: int = 0, workflow: str | None = None) -> list[Waiting]:
    """Return the next deliveries that are not done, those first that came first.

    :param account: the Antavo connection.
    :param after: the last number of the page before.
    """
    columns = [getattr(EventDelivery, name) for name in Waiting._fields[:6]]
    columns += [getattr(InboxEvent, name) for name in Waiting._fields[6:]]
    query = (
        select(*columns)
        .join(InboxEvent, OF_ITS_EVENT)
        .where(IS_UNDONE, EventDelivery.account == account, EventDelivery.id > after)
        .where(InboxEvent.body.is_not(None))
        .order_by(EventDelivery.id)
        .limit(limit)
    )
    if workflow is not None:
        query = query.where(EventDelivery.workflow == workflow)
    with ledger.read() as connection:
        return [Waiting._make(row) for row in connection.execute(query)]


def write(ledger: Ledger, run_id: str, *, settled: Sequence[Settled] = (), departing: Sequence[Departing] = ()) -> None:
    """Write down what is about to go and what has come of others, in one transaction.

    A delivery that has ended stays as it is.

    :param run_id: Airflow's id of the run.
    """
    if not settled and not departing:
        return
    now = datetime.now(UTC)
    this = update(EventDelivery).where(EventDelivery.id == bindparam("of"), IS_UNDONE)

    def work(connection: Connection) -> None:
        if settled:
            connection.execute(
                this.values(
                    state=bindparam("to"),
                    reason=bindparam("why"),
                    acknowledged_at=bindparam("at"),
                    run_id=run_id,
                    updated_at=now,
                ),
                [
                    {"of": id_, "to": state, "why": reason, "at": now if state == ACKNOWLEDGED else None}
                    for id_, state, reason in settled
                ],
            )
        if departing:
            connection.execute(
                this.values(
                    state=SENDING,
                    custom_event_id=bindparam("as"),
                    attempts=EventDelivery.attempts + 1,
                    reason=None,
                    run_id=run_id,
                    updated_at=now,
                ),
                [{"of": id_, "as": custom_event_id} for id_, custom_event_id in departing],
            )

    ledger.transact(work)


def last_judged(
    ledger: Ledger, account: str, workflow: str, *, since: datetime, limit: int
) -> list[tuple[str, str | None]]:
    """Return state and reason of a workflow's last events that Ometria acknowledged or that were rejected.

    :param account: the Antavo connection.
    :param since: only those that ended from then on.
    """
    # By its index, the newest of each state, whenever they ended: a workflow of a million old events is as quick.
    columns = (EventDelivery.id, EventDelivery.state, EventDelivery.reason, EventDelivery.updated_at)
    of_it = (EventDelivery.workflow == workflow, EventDelivery.account == account)
    found: list[tuple[int, str, str | None, datetime]] = []
    with ledger.read() as connection:
        for state in (ACKNOWLEDGED, REJECTED):
            query = select(*columns).where(*of_it, EventDelivery.state == state).order_by(EventDelivery.id.desc())
            found += [(row[0], row[1], row[2], row[3]) for row in connection.execute(query.limit(limit))]
    last = sorted(found, reverse=True, key=itemgetter(0))[:limit]
    return [(state, reason) for _, state, reason, ended in last if ended >= since]


def oldest_undone(ledger: Ledger, account: str) -> datetime | None:
    """Return when the oldest event came that is still to be delivered; None: none is."""
    query = select(func.min(InboxEvent.received_at)).join(EventDelivery, OF_ITS_EVENT)
    query = query.where(IS_UNDONE, EventDelivery.account == account, InboxEvent.body.is_not(None))
    with ledger.read() as connection:
        return connection.execute(query).scalar()


def left_waiting(ledger: Ledger, account: str, *, before: datetime) -> tuple[int, datetime] | None:
    """Return how many events that came before a time were tried and are left, and when the oldest came.

    :param account: the Antavo connection.
    """
    query = (
        select(func.count(), func.min(InboxEvent.received_at))
        .join(EventDelivery, OF_ITS_EVENT)
        .where(IS_UNDONE, EventDelivery.account == account, EventDelivery.reason.is_not(None))
        .where(InboxEvent.received_at < before)
    )
    with ledger.read() as connection:
        count, oldest = connection.execute(query).one()
    return (count, oldest) if count else None


def undone(ledger: Ledger, ids: Sequence[int]) -> set[int]:
    """Return which of these deliveries have not ended yet, by their numbers."""
    query = select(EventDelivery.id).where(EventDelivery.id.in_(ids), IS_UNDONE)
    with ledger.read() as connection:
        return set(connection.execute(query).scalars())


def to_send_again(
    ledger: Ledger,
    account: str,
    event_id: str,
    *,
    run_id: str,
    asked_at: datetime | None = None,
    workflow: str | None = None,
) -> list[tuple[str, str]] | None:
    """Return the state that each delivery of an event ended in, by workflow; None when there is no such event.

    :param run_id: Airflow's id of the run that sends it again: what ended in that run already is left out.
    :param asked_at: when that run was asked for: what was acknowledged since then, by whichever run, is left out too.
    :param workflow: only of this one.
    """
    columns = (EventDelivery.workflow, EventDelivery.state, EventDelivery.run_id, EventDelivery.acknowledged_at)
    query = select(*columns).where(EventDelivery.event_id == event_id, EventDelivery.account == account)
    if workflow is not None:
        query = query.where(EventDelivery.workflow == workflow)
    with ledger.read() as connection:
        rows = connection.execute(query.order_by(EventDelivery.workflow)).all()
    if not rows:
        return None
    return [
        (name, state)
        for name, state, ran, at in rows
        if state not in UNDONE and ran != run_id and (at is None or asked_at is None or at < asked_at)
    ]


def reopen(ledger: Ledger, account: str, events: Iterable[tuple[str, str]]) -> int:
    """Let deliveries that have ended wait again, and miss their bodies until the event comes again; return how many.

    :param events: the ids of the events, each with the workflow.
    """
    rows = [{"event": event_id, "flow": workflow} for event_id, workflow in events]
    if not rows:
        return 0
    now = datetime.now(UTC)
    ended = (
        update(EventDelivery)
        .where(
            EventDelivery.account == account,
            EventDelivery.event_id == bindparam("event"),
            EventDelivery.workflow == bindparam("flow"),
            EventDelivery.state.not_in(UNDONE),
        )
        .values(state=WAITING, reason=None, acknowledged_at=None, updated_at=now)
    )
    missed = (
        update(InboxEvent)
        .where(InboxEvent.account == account, InboxEvent.event_id == bindparam("event"))
        .values(done_at=None)
    )
    with ledger.write() as connection:
        count = sum(connection.execute(ended, row).rowcount for row in rows)
        connection.execute(missed, [{"event": row["event"]} for row in rows])
    return int(count)


def acknowledged_since(ledger: Ledger, account: str, workflows: Iterable[str], since: datetime) -> bool:
    """Say whether Ometria acknowledged an event for one of these workflows at or after a time."""
    # By its index: the newest events are the last ones to be acknowledged, but for a few that went again.
    query = (
        select(EventDelivery.acknowledged_at)
        .where(
            EventDelivery.workflow == bindparam("of"),
            EventDelivery.state == ACKNOWLEDGED,
            EventDelivery.account == account,
        )
        .order_by(EventDelivery.id.desc())
        .limit(20)
    )
    with ledger.read() as connection:
        latest = [at for name in workflows for at in connection.execute(query, {"of": name}).scalars()]
    return any(at is not None and at >= since for at in latest)


def acknowledged_by(
    ledger: Ledger, account: str, workflows: Collection[str], events: Sequence[str]
) -> defaultdict[str, frozenset[str]]:
    """Return which of these workflows had which of these events acknowledged: names by event."""
    found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    if not workflows:
        return found
    query = select(EventDelivery.event_id, EventDelivery.workflow).where(
        is_one_of(ledger, EventDelivery.event_id, events),
        EventDelivery.account == account,
        EventDelivery.workflow.in_(sorted(workflows)),
        EventDelivery.state == ACKNOWLEDGED,
    )
    with ledger.read() as connection:
        for event_id, workflow in connection.execute(query):
            found[event_id] |= {workflow}
    return found


def counts(ledger: Ledger, account: str, run_id: str) -> dict[tuple[str, str], int]:
    """Return how many deliveries a run has written last, by workflow and state.

    :param account: the Antavo connection: Airflow's ids of runs are unique only within their DAG.
    """
    query = (
        select(EventDelivery.workflow, EventDelivery.state, func.count())
        .where(EventDelivery.run_id == run_id, EventDelivery.account == account)
        .group_by(EventDelivery.workflow, EventDelivery.state)
    )
    with ledger.read() as connection:
        return {(workflow, state): count for workflow, state, count in connection.execute(query)}
