"""Who unsubscribed in Ometria: digests of people and times, never an e-mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice

from sqlalchemy import select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Unsubscribe
from ometria_provider.ledger.statements import insert

#: Digests in one statement.
CHUNK = 5_000


def has_any(ledger: Ledger, account: str) -> bool:
    """Say whether anybody is known to have unsubscribed."""
    with ledger.read() as connection:
        query = select(Unsubscribe.who).where(Unsubscribe.account == account).limit(1)
        return connection.execute(query).first() is not None


def known(ledger: Ledger, account: str, who: Sequence[bytes]) -> dict[bytes, datetime]:
    """Return when people unsubscribed last, by their digests; those who did not are left out."""
    found: dict[bytes, datetime] = {}
    with ledger.read() as connection:
        for start in range(0, len(who), CHUNK):
            query = select(Unsubscribe.who, Unsubscribe.at).where(
                Unsubscribe.account == account, Unsubscribe.who.in_(who[start : start + CHUNK])
            )
            found.update((digest, at) for digest, at in connection.execute(query))
    return found


def keep(ledger: Ledger, account: str, times: Mapping[bytes, datetime]) -> None:
    """Remember when people unsubscribed; a later time that is known stays."""
    rows = ({"account": account, "who": who, "at": at} for who, at in times.items())
    statement = insert(ledger, Unsubscribe)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["account", "who"], set_={"at": new.at}, where=Unsubscribe.at < new.at
    )
    while chunk := list(islice(rows, CHUNK)):
        with ledger.write() as connection:
            connection.execute(statement, chunk)
