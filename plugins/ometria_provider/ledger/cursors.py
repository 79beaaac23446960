"""How far something was read from an account."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Cursor
from ometria_provider.ledger.statements import insert


def get(ledger: Ledger, account: str, collection: str, name: str) -> datetime | None:
    """Return where a cursor stands, or None when it was never set."""
    query = select(Cursor.at).where(Cursor.account == account, Cursor.collection == collection, Cursor.name == name)
    with ledger.read() as connection:
        return connection.execute(query).scalar()


def move(ledger: Ledger, account: str, collection: str, name: str, *, at: datetime, run_id: int) -> None:
    """Move a cursor forward; one that stands further on stays (an old run's task was cleared)."""
    statement = insert(ledger, Cursor).values(
        account=account, collection=collection, name=name, at=at, sync_run_id=run_id
    )
    new = statement.excluded
    with ledger.write() as connection:
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["account", "collection", "name"],
                set_={"at": new.at, "sync_run_id": new.sync_run_id},
                where=Cursor.at < new.at,
            )
        )
