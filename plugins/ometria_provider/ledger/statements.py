"""The few statements that SQLite and PostgreSQL write differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, bindparam, func, select

from ometria_provider.ledger.engine import Ledger


def insert(ledger: Ledger, model: type[Any]) -> Any:
    """Return an INSERT that knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
    # One dialect costs 20 ms to import, in every task: only the one in use.
    if ledger.dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(model)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(model)


def is_one_of(ledger: Ledger, column: Any, values: Sequence[str]) -> ColumnElement[bool]:
    """Return `column is one of values` with all values in one parameter, however many they are."""
    if ledger.dialect == "postgresql":
        ids = bindparam(None, list(values), type_=ARRAY(Text))
        return column == func.any(ids)  # type: ignore[no-any-return]  # an instrumented attribute is untyped here
    import msgspec

    each = func.json_each(msgspec.json.encode(list(values)).decode()).table_valued("value")
    return column.in_(select(each.c.value))  # type: ignore[no-any-return]  # as above
