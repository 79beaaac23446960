"""The nightly task: the param is checked, the ledger pruned."""

from pathlib import Path

import pytest
from ledgers import green_run
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import list_runs
from ometria_provider.operators.maintenance import PruneLedgerOperator


@pytest.fixture(autouse=True)
def _settings(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = ledger.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", url)
    monkeypatch.setenv("AIRFLOW__OMETRIA__WORKFLOWS_FOLDER", str(tmp_path))


def test_old_runs_are_deleted_and_young_ones_stay(ledger: Ledger) -> None:
    green_run().write(ledger)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE sync_run SET ended_at = '2026-01-01 00:00:00'")
    for run_id in ("second", "third"):
        green_run(run_id=run_id).write(ledger)
    PruneLedgerOperator(task_id="prune").execute({"params": {"keep_days": 30}})  # type: ignore[arg-type]
    assert [run.id for run in list_runs(ledger)] == [3, 2]


@pytest.mark.parametrize("days", [0, -1, "90", True, 1.5, None])
def test_days_that_are_none_are_refused(days: object) -> None:
    with pytest.raises(Misconfigured, match="keep_days"):
        PruneLedgerOperator(task_id="prune").execute({"params": {"keep_days": days}})  # type: ignore[arg-type]
