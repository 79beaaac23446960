"""Open the ledger: one engine for each process, short transactions, and errors that say what to do."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from ometria_provider import __version__
from ometria_provider.exceptions import Misconfigured, Retryable

#: The migration that this code expects; a test holds it against Alembic's head.
HEAD = "0009"

log = logging.getLogger(__name__)

#: How long a writer waits for another one, and a process for a server that it has worked with to come back, in seconds.
BUSY_SECONDS = 30.0

#: How long one attempt to connect to a server may take, in seconds.
CONNECT_SECONDS = 10

#: How often that one is asked for meanwhile, in seconds.
KNOCK = 0.5

#: How long an upgrade on PostgreSQL waits for all tables at a time: less than a deadlock takes to be found.
LOCK_MILLISECONDS = 400

T = TypeVar("T")


class Ledger:
    """A ledger database.

    :param engine: SQLAlchemy engine, as made by :func:`open_ledger`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(write=True)
        self._quick = engine.execution_options(quick=True)
        self.dialect: str = engine.dialect.name
        #: Whether this process has worked with it: who has not is told at once that nobody answers.
        self._was_there = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection for reading.

        :raises Retryable: when the ledger cannot be reached.
        """
        with self._translated(), self._open(self.engine) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that is committed at the end of the block.

        :raises Retryable: when the ledger is locked, full or cannot be reached.
        """
        with self._translated(), self._open(self._writer) as connection, connection.begin():
            yield connection

    @contextmanager
    def write_at_once(self) -> Iterator[Connection]:
        """Yield a connection for single statements that need not survive a power cut.

        On SQLite each is a transaction of its own and does not wait for the disk.

        :raises Retryable: as :meth:`write`.
        """
        with self._translated(), self._open(self._quick) as connection, connection.begin():
            yield connection

    def transact(self, work: Callable[[Connection], T], *, at_once: bool = False) -> T:
        """Do work in a transaction and return what it returns; once more when the server went away in the middle.

        For what must not be forgotten though it could be done again, such as an answer of Ometria.

        :param work: may be called twice, so all that it changes is in the ledger, and it writes by key.
        :param at_once: as :meth:`write_at_once`.
        :raises Retryable: as :meth:`write`.
        """
        begin = self.write_at_once if at_once else self.write
        try:
            with begin() as connection:
                return work(connection)
        except Retryable as error:
            cause = error.__cause__
            if not (isinstance(cause, DBAPIError) and cause.connection_invalidated):
                raise
            log.warning("The ledger went away in the middle of a transaction: once more")
        with begin() as connection:
            return work(connection)

    def version(self) -> str | None:
        """Return the migration that the database is at, or None when it has no tables of ours."""
        with self.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def check_version(self) -> None:
        """Refuse a ledger of another version.

        :raises Misconfigured: naming both versions and the command that mends it.
        """
        version = self.version()
        if version is not None and version > HEAD:
            raise Misconfigured(_too_new(self, version))
        if version != HEAD:
            found = "has no tables yet" if version is None else f"is at version {version}"
            raise Misconfigured(
                f"The ledger {self} {found}; this package works with version {HEAD}. "
                "Run `ometria-sync ledger upgrade` once, then clear the task."
            )

    def ready(self) -> None:
        """Make a ledger without any tables ready, and refuse one of another version.

        :raises Misconfigured: as :meth:`check_version`.
        """
        if self.version() is None:
            upgrade(self.engine.url.render_as_string(hide_password=False))
        self.check_version()

    def __str__(self) -> str:
        return self.engine.url.render_as_string(hide_password=True)

    def _open(self, engine: Engine) -> Connection:
        """Take a connection; a server that restarts is waited for as a writer waits for another one."""
        deadline = monotonic() + BUSY_SECONDS
        while True:
            try:
                connection = engine.connect()
            except OperationalError:
                if not self._was_there or self.dialect == "sqlite" or monotonic() >= deadline:
                    raise
                sleep(KNOCK)
            else:
                self._was_there = True
                return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise Retryable(f"The ledger {self} does not answer: {_cause(error)}") from error
        except DatabaseError as error:
            if type(error) is not DatabaseError:
                raise
            raise Misconfigured(
                f"The ledger {self} is damaged, or no ledger at all: {_words(error)}. See `[ometria] "
                "ledger_sql_alchemy_conn`; if it is the right one, restore it from a backup."
            ) from error


def _too_new(ledger: Ledger, version: str) -> str:
    return (
        f"The ledger {ledger} is at version {version}; this package works with version {HEAD}: {__version__} on "
        f"{socket.gethostname()} is older than the one whose `ometria-sync ledger upgrade` made it so. Install that "
        "one here too, then clear the task. The only way back is a backup of the ledger."
    )


