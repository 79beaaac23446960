"""Ledgers as older versions of the package left them, and an old push that goes on writing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ometria_provider.ledger.engine import open_ledger, upgrade
from sqlalchemy import Connection, MetaData, Table, func, insert, select, update

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

#: Tables of the first version that a run fills.
FILLED = ("sync_run", "sync_step", "push_batch", "rejection", "rule_result", "contact_state", "remote_field")


def tables(connection: Connection) -> dict[str, Table]:
    """Return the tables as they are in the database, whatever the models say."""
    metadata = MetaData()
    metadata.reflect(connection)
    return dict(metadata.tables)


def first_version(url: str, contacts: int, *, at_once: int = 10_000) -> None:
    """Make a ledger of the first version, with a run at work and so many contacts."""
    upgrade(url, "0001")
    ledger = open_ledger(url)
    with ledger.write() as connection:
        table = tables(connection)
        counts = dict.fromkeys(
            ("read", "unchanged", "filtered", "rejected", "sent", "accepted", "pending", "departed"), 0
        )
        run = {"dag_id": "contact_sync__members", "run_id": "1", "mapping": "members", "state": "running"}
        run |= {"account": "ometria_default", "collection": "members", "strategy": "full", "dry_run": False}
        connection.execute(insert(table["sync_run"]), {"id": 1, **run, **counts, "started_at": NOON})
        own: dict[str, Any] = {"sync_run_id": 1, "slice": 0}
        step = {"step": "push", "state": "running", "facts": {"read": contacts}, "started_at": NOON}
        connection.execute(insert(table["sync_step"]), {**own, **step})
        batch = {"id": 1, "records": 100, "size": 9, "state": "acknowledged", "started_at": NOON}
        connection.execute(insert(table["push_batch"]), {**own, **batch})
        refused = {"id": 1, "contact_id": "c0", "stage": "mapping", "reason": "is none", "created_at": NOON}
        connection.execute(insert(table["rejection"]), {**own, **refused})
        rule = {"id": 1, "rule": "r", "kind": "row", "severity": "critical", "failed": 1, "contact_ids": ["c0"]}
        connection.execute(insert(table["rule_result"]), {**own, **rule})
        bit = {"account": "ometria_default", "collection": "members", "name": "email", "bit": 0}
        connection.execute(insert(table["remote_field"]), bit)
    for start in range(0, contacts, at_once):
        with ledger.write() as connection:
            rows = [contact(f"c{number}") for number in range(start, min(start + at_once, contacts))]
            connection.execute(insert(table["contact_state"]), rows)


def contact(id_: str) -> dict[str, Any]:
    """Return a row of `contact_state` as the first version wrote it."""
    key = {"account": "ometria_default", "collection": "members", "contact_id": id_}
    digests = {name: bytes(16) for name in ("fingerprint", "source_digest")}
    return {**key, **digests, "state": "accepted", "filled": b"\1", "sync_run_id": 1, "changed_at": NOON}


def counts(url: str) -> dict[str, int]:
    """Return how many rows the tables of the first version hold."""
    with open_ledger(url).read() as connection:
        table = tables(connection)
        found = {name: connection.execute(select(func.count()).select_from(table[name])).scalar() for name in FILLED}
    return {name: int(count or 0) for name, count in found.items()}


@dataclass
class OldPush:
    """A push of the first version at work: a batch before each request, its answer and contacts afterwards.

    :param longest: seconds that its slowest transaction took.
    """

    url: str
    batches: int = 0
    longest: float = 0.0
    errors: list[BaseException] = field(default_factory=list)

    def one(self, connection: Connection, table: dict[str, Table]) -> None:
        """Write one batch with its hundred contacts, of whom half are known."""
        number = self.batches + 2
        batch = {"id": number, "sync_run_id": 1, "slice": 0, "records": 100, "size": 9, "state": "sending"}
        connection.execute(insert(table["push_batch"]), {**batch, "started_at": NOON})
        rows = [contact(f"new-{number}-{row}") for row in range(50)]
        connection.execute(insert(table["contact_state"]), rows)
        known = table["contact_state"].c.contact_id.in_([f"c{row}" for row in range(50)])
        connection.execute(update(table["contact_state"]).where(known).values(push_batch_id=number))
        done = {"state": "acknowledged", "ended_at": NOON}
        connection.execute(update(table["push_batch"]).where(table["push_batch"].c.id == number).values(**done))

    def work(self, stop: threading.Event) -> None:
        """Go on until somebody says stop."""
        try:
            ledger = open_ledger(self.url)
            with ledger.read() as connection:
                table = tables(connection)  # as this version knows them, to its end
            while not stop.is_set():
                began = time.monotonic()
                with ledger.write() as connection:
                    self.one(connection, table)
                self.batches += 1
                self.longest = max(self.longest, time.monotonic() - began)
                time.sleep(0.005)
        except BaseException as error:  # noqa: BLE001 (what it met is what a test looks at)
            self.errors.append(error)


@contextmanager
def pushing(url: str) -> Iterator[OldPush]:
    """Let a push of the first version go on while the block works."""
    push, stop = OldPush(url), threading.Event()
    thread = threading.Thread(target=push.work, args=(stop,), daemon=True)
    thread.start()
    while not push.batches and thread.is_alive():
        time.sleep(0.005)
    try:
        yield push
        at_least = push.batches + 2
        while push.batches < at_least and thread.is_alive():
            time.sleep(0.005)
    finally:
        stop.set()
        thread.join(60)
