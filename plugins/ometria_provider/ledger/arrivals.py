"""What of the inbox a trigger watches."""

from __future__ import annotations

from sqlalchemy import func, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import WEBHOOK
from ometria_provider.ledger.models import InboxEvent


def look(ledger: Ledger, account: str, after: int) -> tuple[int | None, int]:
    """Return the newest event of a webhook that waits, by its number, and the newest number of all.

    Events that were asked for do not count: the run that asked delivers them.

    :param after: look at later ones only; each look costs as much as there are of those.
    """
    newest = select(func.max(InboxEvent.id)).where(
        InboxEvent.account == account,
        InboxEvent.id > after,
        InboxEvent.done_at.is_(None),
        InboxEvent.source == WEBHOOK,
    )
    last = select(func.max(InboxEvent.id))
    with ledger.read() as connection:
        found = connection.execute(select(newest.scalar_subquery(), last.scalar_subquery())).one()
    return found[0], found[1] or 0
