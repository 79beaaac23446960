"""How far something was read from an account."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, select

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Cursor
from ometria_provider.ledger.statements import insert

#: Name of the cursor that says when all syncs were last looked after; it is no account's.
WATCHED = "watched"


def get(ledger: Ledger, account: str, collection: str, name: str) -> datetime | None:
    """Return where a cursor stands, or None when it was never set."""
    query = select(Cursor.at).where(Cursor.account == account, Cursor.collection == collection, Cursor.name == name)
    with ledger.read() as connection:
        return connection.execute(query).scalar()


def all_of(ledger: Ledger, account: str, collection: str) -> dict[str, datetime]:
    """Return where every cursor of a collection stands, by name."""
    query = select(Cursor.name, Cursor.at).where(Cursor.account == account, Cursor.collection == collection)
    with ledger.read() as connection:
        return dict(iter(connection.execute(query)))


def move(ledger: Ledger, account: str, collection: str, name: str, *, at: datetime, run_id: int) -> None:
    """Move a cursor forward; one that stands further on stays (an old run's task was cleared)."""
    move_all(ledger, account, collection, {name: at}, run_id=run_id)


def move_all(ledger: Ledger, account: str, collection: str, marks: Mapping[str, datetime], *, run_id: int) -> None:
    """Move cursors forward together, each as :func:`move` does."""
    if not marks:
        return
    common = {"account": account, "collection": collection, "sync_run_id": run_id}
    statement = insert(ledger, Cursor)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["account", "collection", "name"],
        set_={"at": new.at, "sync_run_id": new.sync_run_id},
        where=Cursor.at < new.at,
    )
    with ledger.write() as connection:
        connection.execute(statement, [{**common, "name": name, "at": at} for name, at in marks.items()])


def put(ledger: Ledger, account: str, collection: str, name: str, *, at: datetime) -> None:
    """Put a cursor somewhere, wherever it stood before; no run's doing."""
    statement = insert(ledger, Cursor).values(account=account, collection=collection, name=name, at=at, sync_run_id=0)
    new = {"at": statement.excluded.at, "sync_run_id": statement.excluded.sync_run_id}
    with ledger.write() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["account", "collection", "name"], set_=new))


def forget(ledger: Ledger, account: str, collection: str, name: str) -> None:
    """Let a cursor be as if it had never been set."""
    key = (Cursor.account == account, Cursor.collection == collection, Cursor.name == name)
    with ledger.write() as connection:
        connection.execute(delete(Cursor).where(*key))
