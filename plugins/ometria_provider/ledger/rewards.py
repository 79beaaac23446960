"""Rewards as Antavo gave them last: a run lasts seconds, and the next one would ask for the same few again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import CachedReward
from ometria_provider.ledger.statements import insert, is_one_of


def read_since(ledger: Ledger, account: str, ids: Sequence[str], since: datetime) -> dict[str, dict[str, Any]]:
    """Return those of these rewards that were read at or after a time.

    :param account: the Antavo connection.
    """
    query = select(CachedReward.reward_id, CachedReward.body).where(
        CachedReward.account == account,
        is_one_of(ledger, CachedReward.reward_id, ids),
        CachedReward.read_at >= since,
    )
    with ledger.read() as connection:
        return {id_: msgspec.json.decode(body) for id_, body in connection.execute(query)}


def keep(ledger: Ledger, account: str, rewards: Mapping[str, dict[str, Any]]) -> None:
    """Remember rewards that were read just now."""
    now = datetime.now(UTC)
    rows = [
        {"account": account, "reward_id": id_, "body": msgspec.json.encode(reward), "read_at": now}
        for id_, reward in rewards.items()
    ]
    if rows:
        statement = insert(ledger, CachedReward)
        new = {"body": statement.excluded.body, "read_at": statement.excluded.read_at}
        statement = statement.on_conflict_do_update(index_elements=["account", "reward_id"], set_=new)
        with ledger.write() as connection:
            connection.execute(statement, rows)
