"""Records that are to be read back: any number of them, found by their ids, in flat memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import NamedTuple, Self

from ometria_provider.exceptions import Retryable


class Item(NamedTuple):
    """A record to be read back.

    :param body: as it was sent.
    :param batch: the request that carried it.
    :param suspect: paths of the errors that may be its own; None when it is read back for another reason.
    :param doubtful: Ometria counted rejected records in its request.
    """

    contact_id: str
    body: bytes
    slice: int
    batch: int
    suspect: str | None
    doubtful: bool


class Doubts:
    """The records of a run that are to be read back.

    They lie in a temporary database of this task. SQLite removes its file while it is still in use, so that a task that
    is killed leaves no member's record behind.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute(
            "CREATE TABLE item "
            "(contact_id TEXT PRIMARY KEY, body BLOB, slice INT, batch INT, suspect TEXT, doubtful INT)"
        )
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        """Yield those that are left in the order in which they were sent: what an earlier run left comes first."""
        with closing(self._database.execute("SELECT * FROM item ORDER BY batch")) as rows:
            yield from map(_item, rows)

    def add(self, items: Iterable[Item]) -> None:
        """Add records; one of a contact that is there already is left out.

        :raises Retryable: when there is no room for them.
        """
        try:
            with self._database as database:
                added = database.executemany("INSERT OR IGNORE INTO item VALUES (?, ?, ?, ?, ?, ?)", items)
        except sqlite3.OperationalError as error:
            raise Retryable(
                f"No room for the records that are to be read back: {error}. They lie in the worker's folder for "
                "temporary files (SQLITE_TMPDIR, or /var/tmp), about 1 KB each."
            ) from error
        self._size += added.rowcount

    def find(self, ids: Iterable[str]) -> dict[str, Item]:
        """Return the records of those of these contacts that are there."""
        query = "SELECT * FROM item WHERE contact_id = ?"
        rows = (self._database.execute(query, (id_,)).fetchone() for id_ in ids)
        return {row[0]: _item(row) for row in rows if row}

    def drop(self, items: Sequence[Item]) -> None:
        """Take out records that are settled."""
        with self._database as database:
            ids = [(item.contact_id,) for item in items]
            self._size -= database.executemany("DELETE FROM item WHERE contact_id = ?", ids).rowcount


def _item(row: tuple[str, bytes, int, int, str | None, int]) -> Item:
    return Item(*row[:5], doubtful=bool(row[5]))
