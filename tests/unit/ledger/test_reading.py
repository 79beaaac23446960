from __future__ import annotations

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.ledger.reading import NoLedger, open_for_reading
from sqlalchemy import text


def test_ledger_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(NoLedger, match="the first run makes one"):
        open_for_reading(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


def test_ledger_without_tables_is_none(empty_url: str):
    with pytest.raises(NoLedger):
        open_for_reading(empty_url)
    open_ledger(empty_url).engine.dispose()  # PostgreSQL waits for its last client


def test_ledger_of_another_version_is_refused(ledger: Ledger, ledger_url: str):
    with ledger.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(Misconfigured, match="ometria-sync ledger upgrade"):
        open_for_reading(ledger_url)


def test_ledger_that_is_ready_is_opened(ledger: Ledger, ledger_url: str):
    assert open_for_reading(ledger_url) is ledger
