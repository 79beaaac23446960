"""Write into the ledger what Ometria was found to hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import case, func, or_, select, update

from ometria_provider.ledger.contacts import LOOK_AGAIN, change
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ContactState, EventDelivery, SyncRun
from ometria_provider.ledger.statements import insert

#: Name of the ledger's cursor that stands as long as a mapping's contacts are to be rebuilt, or a rebuild is at work.
CURSOR = "rebuild"

#: Name of an Antavo account's cursor: events before it may have been mailed without a word of it in the ledger.
RESTORED = "restored"

#: Why a run is red that a backup holds as one at work.
CUT_OFF = "The ledger was restored from a backup that was made while the run was at work."

#: Why a contact that no complete scan read is none of ours.
STRANGER = "in Ometria when the ledger was rebuilt, and not in Antavo: left as it is there"


class HeldRow(NamedTuple):
    """One contact as Ometria holds it.

    :param opted_out_at: when it was found opted out of marketing; None: it was not.
    """

    contact_id: str
    fingerprint: bytes | None
    filled: bytes
    consent_digest: bytes | None
    opted_out_at: datetime | None
    sms_opted_out_at: datetime | None


def open_runs(ledger: Ledger, mapping: str, account: str, collection: str) -> list[int]:
    """Return the runs that have not ended and write what a rebuild writes."""
    own = or_(SyncRun.mapping == mapping, (SyncRun.account == account) & (SyncRun.collection == collection))
    with ledger.read() as connection:
        return list(connection.execute(select(SyncRun.id).where(own, SyncRun.ended_at.is_(None))).scalars())


def end_what_was_at_work(ledger: Ledger) -> int:
    """End the runs, and the deliveries on their way, that a backup holds as at work; return how many runs.

    Whether such an event arrived nobody knows: it waits, to be judged by its time.
    """
    ended = {"state": "failed", "reason": CUT_OFF, "ended_at": datetime.now(UTC)}
    with ledger.write() as connection:
        connection.execute(update(EventDelivery).where(EventDelivery.state == "sending").values(state="waiting"))
        runs = list(connection.execute(select(SyncRun.id).where(SyncRun.ended_at.is_(None))).scalars())
        connection.execute(update(SyncRun).where(SyncRun.ended_at.is_(None)).values(**ended))
    return len(runs)


def keep_held(
    ledger: Ledger, account: str, collection: str, rows: Sequence[HeldRow], *, list_id: int, at: datetime
) -> None:
    """Write what Ometria holds of contacts.

    Of a contact that the ledger did not know nobody has seen the customer yet, so that it cannot depart. One that it
    knew is ours, and is looked at anew. Whoever departed stays departed: a returner is sent anew, whole, and put on the
    list. What the ledger knows of opt-outs is never taken back.
    """
    common = {"account": account, "collection": collection, "state": "accepted", "list_id": list_id}
    common |= {"snapshot_at": at, "changed_at": at, "sync_run_id": 0}
    statement = insert(ledger, ContactState)
    new, own = statement.excluded, ContactState
    anew: dict[str, Any] = {name: new[name] for name in ("fingerprint", "filled", "consent_digest", "snapshot_at")}
    anew |= {"state": new.state, "changed_at": new.changed_at, "list_id": func.coalesce(own.list_id, new.list_id)}
    anew |= dict.fromkeys(("reason", "held", "suspect", "details_at"))
    anew["source_digest"] = case((own.source_digest.is_(None), None), else_=LOOK_AGAIN)
    changes: dict[str, Any] = {
        name: case((own.state == "departed", getattr(own, name)), else_=value) for name, value in anew.items()
    }
    for name in ("opted_out_at", "sms_opted_out_at"):
        changes[name] = func.coalesce(new[name], getattr(own, name))
    statement = statement.on_conflict_do_update(index_elements=["account", "collection", "contact_id"], set_=changes)
    with ledger.write() as connection:
        connection.execute(statement, [{**common, **row._asdict()} for row in rows])


def leave_to_others(ledger: Ledger, account: str, collection: str, ids: Sequence[str]) -> None:
    """Forget that contacts might be ours: a customer who comes with such an id is sent anew. Opt-outs stay known."""
    nothing = dict.fromkeys(("fingerprint", "filled", "consent_digest", "list_id"))
    unread = ContactState.source_digest.is_(None)
    change(ledger, account, collection, ids, unread, state="departed", reason=STRANGER, **nothing)
