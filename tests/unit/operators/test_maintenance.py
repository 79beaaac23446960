"""The nightly task: the param is checked, the ledger pruned."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledgers import green_run
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import giving_up, inbox
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.events import list_deliveries
from ometria_provider.ledger.history import list_runs
from ometria_provider.ledger.inbox import Collected
from ometria_provider.operators.maintenance import PruneLedgerOperator


@pytest.fixture(autouse=True)
def _settings(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = ledger.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", url)
    monkeypatch.setenv("AIRFLOW__OMETRIA__WORKFLOWS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__OMETRIA__STAGING_PATH", f"file://{tmp_path / 'staging'}")


def prune(days: object = 90) -> None:
    context = {"params": {"keep_days": days}, "run_id": "nightly"}
    PruneLedgerOperator(task_id="prune").execute(context)  # type: ignore[arg-type]


def test_old_runs_are_deleted_and_young_ones_stay(ledger: Ledger) -> None:
    green_run().write(ledger)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE sync_run SET ended_at = '2026-01-01 00:00:00'")
    for run_id in ("second", "third"):
        green_run(run_id=run_id).write(ledger)
    prune(30)
    assert [run.id for run in list_runs(ledger)] == [3, 2]


@pytest.mark.parametrize("days", [0, -1, "90", True, 1.5, None])
def test_days_that_are_none_are_refused(days: object) -> None:
    with pytest.raises(Misconfigured, match="keep_days"):
        prune(days)


WORKFLOW = '{"trigger": {"event": "reward"}, "action": {"event_type": "claimed"}, "connections": {"antavo": "%s"}}'


def test_events_of_a_connection_without_any_file_are_skipped_and_leave_no_body(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "thanks.yaml").write_text(WORKFLOW % "antavo_uk")
    (tmp_path / "bent.yaml").write_text("nonsense: 1\n")
    event = Collected("1", "reward", "ann", datetime.now(UTC), b"{}", ("thanks", "bent"))
    lone = Collected("2", "reward", "ann", datetime.now(UTC), b"{}", ("survey",))
    for account in ("antavo_default", "antavo_uk"):
        inbox.put(ledger, account, [event, lone], inbox.ASKED)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE event_delivery SET updated_at = '2026-01-01 00:00:00'")
    prune()
    found = list_deliveries(ledger, state="skipped")
    assert {(one.account, one.event_id, one.workflow, one.run_id) for one in found} == {
        ("antavo_default", "1", "thanks", "nightly"),
        ("antavo_default", "2", "survey", "nightly"),
        ("antavo_uk", "2", "survey", "nightly"),
    }
    assert {one.reason for one in found} == {giving_up.FILE_GONE}
    with ledger.read() as connection:
        left = connection.exec_driver_sql("SELECT account, event_id FROM event_inbox WHERE body IS NOT NULL").all()
    assert {tuple(row) for row in left} == {("antavo_default", "1"), ("antavo_uk", "1")}


def test_events_that_came_a_moment_ago_wait_for_a_file_that_is_not_here_yet(ledger: Ledger) -> None:
    event = Collected("1", "reward", "ann", datetime.now(UTC), b"{}", ("thanks",))
    inbox.put(ledger, "antavo_default", [event], inbox.WEBHOOK)
    prune()
    (found,) = list_deliveries(ledger)
    assert (found.state, found.reason) == ("waiting", giving_up.FILE_MISSING)


def test_staging_is_removed_when_it_is_old_and_its_run_has_ended(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__STAGING_KEEP", "2")
    for run_id, mapping in (("old", "customers"), ("new", "customers"), ("waiting", "customers"), ("gone", "gone")):
        green_run(run_id=run_id, mapping=mapping).write(ledger)
    with ledger.write() as connection:
        connection.exec_driver_sql(
            "UPDATE sync_run SET started_at = '2026-01-01 00:00:00' WHERE run_id IN ('old', 'waiting', 'gone')"
        )
        connection.exec_driver_sql("UPDATE sync_run SET ended_at = NULL WHERE run_id = 'waiting'")
    folders = [tmp_path / "staging" / name for name in ("customers/run-00000001", "customers/run-00000002")]
    folders += [tmp_path / "staging" / name for name in ("customers/run-00000003", "gone/run-00000004")]
    for folder in folders:
        (folder / "slice-0000").mkdir(parents=True)
        (folder / "slice-0000" / "extract-0000.parquet").write_bytes(b"a member's")
    prune()
    assert [folder.exists() for folder in folders] == [False, True, True, False]


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "three days", "²"])
def test_staging_keep_that_is_no_number_of_days_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__STAGING_KEEP", value)
    with pytest.raises(Misconfigured, match="staging_keep"):
        prune()
