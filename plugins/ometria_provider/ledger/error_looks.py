"""Looks at Ometria's error log, which all tasks on an account share, and what it gained between them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import insert as plain_insert
from sqlalchemy import select, update

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import ErrorLook, LateError
from ometria_provider.ledger.statements import insert


class Look(NamedTuple):
    """The last look at an account's error log.

    :param entries: message and path of each error, in the log's order.
    """

    looked_at: datetime
    entries: list[tuple[str, str]]


@dataclass(frozen=True)
class ErrorRow:
    """An error that the log gained between two looks.

    :param count: 0: more of this path (of any, when it is empty) may have come than the log still shows.
    """

    until: datetime
    message: str
    path: str
    count: int


def last_look(ledger: Ledger, account: str) -> Look | None:
    """Return the account's last look, whichever task made it."""
    with ledger.read() as connection:
        row = connection.execute(
            select(ErrorLook.looked_at, ErrorLook.entries).where(ErrorLook.account == account)
        ).one_or_none()
    return None if row is None else Look(row.looked_at, [(message, path) for message, path in row.entries])


def keep_look(
    ledger: Ledger,
    account: str,
    before: Look | None,
    entries: Sequence[tuple[str, str]],
    errors: Iterable[tuple[str, str, int]],
) -> bool:
    """Keep a look, and what it shows that the one before did not; say whether it counts.

    All tasks share the looks. One that another task overtook does not count: its news would be counted twice, or lost.

    :param before: the look that this one was compared with.
    :param errors: message, path and count of what is new; a count of 0: more may have come.
    """
    now = datetime.now(UTC)
    row = {"looked_at": now, "entries": [list(entry) for entry in entries]}
    with ledger.write() as connection:
        if before is None:
            first = insert(ledger, ErrorLook).values(account=account, **row).on_conflict_do_nothing()
            # Its row comes back if it was written: PostgreSQL's driver does not count here.
            return connection.execute(first.returning(ErrorLook.account)).one_or_none() is not None
        same = (ErrorLook.account == account, ErrorLook.looked_at == before.looked_at)
        if not connection.execute(update(ErrorLook).where(*same).values(**row)).rowcount:
            return False
        common = {"account": account, "since": before.looked_at, "until": now}
        new = [
            {**common, "message": message, "path": path, "count": count, "overflow": not count}
            for message, path, count in errors
        ]
        if new:
            connection.execute(plain_insert(LateError), new)
    return True


def errors_since(ledger: Ledger, account: str, since: datetime) -> list[ErrorRow]:
    """Return what the log gained in looks after a time."""
    columns = [getattr(LateError, name) for name in ErrorRow.__dataclass_fields__]
    query = select(*columns).where(LateError.account == account, LateError.until > since).order_by(LateError.id)
    with ledger.read() as connection:
        return [ErrorRow(*row) for row in connection.execute(query)]


def words(ledger: Ledger, account: str, paths: Collection[str]) -> dict[str, str]:
    """Return Ometria's latest words for each path."""
    query = select(LateError.path, LateError.message).where(
        LateError.account == account, LateError.path.in_(paths), LateError.message != ""
    )
    with ledger.read() as connection:
        return dict(iter(connection.execute(query.order_by(LateError.id))))
