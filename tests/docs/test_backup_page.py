"""The commands of docs/how-to/backup-and-restore.md, run as they stand there, beside a push that goes on."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import old_ledgers
import postgres
import pytest
from ometria_provider.ledger.engine import HEAD, open_ledger, upgrade
from sqlalchemy import make_url, text

DOCS = Path(__file__).parents[2] / "docs"
DEPLOY = DOCS / "deploy.md"
PAGE = DOCS / "how-to" / "backup-and-restore.md"

Shell = Callable[..., None]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run the page's line that begins so."""

    def run(start: str, ledger: str, **more: str) -> None:
        (line,) = [line for line in PAGE.read_text().splitlines() if line.startswith(start)]
        environment = {**os.environ, "LEDGER": ledger, **more}
        subprocess.run(["/bin/sh", "-ec", line], check=True, cwd=tmp_path, env=environment, timeout=60)

    return run


def ledger_at_work(url: str) -> str:
    old_ledgers.first_version(url, 500)
    upgrade(url)
    return url


def is_whole(url: str) -> bool:
    """Say whether each batch that a ledger has is there with its fifty contacts."""
    found = old_ledgers.counts(url)
    assert open_ledger(url).version() == HEAD
    return found["contact_state"] == 500 + 50 * (found["push_batch"] - 1)


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="apt-get install sqlite3")
def test_backup_of_a_sqlite_ledger_at_work_is_whole_and_can_be_put_back(tmp_path: Path, shell: Shell) -> None:
    ledger = tmp_path / "ledger.db"
    with old_ledgers.pushing(ledger_at_work(f"sqlite:///{ledger}")) as push:
        shell('sqlite3 "$LEDGER"', str(ledger))
    assert push.errors == []
    with closing(sqlite3.connect(tmp_path / "ledger-backup.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    open_ledger(f"sqlite:///{ledger}").engine.dispose()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    shell("cp ledger-backup.db", str(ledger))
    assert is_whole(f"sqlite:///{ledger}")


@pytest.mark.skipif(not postgres.is_installed(), reason="apt-get install postgresql")
def test_backup_of_the_deployment_fits_its_restore(tmp_path: Path) -> None:
    """The two lines of docs/deploy.md, with what `docker compose exec` would run in PostgreSQL's container."""
    lines = re.findall(
        r"(?m)^docker compose exec -T postgres (pg_\w+ -U postgres .*\bometria_ledger\b.*)$", DEPLOY.read_text()
    )
    assert [line.split()[0] for line in lines] == ["pg_dump", "pg_restore"]
    with postgres.running() as server:
        url = ledger_at_work(postgres.new_database(server))
        found = make_url(url)
        environment = {
            "PATH": f"{Path(postgres.program('pg_dump')).parent}:{os.environ['PATH']}",
            "PGHOST": str(found.host),
            "PGPORT": str(found.port),
        }
        before = old_ledgers.counts(url)
        for line in lines:
            here = line.replace("-U postgres", f"-U {found.username}").replace("ometria_ledger", str(found.database))
            subprocess.run(["/bin/sh", "-ec", here], check=True, cwd=tmp_path, env=environment, timeout=60)
            if here.startswith("pg_dump"):
                with open_ledger(url).write() as connection:
                    connection.execute(text("DELETE FROM contact_state"))
            open_ledger(url).engine.dispose()
        assert old_ledgers.counts(url) == before
        open_ledger(url).engine.dispose()


@pytest.mark.skipif(not postgres.is_installed(), reason="apt-get install postgresql")
def test_backup_of_a_postgresql_ledger_at_work_is_whole_and_can_be_put_back(shell: Shell) -> None:
    path = {"PATH": f"{Path(postgres.program('pg_dump')).parent}:{os.environ['PATH']}"}
    with postgres.running() as server:
        url = ledger_at_work(postgres.new_database(server))
        plain = url.replace("postgresql+psycopg", "postgresql")
        with old_ledgers.pushing(url) as push:
            shell("pg_dump", plain, **path)
        assert push.errors == []
        with open_ledger(url).write() as connection:
            connection.execute(text("DELETE FROM contact_state"))
        open_ledger(url).engine.dispose()
        shell("pg_restore", plain, **path)
        assert is_whole(url)
        open_ledger(url).engine.dispose()
