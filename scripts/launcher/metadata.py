"""Airflow's own database: brought up to date when needed, and looked at (never written) without importing Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from ometria_provider.dagdefaults import CAMPAIGN_EVENTS, CONTACT_SYNC
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from launcher.environment import Config
from launcher.errors import Broken
from launcher.home import Home

#: What the ids of this package's DAGs begin with.
DAG_PREFIXES = (CONTACT_SYNC, CAMPAIGN_EVENTS)


class Run(NamedTuple):
    """A DAG run by its ids in Airflow."""

    dag_id: str
    run_id: str


@dataclass(frozen=True)
class Glance:
    """What matters of Airflow's database before anything is started.

    :param revision: its migration; None: no tables yet.
    :param unfinished: our runs that are not over. Nobody works on them when no launcher holds the home.
    :param waiting: our runs that somebody asked for meanwhile (`ometria-sync retry`), and that have not begun.
    :param connections: host by id of the connections that somebody stored in the UI.
    """

    revision: str | None
    unfinished: frozenset[Run]
    waiting: frozenset[Run]
    connections: Mapping[str, str | None]


NOTHING = Glance(None, frozenset(), frozenset(), {})


def glance(home: Home, config: Config) -> Glance:
    """Look at Airflow's database."""
    url = _url(home, config)
    if url is None:
        return NOTHING
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            # In a database of the caller's another scheduler may be at work on them.
            is_own = url == _own(home)
            return Glance(
                revision=_one(connection, "SELECT version_num FROM alembic_version"),
                unfinished=_runs(connection, f"state = 'running' OR NOT {_WAITS}") if is_own else frozenset(),
                waiting=_runs(connection, _WAITS) if is_own else frozenset(),
                connections=dict(connection.execute(text("SELECT conn_id, host FROM connection")).tuples().all()),
            )
    except SQLAlchemyError:
        return NOTHING  # no database or no tables: migrating says what is wrong with it
    finally:
        engine.dispose()


def _own(home: Home) -> str:
    """Return the URL of the home's own database, which only its launcher's parts work on."""
    return f"sqlite:///{home.path / 'airflow.db'}"


def _url(home: Home, config: Config) -> str | None:
    url = config.get("database", "sql_alchemy_conn")
    if url in (None, _own(home)):
        return _own(home) if (home.path / "airflow.db").is_file() else None
    return url


def _one(connection: Connection, statement: str) -> str | None:
    value: str | None = connection.execute(text(statement)).scalar()
    return value


#: What has not begun, and was asked for: no schedule and no asset makes it again.
_WAITS = "(state = 'queued' AND run_type = 'manual')"


def _runs(connection: Connection, which: str) -> frozenset[Run]:
    rows = connection.execute(
        text(f"SELECT dag_id, run_id FROM dag_run WHERE state IN ('queued', 'running') AND ({which})")  # noqa: S608 (our own words)
    )
    return frozenset(run for run in map(Run._make, rows) if run.dag_id.startswith(DAG_PREFIXES))


def is_current(home: Home, seen: Glance) -> bool:
    """Say whether the database is as this Airflow's last migration left it."""
    try:
        known = json.loads(_note(home).read_text())
    except (OSError, ValueError):
        return False
    return bool(seen.revision) and known == [version("apache-airflow-core"), seen.revision]


def migrate(home: Home, environment: Mapping[str, str], cwd: Path) -> None:
    """Bring Airflow's database up to date.

    :raises Broken: with what Airflow said.
    """
    _airflow(["-m", "airflow", "db", "migrate"], home, environment, cwd, "db-migrate")
    seen = glance(home, Config.read(environment, home))
    _note(home).write_text(json.dumps([version("apache-airflow-core"), seen.revision]))


def abandon(runs: Iterable[Run], home: Home, environment: Mapping[str, str], cwd: Path) -> None:
    """Close the DAG runs of a launcher that was killed: one active run is all a DAG may have.

    What they sent is in the ledger; the next run goes on from there.
    """
    script = Path(__file__).with_name("abandoned.py")
    _airflow([str(script), json.dumps(sorted(runs))], home, environment, cwd, "abandoned")


def _note(home: Home) -> Path:
    return home.path / "launcher-migrated.json"


def _airflow(arguments: list[str], home: Home, environment: Mapping[str, str], cwd: Path, name: str) -> None:
    log = home.log_file(name)
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").strip().splitlines()[-15:])
        raise Broken(f"Airflow's database in {home.path} could not be prepared ({log}):\n{last}")
