"""Webhooks whose sender could be told and that were refused all the same: the token had expired, or was used before.

What a forged one says is believed in nothing, not even which event it is about: it leaves no row.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import WebhookRefusal

#: Refusals that are kept: whoever holds an old token cannot fill the ledger.
KEPT = 1_000


class Refusal(NamedTuple):
    """A webhook about an event that was refused.

    :param account: the Antavo connection that it was for.
    """

    account: str
    event_id: str
    reason: str
    refused_at: datetime


def note(ledger: Ledger, refused: Iterable[tuple[str, str, str]]) -> None:
    """Write down that webhooks were refused.

    :param refused: Antavo connection, event id and reason of each.
    """
    now = datetime.now(UTC)
    rows = [Refusal(*one, now)._asdict() for one in refused]
    if not rows:
        return
    with ledger.write() as connection:
        connection.execute(insert(WebhookRefusal), rows)
        newest = select(func.max(WebhookRefusal.id)).scalar_subquery()
        connection.execute(delete(WebhookRefusal).where(WebhookRefusal.id <= newest - KEPT))


def about(ledger: Ledger, event_id: str) -> list[Refusal]:
    """Return the webhooks about an event that were refused, the latest first."""
    columns = [getattr(WebhookRefusal, name) for name in Refusal._fields]
    query = select(*columns).where(WebhookRefusal.event_id == event_id).order_by(WebhookRefusal.id.desc())
    with ledger.read() as connection:
        return [Refusal._make(row) for row in connection.execute(query)]
