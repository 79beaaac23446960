"""What the tests of pages share: a ledger that the pages read, and users."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from ometria_provider.ledger.engine import Ledger
from pages import pages


@pytest.fixture
def known(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Return an empty ledger, which is this deployment's."""
    url = sqlite_ledger.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", url)
    return sqlite_ledger


@pytest.fixture
def viewer(known: Ledger) -> TestClient:
    """Return the browser of somebody who may look."""
    return pages("VIEWER")


@pytest.fixture
def editor(known: Ledger) -> TestClient:
    """Return the browser of somebody who may edit DAGs."""
    return pages("USER")
