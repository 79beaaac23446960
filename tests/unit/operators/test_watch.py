"""The watch: people hear of everything once, at the receiving side of a real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from ledgers import PastRun, green_run
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import cursors, history, incidents, run_steps, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.notifications.telling import AlertNotSent
from ometria_provider.operators.watch import WatchOperator
from services import Posts, posts
from sqlalchemy import text


@pytest.fixture
def service() -> Iterator[Posts]:
    with posts() as found:
        yield found


@pytest.fixture(autouse=True)
def folder(sqlite_ledger: Ledger, service: Posts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A mapping that is scheduled every hour, and a connection for alerts."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    rows = [{"loyalty": "first_name", "remote": "firstname"}]
    (mappings / "customers.yaml").write_text(json.dumps({"list": 4821, "fields": rows, "schedule": "@hourly"}))
    values = {
        "LEDGER_SQL_ALCHEMY_CONN": sqlite_ledger.engine.url.render_as_string(hide_password=False),
        "MAPPINGS_FOLDER": mappings,
        "WORKFLOWS_FOLDER": tmp_path / "none",
        "ALERTS_CONN_ID": "alerts",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"AIRFLOW__OMETRIA__{name}", str(value))
    connect(monkeypatch, {"path": service.url})
    return mappings


def connect(monkeypatch: pytest.MonkeyPatch, config: Any) -> None:
    value = json.dumps({"conn_type": "apprise", "extra": {"config": config}})
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS", value)


def watch(asked: list[str] | None = None, **airflow: str) -> int:
    """Watch once.

    :param asked: gets the DAGs of whose runs Airflow was asked.
    :param airflow: the states in which Airflow has DAG runs, by run id; the others it does not know.
    """

    def state(dag_id: str, run_id: str) -> str:
        if asked is not None:
            asked.append(dag_id)
        if run_id not in airflow:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR))
        return airflow[run_id]

    return WatchOperator(task_id="watch").execute({"ti": SimpleNamespace(get_dagrun_state=state)})  # type: ignore[arg-type]


def titles(service: Posts) -> list[str]:
    return [title for title, _ in service.texts()]


def put_back(ledger: Ledger, table: str, column: str, hours: int) -> None:
    at = datetime.now(UTC) - timedelta(hours=hours)
    with ledger.write() as connection:
        connection.execute(text(f"UPDATE {table} SET {column} = :at"), {"at": str(at)})


def test_red_sync_is_told_once_and_once_more_when_it_is_green(sqlite_ledger: Ledger, service: Posts) -> None:
    PastRun(run_id="1", state="failed", reason="Nothing arrived.").write(sqlite_ledger)
    assert (watch(), watch()) == (1, 0)
    PastRun(run_id="2", state="halted", reason="Still nothing.").write(sqlite_ledger)
    assert watch() == 0, "it is the same incident"
    PastRun(run_id="3").write(sqlite_ledger)
    assert (watch(), watch()) == (1, 0)
    assert titles(service) == ["Ometria sync customers is red: failed", "Ometria sync customers is green again"]
    assert "(run 3, started" in service.texts()[1][1]


def test_sync_that_airflow_skips_is_told_as_late_and_then_as_green(sqlite_ledger: Ledger, service: Posts) -> None:
    PastRun(run_id="1").write(sqlite_ledger)
    watch()
    put_back(sqlite_ledger, "sync_run", "ended_at", 5)
    assert watch() == 0, "its schedule was seen just now for the first time"
    put_back(sqlite_ledger, "watched_schedule", "since", 5)
    assert (watch(), watch()) == (1, 0)
    PastRun(run_id="2").write(sqlite_ledger)
    assert (watch(), watch()) == (1, 0)
    assert titles(service) == ["Ometria sync customers is late", "Ometria sync customers is green again"]


def test_service_that_is_down_is_red_kept_and_tried_again(sqlite_ledger: Ledger, service: Posts) -> None:
    PastRun(state="failed", reason="x").write(sqlite_ledger)
    service.status = 500
    with pytest.raises(AlertNotSent, match=r"JSON did not take the alert “Ometria sync customers is red: failed”"):
        watch()
    assert "did not take" in str(incidents.untold(sqlite_ledger)[0].failure)
    service.status = 200
    assert watch() == 1
    assert titles(service) == ["Ometria sync customers is red: failed"]
    assert incidents.untold(sqlite_ledger) == []


def test_service_that_is_down_beside_a_good_one_is_noted_and_nobody_hears_twice(
    sqlite_ledger: Ledger, service: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    PastRun(state="failed", reason="x").write(sqlite_ledger)
    with posts() as bad:
        bad.status = 500
        connect(monkeypatch, [{"path": bad.url.replace("json", "xml")}, {"path": service.url}])
        assert (watch(), watch()) == (1, 0)
    assert len(service.received) == 1
    assert incidents.list_incidents(sqlite_ledger)[0].failure == "XML did not take it; JSON did."


def test_one_alert_that_fails_does_not_keep_the_others_back(
    sqlite_ledger: Ledger, service: Posts, folder: Path
) -> None:
    for name in ("customers", "others"):
        (folder / f"{name}.yaml").write_text((folder / "customers.yaml").read_text())
        PastRun(mapping=name, state="failed", reason="x").write(sqlite_ledger)
    (folder / "others.yaml").write_text(json.dumps({"list": 1, "fields": [{"value": "x", "remote": "y"}]}))
    service.fail_first = 1
    with pytest.raises(AlertNotSent):
        watch()
    assert len(service.received) == 1
    assert watch() == 1
    assert sorted(titles(service)) == [f"Ometria sync {name} is red: failed" for name in ("customers", "others")]


def test_connection_that_is_gone_is_misconfigured_and_kept_as_the_reason(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    PastRun(state="failed", reason="x").write(sqlite_ledger)
    monkeypatch.setenv("AIRFLOW__OMETRIA__ALERTS_CONN_ID", "nowhere")
    with pytest.raises(Misconfigured, match="There is no connection `nowhere`"):
        watch()
    assert "no connection `nowhere`" in str(incidents.untold(sqlite_ledger)[0].failure)


def test_without_a_connection_incidents_are_kept_and_told_once_there_is_one(
    sqlite_ledger: Ledger, service: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    PastRun(state="failed", reason="x").write(sqlite_ledger)
    monkeypatch.delenv("AIRFLOW__OMETRIA__ALERTS_CONN_ID")
    assert watch() == 0
    assert len(incidents.untold(sqlite_ledger)) == 1
    monkeypatch.setenv("AIRFLOW__OMETRIA__ALERTS_CONN_ID", "alerts")
    assert watch() == 1
    assert len(service.received) == 1


def test_watch_leaves_when_it_looked(sqlite_ledger: Ledger) -> None:
    watch()
    at = cursors.get(sqlite_ledger, "", "", cursors.WATCHED)
    assert at is not None
    assert datetime.now(UTC) - at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("state", "closed", "reason"),
    [("running", "failed", runs.KILLED), ("awaiting_approval", "halted", runs.UNANSWERED)],
)
def test_run_that_was_ended_in_airflow_as_a_whole_is_closed_and_told(
    sqlite_ledger: Ledger, service: Posts, state: str, closed: str, reason: str
) -> None:
    PastRun(run_id="a", state=state).write(sqlite_ledger)
    with sqlite_ledger.write() as connection:
        connection.execute(text("UPDATE sync_run SET ended_at = NULL"))
    watch()
    watch(a="running")
    with sqlite_ledger.read() as connection:
        assert connection.execute(text("SELECT state, ended_at FROM sync_run")).one() == (state, None)
    watch(a="failed")
    with sqlite_ledger.read() as connection:
        assert connection.execute(text("SELECT state, reason FROM sync_run")).one() == (closed, reason)
    assert f"Ometria sync customers is red: {closed}" in titles(service)


def test_run_of_which_a_task_was_cleared_alone_is_closed_as_it_was(sqlite_ledger: Ledger, service: Posts) -> None:
    run = green_run(run_id="a", facts={("report", -1): {"state": "succeeded", "reason": None}}).write(sqlite_ledger)
    with run_steps.working(sqlite_ledger, run, "push", 0):
        watch(a="running")
        assert runs.open_runs(sqlite_ledger)
    watch(a="success")
    assert runs.open_runs(sqlite_ledger) == []
    assert history.run_row(sqlite_ledger, run.id).state == "succeeded"
    assert titles(service) == []


def test_file_push_that_was_killed_is_closed_once_its_dag_run_has_ended(sqlite_ledger: Ledger) -> None:
    for dag_id, run_id in (("own.push", "a"), ("campaign_events__antavo_default", "contacts__5e0c")):
        runs.open_run(sqlite_ledger, dag_id=dag_id, run_id=run_id, mapping="shop", dry_run=False)
    asked: list[str] = []
    watch(asked, a="running")
    assert asked == ["own"], "of contacts that a campaign pushes first Airflow knows no run"
    assert len(runs.open_runs(sqlite_ledger)) == 2
    watch(a="failed")
    assert [run.dag_id for run in runs.open_runs(sqlite_ledger)] == ["campaign_events__antavo_default"]


def test_red_run_that_is_tried_again_is_not_over_before_it_ends(sqlite_ledger: Ledger, service: Posts) -> None:
    run = PastRun(run_id="a", state="failed", reason="No answer.").write(sqlite_ledger)
    watch()
    with run_steps.working(sqlite_ledger, run, "push", 0):
        assert watch(a="running") == 0
    runs.close_run(sqlite_ledger, run.id, state="succeeded", reason=None, counts={})
    watch()
    assert titles(service) == ["Ometria sync customers is red: failed", "Ometria sync customers is green again"]
