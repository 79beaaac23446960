"""Statements that SQLite and PostgreSQL write differently, and statements that are repeated thousands of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    LargeBinary,
    Text,
    bindparam,
    func,
    select,
)

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
            if (process := _processor(bind.type, dialect)) is not None
        }

    def run(self, connection: Connection, **values: Any) -> CursorResult[Any]:
        """Run the statement once."""
        return connection.exec_driver_sql(self._sql, self._parameters(values))

    def run_many(self, connection: Connection, common: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> None:
        """Run the statement for each row, in one go.

        :param common: values that all rows share.
        :param columns: the others, by name; all of one length.
        """
        fixed = {**self._fixed, **common}
        parts = [
            [self._value(name, value) for value in columns[name]]
            if name in columns and name in self._process
            else columns[name]
            if name in columns
            else repeat(self._value(name, fixed[name]))
            for name in self._names
        ]
        # Some go on for ever; the columns have one length.
        rows = zip(*parts, strict=False)
        parameters: Any = (
            rows if self._positions is not None else (dict(zip(self._names, r, strict=True)) for r in rows)
        )
        connection.exec_driver_sql(self._sql, list(parameters))

    def _parameters(self, values: Mapping[str, Any]) -> Any:
        given = {**self._fixed, **values}
        converted = [self._value(name, given[name]) for name in self._names]
        return tuple(converted) if self._positions is not None else dict(zip(self._names, converted, strict=True))

    def _value(self, name: str, value: Any) -> Any:
        process = self._process.get(name)
        return value if process is None else process(value)


def _processor(kind: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what makes a value of a type fit for the driver; None when it takes it as it is."""
    if isinstance(kind, LargeBinary):
        # sqlite3 looks for adapters of every parameter but numbers, texts and bytearrays: for bytes it takes ten times
        # as long as to bind them.
        return _writable if dialect.name == "sqlite" else None
    processor: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return processor


def _writable(value: bytes | None) -> bytearray | None:
    return None if value is None else bytearray(value)
