"""What several rooms' tests share: ledgers on both databases."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from ometria_provider.ledger.engine import Ledger, open_ledger, upgrade
from sqlalchemy import create_engine, text


def _postgres_binaries() -> Path | None:
    """Return the folder of PostgreSQL's server programs; Debian keeps them off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return folders[-1] if folders else None


def _server_user() -> str | None:
    """Return whom to run the server as: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a private PostgreSQL on 127.0.0.1, and yield its SQLAlchemy URL without a database."""
    binaries = _postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    user, folder = _server_user(), Path(tempfile.mkdtemp(prefix="ledger-postgres-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if user:
        shutil.chown(folder, user)
    initdb = [binaries / "initdb", "-D", folder / "data", "-A", "trust", "-U", "ledger", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
    command = [binaries / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-F"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, "-k", folder], user=user, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(binaries, port, server, folder)
        yield f"postgresql+psycopg://ledger@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


def _wait_for(binaries: Path, port: int, server: subprocess.Popen[bytes], folder: Path) -> None:
    ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + 30
    while subprocess.run(ready, check=False).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated, empty ledger to copy."""
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    url = f"sqlite:///{path}"
    upgrade(url)
    open_ledger(url).engine.dispose()
    return path


@pytest.fixture(scope="session")
def new_postgres_database(postgres_server: str) -> Callable[[str | None], str]:
    """Return a function that makes a database, from a template or empty, and gives its URL."""

    def create(template: str | None = None) -> str:
        name = f"ledger_{uuid4().hex}"
        engine = create_engine(f"{postgres_server}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")))
        engine.dispose()
        return f"{postgres_server}/{name}"

    return create


@pytest.fixture(scope="session")
def postgres_template(new_postgres_database: Callable[..., str]) -> str:
    """Return the name of a migrated, empty database to copy."""
    url = new_postgres_database()
    upgrade(url)
    open_ledger(url).engine.dispose()
    return url.rsplit("/", 1)[1]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables, on each database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("new_postgres_database")())


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a migrated ledger, on each database in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ledger.db")
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    template = request.getfixturevalue("postgres_template")
    return str(request.getfixturevalue("new_postgres_database")(template))


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """Yield a migrated ledger, on each database in turn."""
    opened = open_ledger(ledger_url)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def sqlite_ledger(sqlite_template: Path, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a migrated ledger on SQLite, for tests that are not about the database."""
    path = tmp_path / "ledger.db"
    shutil.copy(sqlite_template, path)
    opened = open_ledger(f"sqlite:///{path}")
    yield opened
    opened.engine.dispose()
