"""A shell that was prepared for `ometria-sync` starts the launcher as any other shell does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from launcher.accounts import fingerprint
from launcher.home import Home
from launcher.shell import leave_shell, shell_file, way_on, write_shell_file

LEDGER = "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN"
ANTAVO = "AIRFLOW_CONN_ANTAVO_DEFAULT"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.prepare(tmp_path / "a home")


def sourced(home: Home, before: dict[str, str], after: str = "") -> dict[str, str]:
    """Return the environment of a shell that sourced the file, and did some more."""
    script = f". '{shell_file(home)}'; {after} env -0"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=before, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def prepared(home: Home, asked: dict[str, str]) -> None:
    """Write the file as a launcher does that an environment asked for."""
    environment = {
        "AIRFLOW_HOME": str(home.path),
        "AIRFLOW__CORE__DAGS_FOLDER": "/checkout/dags",
        "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": "/checkout/include/mappings",
        LEDGER: "sqlite:////sandbox's ledger.db",
        ANTAVO: '{"host": "http://127.0.0.1:5000"}',
        **asked,
    }
    write_shell_file(home, environment, [LEDGER, ANTAVO], asked=asked)


def test_shell_sees_the_home_and_the_sandbox(home: Home) -> None:
    prepared(home, {})
    found = sourced(home, {"PATH": os.defpath})
    assert found["AIRFLOW_HOME"] == str(home.path)
    assert found[LEDGER] == "sqlite:////sandbox's ledger.db"
    assert found["PATH"].endswith(os.defpath)


def test_launcher_in_a_prepared_shell_asks_for_what_it_did_before(home: Home) -> None:
    before = {"PATH": os.defpath, "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": "/mine"}
    prepared(home, before)
    found = sourced(home, before)
    leave_shell(found)
    assert fingerprint(found) == fingerprint(before)
    assert found["AIRFLOW__OMETRIA__MAPPINGS_FOLDER"] == "/mine"
    assert LEDGER not in found, "real accounts would go on with what the sandbox holds"
    assert found["AIRFLOW_HOME"] == str(home.path)


def test_what_somebody_sets_in_a_prepared_shell_is_theirs(home: Home) -> None:
    prepared(home, {})
    found = sourced(home, {"PATH": os.defpath}, f"export {LEDGER}=sqlite:////mine.db;")
    leave_shell(found)
    assert found[LEDGER] == "sqlite:////mine.db"
    assert ANTAVO not in found


@pytest.mark.parametrize("ended", [True, False])
def test_way_on_says_what_ended_with_the_sandbox(home: Home, ended: bool) -> None:
    words = way_on(home, sandbox_ended=ended)
    assert f". {shell_file(home)}" in words
    assert ("`make up` starts it again" in words) is ended
