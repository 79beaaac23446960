"""What `doctor` says of a broken night: each fault in one line, with what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from ledgers import PastRun, green_run
from ometria_provider import __version__
from ometria_provider.cli import doctor
from ometria_provider.hooks import answer
from ometria_provider.ledger import cursors, error_looks, incidents, installations, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import Installation
from ometria_provider.mapping.files import load_mapping
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from sqlalchemy import insert, text


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[RunningSandbox]:
    limits = {"antavo_requests_per_minute": 0, "ometria_push_per_second": 0, "ometria_data_per_second": 0}
    with running(SandboxSettings(port=0, members=5, lists=(4821,), validation_delay_ms=0, **limits)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: RunningSandbox) -> RunningSandbox:
    running_sandbox.control("reset", {})
    return running_sandbox


@pytest.fixture(autouse=True)
def world(sandbox: RunningSandbox, folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_DEFAULT", sandbox.antavo_connection(requests_per_minute=60_000))
    rates = {"push_requests_per_second": 500, "data_requests_per_second": 500}
    monkeypatch.setenv("AIRFLOW_CONN_OMETRIA_DEFAULT", sandbox.ometria_connection(**rates))


def checks(command: Any, *, exit_code: int = 0) -> dict[str, tuple[str, str]]:
    result = command("doctor", "-o", "json")
    assert result.exit_code == exit_code, result.output
    return {check["subject"]: (check["state"], check["words"]) for check in json.loads(result.stdout)}


def schedule(folder: Path, text: str = '"@hourly"') -> None:
    file = folder / "customers.yaml"
    file.write_text(f"schedule: {text}\n" + file.read_text())


def planned(ledger: Ledger, folder: Path, **changes: Any) -> int:
    """Write a green run that was planned with the file as it is."""
    run = green_run(**changes).write(ledger)
    runs.keep_plan(ledger, run, planned_mapping=load_mapping(folder / "customers.yaml").model_dump_json())
    return run.id


# Runs


def test_doctor_fails_for_a_red_sync_with_its_reason_and_the_runbook(command, ledger: Ledger) -> None:
    PastRun(state="failed", reason="Nothing arrived.").write(ledger)
    assert checks(command, exit_code=1)["contact_sync__customers"] == (
        "fail",
        "Nothing arrived. See the runbook, “A sync is red”.",
    )


def test_doctor_fails_for_another_version_at_work_and_names_who_is_old(
    command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks(command)["versions"] == ("ok", f"{__version__} here; no other at work")
    monkeypatch.setattr(installations, "_noted", {})
    installations.note(ledger, "worker")
    assert checks(command)["versions"][0] == "ok"
    now = datetime.now(UTC)
    row = {"host": "worker-2", "role": "worker", "version": "0.0.9", "first_seen_at": now, "seen_at": now}
    with ledger.write() as connection:
        connection.execute(insert(Installation), row)
    state, words = checks(command, exit_code=1)["version of worker"]
    assert state == "fail"
    assert f"worker-2 works with 0.0.9, older than {__version__} here" in words


def test_doctor_warns_right_after_an_upgrade_until_something_worked_with_it(
    command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = datetime.now(UTC) - timedelta(hours=1)
    row = {"host": "worker-1", "role": "worker", "version": "0.0.9", "first_seen_at": before, "seen_at": before}
    with ledger.write() as connection:
        connection.execute(insert(Installation), row)
    state, words = checks(command)["version of worker"]
    assert state == "warn"
    assert f"worker-1 last worked with 0.0.9, older than {__version__} here" in words
    assert f"Nothing has worked with {__version__} yet" in words
    monkeypatch.setattr(installations, "_noted", {})
    installations.note(ledger, "worker")
    assert checks(command)["versions"][0] == "ok"


def test_doctor_fails_for_a_ledger_that_a_newer_package_upgraded(command, ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num='9999'"))
    state, words = checks(command, exit_code=1)["ledger"]
    assert state == "fail"
    assert "is older than the one whose" in words


def test_doctor_warns_of_a_run_that_waits_for_a_person(command, ledger: Ledger) -> None:
    PastRun(state="awaiting_approval").write(ledger)
    assert checks(command)["contact_sync__customers"][0] == "warn"


def test_doctor_says_from_when_on_a_schedule_is_late_and_fails_when_it_is(
    command, ledger: Ledger, folder: Path
) -> None:
    schedule(folder)
    PastRun().write(ledger)
    state, words = checks(command)["schedule of customers"]
    assert (state, words.startswith("@hourly (UTC); last green ")) == ("ok", True)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE sync_run SET ended_at = '2026-01-01 00:00:00'")
    found = checks(command, exit_code=1)
    assert "has not finished green since 2026-01-01" in found["contact_sync__customers"][1]
    assert "schedule of customers" not in found


def test_doctor_fails_for_a_stale_after_that_is_no_number(
    command, ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(folder)
    PastRun().write(ledger)
    monkeypatch.setenv("AIRFLOW__OMETRIA__STALE_AFTER", "soon")
    state, words = checks(command, exit_code=1)["attention"]
    assert (state, "`[ometria] stale_after` is 'soon'" in words) == ("fail", True)


def test_doctor_warns_of_a_mapping_that_changed_since_it_ran(command, ledger: Ledger, folder: Path) -> None:
    number = planned(ledger, folder)
    assert "changes of customers" not in checks(command)
    file = folder / "customers.yaml"
    file.write_text(file.read_text().replace("[strip]", "[lower]") + "on_empty: keep\n")
    state, words = checks(command)["changes of customers"]
    assert state == "warn"
    assert words.startswith(f"fields, on_empty changed since run {number}: `ometria-sync mappings preview customers`")


def test_doctor_says_so_when_the_last_plan_is_another_versions(command, ledger: Ledger) -> None:
    runs.keep_plan(ledger, green_run().write(ledger), planned_mapping='{"list": "x"}')
    assert "the package has changed" in checks(command)["changes of customers"][1]


def test_doctor_warns_of_429s_in_the_last_run(command, ledger: Ledger, folder: Path) -> None:
    planned(ledger, folder, facts={("push", 0): {"throttled": 2, "data_throttled": 1}})
    state, words = checks(command)["rate limit of customers"]
    assert (state, "was answered 429 3 times" in words) == ("warn", True)


def test_doctor_warns_of_a_mapping_that_nothing_stops(command, folder: Path) -> None:
    file = folder / "customers.yaml"
    names = ("max_rejected_share", "max_departed_share", "max_cleared_share", "max_drop_share")
    file.write_text(file.read_text() + "limits: {" + ", ".join(f"{name}: null" for name in names) + "}\n")
    assert "nothing stops a run that goes wrong" in checks(command)["limits of customers"][1]


def test_doctor_warns_of_disks_that_are_nearly_full(command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [subject for subject in checks(command) if subject.startswith("disk of")]
    monkeypatch.setattr(doctor, "LEAST_FREE", 2**62)
    found = {subject: check for subject, check in checks(command).items() if subject.startswith("disk of")}
    assert set(found) == {"disk of staging", "disk of ledger"}
    state, words = found["disk of ledger"]
    assert (state, "MB are free at" in words) == ("warn", True)
    monkeypatch.setenv("AIRFLOW__OMETRIA__STAGING_PATH", "memory://bucket/folder")
    assert "disk of staging" not in checks(command), "a bucket has no disk of this machine"


# Lists


@pytest.mark.parametrize(
    ("number", "words"), [(7, "has no such list"), (5100, "which is a dynamic segment")], ids=["gone", "takes nobody"]
)
def test_doctor_fails_for_a_list_that_takes_nobody(
    command, ledger: Ledger, folder: Path, number: int, words: str
) -> None:
    file = folder / "customers.yaml"
    file.write_text(file.read_text().replace("4821", str(number)))
    state, said = checks(command, exit_code=1)[f"list {number} of customers"]
    assert (state, words in said) == ("fail", True)


# Clocks


class LateClock(datetime):
    """A clock of this machine that is late, while the servers' are right."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) - timedelta(seconds=400)


