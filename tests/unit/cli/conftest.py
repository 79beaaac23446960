from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from ometria_provider.cli.app import app
from ometria_provider.ledger.engine import Ledger
from typer.testing import CliRunner

Command = Callable[..., Result]

CUSTOMERS = """\
list: 4821
fields:
  - {loyalty: first_name, remote: firstname, transform: [strip]}
"""

CLAIMED = """\
trigger: {event: reward}
action:
  event_type: reward_claimed
  payload:
    - {loyalty: reward.name, remote: reward_name}
    - {loyalty: event.points, remote: points}
    - {loyalty: customer.first_name, remote: firstname, transform: [strip]}
reward_id: event.properties.reward
"""


@pytest.fixture
def command() -> Command:
    """Run `ometria-sync` with these arguments."""

    def run(*arguments: Any) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def ledger(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger that the commands read."""
    url = sqlite_ledger.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", url)
    return sqlite_ledger


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mappings folder with one good file, and the other folders beside it."""
    mappings, suites = tmp_path / "mappings", tmp_path / "expectations"
    mappings.mkdir()
    suites.mkdir()
    (mappings / "customers.yaml").write_text(CUSTOMERS)
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    (workflows / "claimed.yaml").write_text(CLAIMED)
    monkeypatch.setenv("AIRFLOW__OMETRIA__WORKFLOWS_FOLDER", str(workflows))
    monkeypatch.setenv("AIRFLOW__OMETRIA__MAPPINGS_FOLDER", str(mappings))
    monkeypatch.setenv("AIRFLOW__OMETRIA__EXPECTATIONS_FOLDER", str(suites))
    monkeypatch.setenv("AIRFLOW__OMETRIA__STAGING_PATH", f"file://{tmp_path / 'staging'}")
    return mappings