def _cause(error: DBAPIError) -> str:
    """Return the driver's own words and the next step; never the statement's parameters."""
    words = _words(error)
    if any(each in words for each in ("locked", "lock timeout", "statement timeout")):
        return f"{words}. Another process has held it for {BUSY_SECONDS:g} s; the task tries again."
    if (
        "disk I/O error" in words
    ):  # what SQLite says when it cannot even make the file beside the ledger that reading needs
        words += ": its disk is full, or failing"
    if "full" in words or "No space" in words:
        return f"{words}. Free some space on its disk; the task tries again."
    return f"{words}. Is the database up, and the folder there and writable?"


def _words(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


@cache
def open_ledger(url: str) -> Ledger:
    """Return this process's ledger at a SQLAlchemy URL; nothing is opened yet.

    :raises Misconfigured: when the URL cannot be understood or its driver is missing.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        is_server = parsed.get_backend_name() != "sqlite"
        # Without a limit of its own a machine that vanished is waited for as long as the system likes: minutes.
        options = {"connect_args": {"connect_timeout": CONNECT_SECONDS}} if is_server else {}
        options = options if "connect_timeout" not in parsed.query else {}
        engine = create_engine(parsed, pool_pre_ping=is_server, hide_parameters=True, **options)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, OSError) as error:
        raise Misconfigured(
            f"`[ometria] ledger_sql_alchemy_conn` cannot be used: {error}. "
            "Write a SQLAlchemy URL such as sqlite:////path/ledger.db or postgresql+psycopg://user:…@host/ledger."
        ) from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    elif engine.dialect.name == "postgresql":
        _prepare_postgresql(engine)
    return Ledger(engine)


def _prepare_sqlite(engine: Engine) -> None:
    """Make SQLite safe for several processes: WAL, a busy time-out, and writers that lock at their start."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        # The driver would begin transactions on its own, too late to lock; ours begin below.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _switch_to_wal(connection)
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        # FULL: what Ometria acknowledged must survive a power cut, or it would be sent again.
        wanted = "NORMAL" if options.get("quick") else "FULL"
        if connection.info.get("synchronous") != wanted:
            connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
            connection.info["synchronous"] = wanted
        if not options.get("quick"):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("write") else "BEGIN")


def _switch_to_wal(connection: Any) -> None:
    """Switch a new file to WAL. SQLite does not wait for another process here, whatever the busy time-out says."""
    import sqlite3

    import tenacity

    tenacity.Retrying(
        stop=tenacity.stop_after_delay(BUSY_SECONDS),
        wait=tenacity.wait_random(0.01, 0.05),
        retry=tenacity.retry_if_exception_type(sqlite3.OperationalError),
        reraise=True,
    )(connection.execute, "PRAGMA journal_mode=WAL")


def _prepare_postgresql(engine: Engine) -> None:
    """Give up on a row that another transaction holds for too long, as SQLite does on its file."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{int(BUSY_SECONDS * 1000)}ms'")
        connection.commit()


def _lock_all_tables(connection: Connection) -> None:
    """Get hold of all tables at once: a task that holds some of them and wants others would be in a deadlock with us.

    PostgreSQL ends one of two that wait for one another for a second: we give up earlier, and try again.
    """
    import tenacity

    names = ", ".join(f'"{name}"' for name in inspect(connection).get_table_names())
    if not names:
        return

    def lock() -> None:
        with connection.begin_nested():
            connection.execute(text(f"SET LOCAL statement_timeout = {LOCK_MILLISECONDS}"))
            connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
            connection.execute(text("SET LOCAL statement_timeout TO DEFAULT"))

    tenacity.Retrying(
        stop=tenacity.stop_after_delay(BUSY_SECONDS),
        wait=tenacity.wait_random(0.01, 0.1),
        retry=tenacity.retry_if_exception_type(OperationalError),
        reraise=True,
    )(lock)


def upgrade(url: str, version: str = HEAD) -> str:
    """Bring the ledger's tables to this package's version and return that version.

    Tasks at work go on: they wait for the moment that it takes, or it for them, at most 30 s. A migration only adds, so
    that a task of the version before can end its work.

    :param version: an earlier one, for whoever tries the way from there.
    :raises Misconfigured: when the URL cannot be used, or the tables are newer than this package.
    :raises Retryable: when the database cannot be reached, or another process holds it for too long.
    """
    from alembic import command
    from alembic.config import Config

    ledger = open_ledger(url)
    if (found := ledger.version()) is not None and found > HEAD:
        raise Misconfigured(_too_new(ledger, found))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with ledger.write() as connection:
        if ledger.dialect == "postgresql":
            # Two first runs at once: the second waits, and finds the tables made (SQLite locks its whole file).
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('ometria_provider.ledger.upgrade'))"))
            _lock_all_tables(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    return version
