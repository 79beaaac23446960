"""How long each migration of the ledger takes over a million contacts while a push goes on, and how long that waits."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.figures import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import old_ledgers
import postgres
from ometria_provider.ledger.engine import BUSY_SECONDS, HEAD, open_ledger, upgrade

CONTACTS = 1_000_000


def measure(*, quick: bool = False) -> list[Row]:
    """Return a line for each database: from the first version to this one, migration by migration."""
    contacts = 20_000 if quick else CONTACTS
    return [_row(name, url, contacts) for name, url in _databases()]


def _databases() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="bench-upgrades-") as folder:
        yield "SQLite", f"sqlite:///{folder}/ledger.db"
    if postgres.is_installed():
        with postgres.running() as server:
            yield "PostgreSQL", postgres.new_database(server)


def _row(name: str, url: str, contacts: int) -> Row:
    old_ledgers.first_version(url, contacts)
    took: dict[str, float] = {}
    with old_ledgers.pushing(url) as push:
        for version in _versions():
            with _timed(took, version):
                upgrade(url, version)
    whole = old_ledgers.counts(url)["contact_state"] == contacts + 50 * push.batches
    longest = max(took, key=lambda version: took[version])
    open_ledger(url).engine.dispose()
    return Row(
        f"{name}: {len(took)} migrations over {contacts:,} contacts beside a push",
        f"{sum(took.values()):.1f} s, the longest {longest} in {took[longest]:.1f} s; a request's transaction waited "
        f"{push.longest:.1f} s at most",
        f"a writer waits {BUSY_SECONDS:.0f} s",
        f"under {BUSY_SECONDS / 2:.0f} s, no error, nothing lost",
        whole and not push.errors and push.longest < BUSY_SECONDS / 2,
    )


def _versions() -> list[str]:
    return [f"{number:04}" for number in range(2, int(HEAD) + 1)]


@contextmanager
def _timed(took: dict[str, float], version: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    took[version] = time.monotonic() - began
