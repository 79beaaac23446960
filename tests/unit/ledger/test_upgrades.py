"""A ledger is upgraded while runs are at work, and loses nothing (docs/how-to/upgrade.md)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from old_ledgers import FILLED, counts, first_version, pushing, tables
from ometria_provider.exceptions import Retryable
from ometria_provider.ledger import engine as engine_module
from ometria_provider.ledger.engine import HEAD, open_ledger, upgrade
from sqlalchemy import text

CONTACTS = 3_000
VERSIONS = [path.name[:4] for path in sorted((Path(engine_module.__file__).parent / "migrations/versions").glob("0*"))]

Tables = dict[str, Any]


@pytest.fixture
def old_url(empty_url: str) -> Any:
    """Return the URL of a ledger of the first version with a run at work, on each database in turn."""
    first_version(empty_url, CONTACTS)
    yield empty_url
    open_ledger(empty_url).engine.dispose()


def at(url: str, version: str) -> Tables:
    """Upgrade a ledger to a version, and return its tables."""
    upgrade(url, version)
    with open_ledger(url).read() as connection:
        return tables(connection)


def test_upgrade_version_by_version_keeps_every_row(old_url: str) -> None:
    before = counts(old_url)
    assert before == dict.fromkeys(FILLED, 1) | {"contact_state": CONTACTS}
    for version in VERSIONS[1:]:
        upgrade(old_url, version)
        assert open_ledger(old_url).version() == version
        assert counts(old_url) == before, version
    assert open_ledger(old_url).version() == HEAD


def test_upgrade_beside_a_push_of_the_version_before_lets_it_go_on(old_url: str) -> None:
    with pushing(old_url) as push:
        assert upgrade(old_url) == HEAD
    assert push.errors == []
    assert open_ledger(old_url).version() == HEAD
    found = counts(old_url)
    assert found["push_batch"] == 1 + push.batches
    assert found["contact_state"] == CONTACTS + 50 * push.batches
    assert {found[name] for name in FILLED if name not in ("push_batch", "contact_state")} == {1}


def test_upgrade_on_postgresql_lets_a_task_end_that_wants_one_more_table(new_postgres_database: Any) -> None:
    url = new_postgres_database()
    first_version(url, 10)
    ledger = open_ledger(url)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with ledger.write() as connection:
            connection.execute(text("UPDATE push_batch SET records = 99"))
            upgraded = pool.submit(upgrade, url)
            with ledger.read() as other:
                while not other.execute(waiting).scalar():
                    assert not upgraded.done(), upgraded.result()
            connection.execute(text("UPDATE contact_state SET push_batch_id = 1"))
        assert upgraded.result() == HEAD
    ledger.engine.dispose()


def test_upgrade_that_has_to_wait_too_long_is_refused_and_changes_nothing(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    first_version(empty_url, 1)
    ledger = open_ledger(empty_url)
    with ledger.write() as connection:
        connection.execute(text("UPDATE sync_run SET read = 5"))
        with pytest.raises(Retryable, match="Another process has held it"):
            upgrade(empty_url)
    assert ledger.version() == "0001"
    with ledger.read() as connection:
        assert connection.execute(text("SELECT read FROM sync_run")).scalar() == 5
        assert "cursor" not in tables(connection)
    assert upgrade(empty_url) == HEAD
    ledger.engine.dispose()


def test_migrations_only_add_so_that_a_task_of_the_version_before_ends_its_work(empty_url: str) -> None:
    before = at(empty_url, VERSIONS[0])
    for version in VERSIONS[1:]:
        after = at(empty_url, version)
        assert gone(before, after) == [], version
        assert demanding(before, after) == [], version
        before = after
    open_ledger(empty_url).engine.dispose()


def gone(before: Tables, after: Tables) -> list[str]:
    """Return the columns that a migration took away."""
    return [
        f"{name}.{column}"
        for name, table in before.items()
        for column in table.c.keys()  # noqa: SIM118 (a table has no others)
        if name not in after or column not in after[name].c
    ]


def demanding(before: Tables, after: Tables) -> list[str]:
    """Return the new columns without which a row of the version before is refused."""
    return [
        f"{name}.{column.name}"
        for name, table in after.items()
        for column in table.c
        if name in before and column.name not in before[name].c
        if not column.nullable and column.server_default is None
    ]


def test_check_of_migrations_sees_one_that_takes_away_or_demands(empty_url: str) -> None:
    before = at(empty_url, HEAD)
    with open_ledger(empty_url).write() as connection:
        connection.execute(text("ALTER TABLE sync_run DROP COLUMN plan"))
        connection.execute(text("ALTER TABLE sync_run ADD COLUMN owner TEXT NOT NULL DEFAULT 'x'"))
    with open_ledger(empty_url).read() as connection:
        after = tables(connection)
    after["sync_run"].c.owner.server_default = None
    assert gone(before, after) == ["sync_run.plan"]
    assert demanding(before, after) == ["sync_run.owner"]
    open_ledger(empty_url).engine.dispose()
