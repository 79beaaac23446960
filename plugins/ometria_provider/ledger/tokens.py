"""Tokens of webhooks that were used: each is good for one event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import WebhookToken
from ometria_provider.ledger.statements import insert, is_one_of


def spend(ledger: Ledger, uses: Sequence[tuple[str, str, int]]) -> set[tuple[str, str]]:
    """Bind tokens to the events that they came with, and return the uses that come too late.

    The same token with the same event is the sender's next try, and passes.

    :param uses: digest of the token, event id, unix seconds until which the token is valid.
    """
    rows = [
        {"digest": digest, "event_id": event_id, "expires_at": datetime.fromtimestamp(expires, UTC)}
        for digest, event_id, expires in uses
    ]
    digests = sorted({digest for digest, _, _ in uses})
    with ledger.write() as connection:
        connection.execute(delete(WebhookToken).where(WebhookToken.expires_at < datetime.now(UTC)))
        # Sorted, so that two writers on PostgreSQL wait for each other instead of locking each other out.
        for row in sorted(rows, key=lambda row: str(row["digest"])):
            connection.execute(insert(ledger, WebhookToken).values(row).on_conflict_do_nothing())
        query = select(WebhookToken.digest, WebhookToken.event_id)
        found = connection.execute(query.where(is_one_of(ledger, WebhookToken.digest, digests)))
        owners = {row.digest: row.event_id for row in found}
    return {(digest, event_id) for digest, event_id, _ in uses if owners.get(digest) != event_id}
