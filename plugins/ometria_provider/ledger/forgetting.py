"""Remove one person from the ledger: contacts, rejections, examples in facts and rules, and what the inbox holds.

An event stays without its customer and its body: were it gone, the next collection would take it for a new one and mail
it. That somebody opted out stays too, as the digest by which unsubscribes are kept, so that nobody is opted in again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from ometria_provider.ledger.deliveries import IS_UNDONE, OF_ITS_EVENT, SKIPPED
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import (
    ContactState,
    EventDelivery,
    InboxEvent,
    Rejection,
    RuleResult,
    SyncRun,
    SyncStep,
    Unsubscribe,
)
from ometria_provider.ledger.statements import insert

#: How a delivery that still waited ends.
FORGOTTEN = "the person was forgotten"


@dataclass(frozen=True)
class Removed:
    """How much of a person was removed.

    :param contacts: rows of `contact_state`.
    :param examples: facts of steps and results of rules that named the id as an example.
    :param events: events of the inbox that lost their customer and body.
    :param opt_outs: opt-outs that stay remembered as digests.
    """

    contacts: int = 0
    rejections: int = 0
    examples: int = 0
    events: int = 0
    opt_outs: int = 0


def runs_at_work(ledger: Ledger) -> list[int]:
    """Return the runs that have not ended: they may hold anybody, and would write down again who was removed."""
    with ledger.read() as connection:
        return list(connection.execute(select(SyncRun.id).where(SyncRun.ended_at.is_(None))).scalars())


def whereabouts(ledger: Ledger, ids: Sequence[str]) -> list[tuple[str, str, str, int | None]]:
    """Return account, collection, contact id and list of each contact with one of these ids."""
    columns = (ContactState.account, ContactState.collection, ContactState.contact_id, ContactState.list_id)
    with ledger.read() as connection:
        rows = connection.execute(select(*columns).where(ContactState.contact_id.in_(ids)))
        return [(account, collection, id_, list_id) for account, collection, id_, list_id in rows]


def forget(ledger: Ledger, ids: Sequence[str], who: Callable[[str, str, str], bytes]) -> Removed:
    """Remove a person, in one transaction.

    :param ids: Antavo's customer id, and all contact ids that may have been made of it.
    :param who: gives the digest of account, kind and name by which an opt-out stays remembered.
    """
    with ledger.write() as connection:
        opt_outs = _remember_opt_outs(ledger, connection, ids, who)
        contacts = connection.execute(delete(ContactState).where(ContactState.contact_id.in_(ids))).rowcount
        rejections = connection.execute(delete(Rejection).where(Rejection.contact_id.in_(ids))).rowcount
        examples = _remove_examples(connection, frozenset(ids))
        return Removed(contacts, rejections, examples, _empty_events(connection, ids), opt_outs)


def _remember_opt_outs(
    ledger: Ledger, connection: Connection, ids: Sequence[str], who: Callable[[str, str, str], bytes]
) -> int:
    """Keep when an opt-out was sent, as an unsubscribe is kept: a digest and a time."""
    columns = (ContactState.account, ContactState.collection, ContactState.contact_id)
    times = (ContactState.opted_out_at, ContactState.sms_opted_out_at)
    out = or_(*(time.is_not(None) for time in times))
    rows = connection.execute(select(*columns, *times).where(ContactState.contact_id.in_(ids), out)).all()
    statement = insert(ledger, Unsubscribe)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["account", "who"], set_={"at": new.at}, where=Unsubscribe.at < new.at
    )
    for account, collection, id_, *at in rows:
        mark = who(account, "contact", f"{collection}/{id_}")
        connection.execute(statement, {"account": account, "who": mark, "at": max(filter(None, at))})
    return len(rows)


def _remove_examples(connection: Connection, ids: frozenset[str]) -> int:
    count = 0
    key = (SyncStep.sync_run_id, SyncStep.step, SyncStep.slice)
    for run, step, slice_, facts in connection.execute(select(*key, SyncStep.facts)).all():
        if (kept := _without(facts, ids)) != facts:
            own = (SyncStep.sync_run_id == run, SyncStep.step == step, SyncStep.slice == slice_)
            connection.execute(update(SyncStep).where(*own).values(facts=kept))
            count += 1
    for number, named in connection.execute(select(RuleResult.id, RuleResult.contact_ids)).all():
        if (kept := _without(named, ids)) != named:
            connection.execute(update(RuleResult).where(RuleResult.id == number).values(contact_ids=kept))
            count += 1
    return count


def _without(value: Any, ids: frozenset[str]) -> Any:
    """Return JSON without these ids, wherever a list holds them."""
    if isinstance(value, dict):
        return {name: _without(inner, ids) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without(each, ids) for each in value if not (isinstance(each, str) and each in ids)]
    return value


def _empty_events(connection: Connection, ids: Sequence[str]) -> int:
    now = datetime.now(UTC)
    theirs = select(InboxEvent.id).where(OF_ITS_EVENT, InboxEvent.customer_id.in_(ids)).exists()
    skipped = {"state": SKIPPED, "reason": FORGOTTEN, "updated_at": now}
    connection.execute(update(EventDelivery).where(IS_UNDONE, theirs).values(skipped))
    emptied = {"customer_id": None, "body": None, "done_at": func.coalesce(InboxEvent.done_at, now)}
    return int(connection.execute(update(InboxEvent).where(InboxEvent.customer_id.in_(ids)).values(emptied)).rowcount)
