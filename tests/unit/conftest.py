"""What several rooms' tests share: ledgers on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import postgres
import pytest
from ometria_provider.ledger.engine import Ledger, open_ledger, upgrade


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a private PostgreSQL on 127.0.0.1, and yield its SQLAlchemy URL without a database."""
    if not postgres.is_installed():
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with postgres.running() as url:
        yield url


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
        return postgres.new_database(postgres_server, template)

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
