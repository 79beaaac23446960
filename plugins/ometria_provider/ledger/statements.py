"""Statements that SQLite and PostgreSQL write differently, and statements that are repeated thousands of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, CursorResult, LargeBinary, Text, bindparam, func, select

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


class Prepared:
    """A statement in the driver's own form, made once for work that repeats it for every request or record.

    SQLAlchemy's way from a statement to the driver takes about 0.3 ms, and 25 µs more for each row: several times what
    the database itself does.

    :param statement: an INSERT, UPDATE or SELECT; what varies in it is a column of the INSERT or a `bindparam`.
    :param columns: of an INSERT: the columns that it fills.
    """

    def __init__(self, ledger: Ledger, statement: Any, columns: Sequence[str] | None = None) -> None:
        dialect = ledger.engine.dialect
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        self._sql: str = compiled.string
        self._positions: Sequence[str] | None = compiled.positiontup
        self._names: Sequence[str] = compiled.positiontup or list(compiled.binds)
        self._fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._process: dict[str, Callable[[Any], Any]] = {
            name: process
            for name, bind in compiled.binds.items()
            # Drivers take bytes as they are.
            if not isinstance(bind.type, LargeBinary)
            and (process := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        }

    def run(self, connection: Connection, **values: Any) -> CursorResult[Any]:
        """Run the statement once."""
        return connection.exec_driver_sql(self._sql, self._parameters([values])[0])

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run the statement for each row, in one go."""
        connection.exec_driver_sql(self._sql, self._parameters(rows))

    def _parameters(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        columns = (self._column(name, rows) for name in self._names)
        if self._positions is not None:
            return list(zip(*columns, strict=True)) or [()] * len(rows)
        return [dict(zip(self._names, row, strict=True)) for row in zip(*columns, strict=True)] or [{}] * len(rows)

    def _column(self, name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        values = [self._fixed[name]] * len(rows) if name in self._fixed else [row[name] for row in rows]
        process = self._process.get(name)
        if process is None:
            return values
        different = {value: process(value) for value in set(values)}  # a batch's rows share their times
        return [different[value] for value in values]
