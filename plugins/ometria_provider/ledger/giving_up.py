"""Deliveries that nobody can make any more: skipped, so that nothing waits for ever and no body is kept for nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update

from ometria_provider.ledger.deliveries import IS_UNDONE, SKIPPED
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import EventDelivery
from ometria_provider.ledger.statements import is_one_of

#: Why an event waits whose workflow file is not there, and how it ends when it stays away.
FILE_MISSING = "the workflow file is not there: the event is skipped when nobody has had the file for an hour"
FILE_GONE = "the workflow file is gone, or another connection's"

#: Files reach one machine sooner than another: who kept an event, or tried it, within this time had its workflow's.
GONE_AFTER = timedelta(hours=1)


def without_event(ledger: Ledger, run_id: str, reason: str, *, account: str, events: Sequence[str]) -> int:
    """Skip deliveries of events that cannot be had any more, and return how many.

    :param run_id: Airflow's id of the run.
    """
    return _skip(ledger, run_id, reason, account, is_one_of(ledger, EventDelivery.event_id, events))


def without_file(ledger: Ledger, run_id: str, account: str, workflows_left: Collection[str]) -> int:
    """Skip deliveries whose workflow file is gone, and return how many.

    Those that somebody has kept or tried within :data:`GONE_AFTER` wait, with that for a reason: a file that is new, or
    came back, may be on one machine and not yet on another.

    :param run_id: Airflow's id of the run.
    :param workflows_left: workflows of this Antavo connection that have a file, and all whose file cannot be read.
    """
    without = and_(EventDelivery.account == account, EventDelivery.workflow.not_in(sorted(workflows_left)))
    skipped = _skip(
        ledger, run_id, FILE_GONE, account, without, EventDelivery.updated_at < datetime.now(UTC) - GONE_AFTER
    )
    # What the row says of when it was touched last stays: nobody has worked on it.
    unsaid: list[Any] = [IS_UNDONE, without, func.coalesce(EventDelivery.reason, "") != FILE_MISSING]
    if _is_any(ledger, unsaid):
        with ledger.write() as connection:
            connection.execute(update(EventDelivery).where(*unsaid).values(reason=FILE_MISSING))
    return skipped


def _skip(ledger: Ledger, run_id: str, reason: str, account: str, *which: ColumnElement[bool]) -> int:
    undone: list[Any] = [IS_UNDONE, EventDelivery.account == account, *which]
    if not _is_any(ledger, undone):
        return 0
    values = {"state": SKIPPED, "reason": reason, "run_id": run_id, "updated_at": datetime.now(UTC)}
    with ledger.write() as connection:
        return int(connection.execute(update(EventDelivery).where(*undone).values(values)).rowcount)


def _is_any(ledger: Ledger, which: Sequence[Any]) -> bool:
    """Say whether there are such deliveries: a look costs less than the ledger's one write lock."""
    with ledger.read() as connection:
        return connection.execute(select(EventDelivery.id).where(*which).limit(1)).first() is not None


def accounts_waiting(ledger: Ledger) -> list[str]:
    """Return the Antavo connections that have events to be delivered."""
    with ledger.read() as connection:
        return sorted(connection.execute(select(EventDelivery.account).where(IS_UNDONE).distinct()).scalars())