def test_doctor_fails_for_a_clock_that_signatures_do_not_allow(
    command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "datetime", SimpleNamespace(datetime=LateClock, UTC=UTC))
    found = checks(command, exit_code=1)
    for name in ("antavo_default", "ometria_default"):
        state, words = found[f"clock against {name}"]
        assert (state, "behind the server's; signatures allow 300 s. Set it (NTP)." in words) == ("fail", True)


# Ometria's error log


def late_error(sandbox: RunningSandbox, number: int) -> None:
    """Push a record that Ometria finds wrong when it validates."""
    connection = json.loads(sandbox.ometria_connection())
    record = {"@type": "contact", "@collection": "others", "@merge": True, "id": str(number), "lastname": 5}
    answer = requests.post(
        f"{connection['host']}/v2/push",
        json=[record],
        headers={"X-Ometria-Auth": connection["password"]},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text


def test_doctor_shows_what_the_error_log_gained_since_the_last_look(
    command, ledger: Ledger, sandbox: RunningSandbox
) -> None:
    assert checks(command)["error log of ometria_default"] == ("ok", "empty")
    late_error(sandbox, 1)
    state, words = checks(command)["error log of ometria_default"]
    assert (state, "1 error and no run has looked yet: 1 × root > lastname" in words) == ("warn", True)
    log = [(entry["error_message"], entry["error_path"]) for entry in _log(sandbox)]
    error_looks.keep_look(ledger, "ometria_default", None, log, [])
    state, words = checks(command)["error log of ometria_default"]
    assert (state, words.startswith("1 error, none new since the last look")) == ("ok", True)


def _log(sandbox: RunningSandbox) -> list[dict[str, str]]:
    connection = json.loads(sandbox.ometria_connection())
    headers = {"X-Ometria-Auth": connection["password"]}
    found: list[dict[str, str]] = requests.get(
        f"{connection['host']}/v2/push/_errors", headers=headers, timeout=10
    ).json()
    return found


# Webhooks


def test_doctor_checks_who_may_send_webhooks(command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "connection antavo_webhook" not in checks(command)
    connection = {"conn_type": "http", "login": "antavo", "password": "s3cret"}
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_WEBHOOK", json.dumps(connection))
    assert checks(command)["connection antavo_webhook"] == (
        "ok",
        "webhooks of antavo_default need Basic login and password",
    )
    other = connection | {"extra": {"antavo_connection": "antavo_uk"}}
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_WEBHOOK", json.dumps(other))
    assert checks(command)["connection antavo_webhook"][0] == "warn"
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_WEBHOOK", json.dumps(connection | {"password": ""}))
    state, words = checks(command, exit_code=1)["connection antavo_webhook"]
    assert (state, "the password is missing" in words) == ("fail", True)


# Alerts


def alerts(command: Any, *, exit_code: int = 0) -> list[tuple[str, str]]:
    result = command("doctor", "-o", "json")
    assert result.exit_code == exit_code, result.output
    found = [check for check in json.loads(result.stdout) if check["subject"] == "alerts"]
    return [(check["state"], check["words"]) for check in found]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"path": "json://127.0.0.1:1/x"}
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS", json.dumps({"conn_type": "apprise", "extra": {"config": config}}))
    monkeypatch.setenv("AIRFLOW__OMETRIA__ALERTS_CONN_ID", "alerts")


def looked(ledger: Ledger, ago: timedelta) -> None:
    cursors.move(ledger, "", "", cursors.WATCHED, at=datetime.now(UTC) - ago, run_id=0)


def test_doctor_warns_when_nobody_would_be_told_of_a_scheduled_sync(command, folder: Path) -> None:
    assert alerts(command) == [], "nothing runs by itself"
    schedule(folder)
    ((state, words),) = alerts(command)
    assert (state, "nobody is told" in words) == ("warn", True)


def test_doctor_with_alerts_set_up_names_the_services(command, ledger: Ledger, connected: None) -> None:
    looked(ledger, timedelta(minutes=5))
    ((state, words),) = alerts(command)
    assert (state, words.startswith("go to JSON;")) == ("ok", True)


def test_doctor_fails_for_a_connection_for_alerts_that_is_not_there(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__ALERTS_CONN_ID", "nowhere")
    ((state, words),) = alerts(command, exit_code=1)
    assert (state, "There is no connection `nowhere`" in words) == ("fail", True)


def test_doctor_fails_for_what_nobody_was_told(command, ledger: Ledger, connected: None) -> None:
    looked(ledger, timedelta(minutes=5))
    PastRun(state="failed", reason="x").write(ledger)
    incidents.bring_up_to_date(ledger, [incidents.Found("contact_sync__customers", "sync", "red", "x", 1)])
    incidents.not_told(ledger, incidents.claim_due(ledger)[0], "JSON did not take the alert")
    assert alerts(command, exit_code=1) == [
        ("fail", "nobody was told that contact_sync__customers is red: JSON did not take the alert")
    ]


def test_doctor_warns_of_a_service_that_did_not_take_an_alert(command, ledger: Ledger, connected: None) -> None:
    looked(ledger, timedelta(minutes=5))
    PastRun(state="failed", reason="x").write(ledger)
    incidents.bring_up_to_date(ledger, [incidents.Found("contact_sync__customers", "sync", "red", "x", 1)])
    incidents.told(ledger, incidents.claim_due(ledger)[0], failure="Slack did not take it; E-Mail did.")
    assert alerts(command, exit_code=1) == [
        ("warn", "contact_sync__customers, red: Slack did not take it; E-Mail did.")
    ]


@pytest.mark.parametrize("ago", [None, timedelta(hours=1)], ids=["never", "an hour ago"])
def test_doctor_warns_when_the_watch_does_not_look(
    command, ledger: Ledger, connected: None, ago: timedelta | None
) -> None:
    if ago:
        looked(ledger, ago)
    ((state, words),) = alerts(command)
    assert (state, words.startswith("`watch_syncs` ")) == ("warn", True)
