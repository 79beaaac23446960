"""Statements that SQLite and PostgreSQL write differently, and statements that are repeated thousands of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    LargeBinary,
    Select,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
    true,
    values,
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


class PreparedRows:
    """An INSERT of so many rows, in the driver's own form.

    What all rows share is bound once, and the database is asked once: an `executemany` binds every value of every row,
    which takes SQLite as long as to store them.

    :param fill: makes the INSERT from the SELECT that gives the rows.
    :param model: whose columns they are.
    :param common: columns that all rows share.
    :param own: columns of which each row has its own value.
    :param rows: how many.
    """

    def __init__(
        self,
        ledger: Ledger,
        fill: Callable[[Select[Any]], Any],
        model: type[Any],
        common: Sequence[str],
        own: Sequence[str],
        rows: int,
    ) -> None:
        dialect = ledger.engine.dialect
        types = {name: getattr(model, name).type for name in (*common, *own)}
        data = [
            tuple(bindparam(f"row{row}_{name}", type_=types[name], required=True) for name in own)
            for row in range(rows)
        ]
        given = values(*(column(name, types[name]) for name in own), name="given").data(data).cte()
        shared = (bindparam(f"all_{name}", type_=types[name], required=True) for name in common)
        # PostgreSQL takes a column of nothing but NULL for text.
        each = [cast(one, one.type) for one in given.c] if ledger.dialect == "postgresql" else list(given.c)
        # SQLite takes ON CONFLICT behind a SELECT for a part of its FROM, unless there is a WHERE.
        compiled = fill(select(*shared, *each).where(true())).compile(dialect=dialect)
        self._sql: str = compiled.string
        self._processors = {name: _column_processor(kind, dialect) for name, kind in types.items()}
        self._fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        shared_names = [f"all_{name}" for name in common]
        flat = [*self._fixed, *shared_names, *(f"row{row}_{name}" for name in own for row in range(rows))]
        self._names = flat if compiled.positiontup is None else None
        self._in_order = itemgetter(*map(flat.index, compiled.positiontup or flat))

    def run_rows(self, connection: Connection, common: Mapping[str, Any], own: Mapping[str, Sequence[Any]]) -> None:
        """Run the statement.

        :param common: values that all rows share, in the columns' order.
        :param own: the others, by column, in the columns' order.
        """
        flat = list(self._fixed.values())
        for name, value in common.items():
            flat += self._processors[name]([value])
        for name, column_ in own.items():
            flat += self._processors[name](column_)
        parameters: Any = self._in_order(flat) if self._names is None else dict(zip(self._names, flat, strict=True))
        connection.exec_driver_sql(self._sql, parameters)


def _column_processor(kind: Any, dialect: Dialect) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return what makes values of a type fit for the driver."""
    if isinstance(kind, LargeBinary) and dialect.name == "sqlite":
        return _writables
    process = _processor(kind, dialect)
    return list if process is None else lambda column_: [process(value) for value in column_]


def _processor(kind: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what makes a value of a type fit for the driver; None when it takes it as it is."""
    if isinstance(kind, LargeBinary):
        # sqlite3 looks for adapters of every parameter but numbers, texts and bytearrays: for bytes it takes ten times
        # as long as to bind them.
        return _writable if dialect.name == "sqlite" else None
    processor: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return processor


def _writables(column_: Sequence[bytes | None]) -> list[bytearray | None]:
    return [None if value is None else bytearray(value) for value in column_]


def _writable(value: bytes | None) -> bytearray | None:
    return None if value is None else bytearray(value)
