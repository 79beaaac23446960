"""What the launcher sees in Airflow's database before it starts anything."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from launcher.environment import Config
from launcher.home import Home
from launcher.metadata import Run, glance

OURS = "contact_sync__members"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose database has only the tables and columns that are looked at."""
    home = Home.prepare(tmp_path)
    with sqlite3.connect(home.path / "airflow.db") as database:
        database.executescript(
            "CREATE TABLE alembic_version (version_num); CREATE TABLE connection (conn_id, host);"
            "CREATE TABLE dag_run (dag_id, run_id, state, run_type);"
        )
    return home


def look(home: Home, *rows: tuple[str, str, str, str]):
    with sqlite3.connect(home.path / "airflow.db") as database:
        database.executemany("INSERT INTO dag_run VALUES (?, ?, ?, ?)", rows)
    return glance(home, Config.read({}, home))


def test_run_that_somebody_asked_for_waits_and_others_that_are_not_over_are_closed(home: Home) -> None:
    seen = look(
        home,
        (OURS, "retry", "queued", "manual"),
        (OURS, "killed", "running", "manual"),
        (OURS, "owed", "queued", "scheduled"),
        ("campaign_events__antavo", "came", "queued", "asset_triggered"),
        (OURS, "done", "success", "manual"),
        ("somebody_elses", "theirs", "queued", "manual"),
    )
    assert seen.waiting == {Run(OURS, "retry")}
    assert seen.unfinished == {
        Run(OURS, "killed"),
        Run(OURS, "owed"),
        Run("campaign_events__antavo", "came"),
    }


def test_runs_in_a_database_of_the_callers_are_another_schedulers(home: Home, tmp_path: Path) -> None:
    look(home, (OURS, "killed", "running", "manual"))
    url = f"sqlite:///{tmp_path}/../{tmp_path.name}/airflow.db"
    seen = glance(home, Config.read({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}, home))
    assert (seen.unfinished, seen.waiting) == (frozenset(), frozenset())
