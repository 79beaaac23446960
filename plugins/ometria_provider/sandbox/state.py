"""The sandbox's memory: one SQLite database, in a file when its state is to outlive the process.

Everything runs in one transaction that is committed twice a second and with every look at the control plane, so that
keeping state costs next to nothing and a kill -9 loses at most that moment.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

_TABLES = """
create table if not exists meta (name text primary key, value text) without rowid;
create table if not exists contact (
    collection text, id text, body blob, received integer, repeats integer, digest integer,
    primary key (collection, id));
create index if not exists contact_customer on contact (json_extract(cast(body as text), '$.customer_id'))
    where body is not null;
create index if not exists contact_email on contact (lower(json_extract(cast(body as text), '$.email')))
    where body is not null;
create table if not exists list_member (
    list_id integer, collection text, contact_id text, primary key (list_id, collection, contact_id)) without rowid;
create table if not exists list (id integer primary key);
create table if not exists custom_event (id text primary key, body blob, received integer) without rowid;
create table if not exists unsubscribe (
    email text, type text, timestamp text, reason text, profile_id text);
create table if not exists customer (id text primary key, number integer, body blob) without rowid;
create table if not exists loyalty_event (
    id integer primary key, timestamp real, customer_id text, action text, body blob);
create index if not exists loyalty_event_time on loyalty_event (timestamp, id);
create index if not exists loyalty_event_customer on loyalty_event (customer_id);
create table if not exists reward (id text primary key, body blob) without rowid;
create table if not exists email (
    id integer primary key, event_id text unique, outcome text, recipient text, subject text, body text, sent_at text);
"""


def open_state(path: Path | None) -> sqlite3.Connection:
    """Open the state file (None: memory only).

    :raises RuntimeError: another sandbox holds the file, or it is no database of ours.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(":memory:" if path is None else str(path), timeout=0.5, isolation_level=None)
    try:
        database.execute("pragma locking_mode=exclusive")
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=normal")
        database.executescript(_TABLES)
        database.execute("begin immediate")
    except sqlite3.Error as error:
        database.close()
        raise RuntimeError(
            f"The sandbox cannot use its state file {path}: {error}. Stop the other sandbox or choose another file."
        ) from error
    return database


def commit(database: sqlite3.Connection) -> None:
    """Keep what happened so far."""
    if database.in_transaction:
        database.execute("commit")
    database.execute("begin immediate")
