"""What needs attention, on a command line that needs no scheduler."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ledgers import PastRun
from ometria_provider.ledger import incidents
from ometria_provider.ledger.engine import Ledger
from services import posts

RED = incidents.Found("contact_sync__customers", "sync", "red", "Nothing arrived.", 1)


def test_alerts_with_nothing_wrong_says_so(command, ledger: Ledger, folder: Path) -> None:
    result = command("alerts")
    assert (result.exit_code, result.stdout) == (0, "Nothing needs attention, and nothing ever did.\n")


def test_alerts_sees_what_no_watch_has_seen_yet(command, ledger: Ledger, folder: Path) -> None:
    PastRun(state="failed", reason="Nothing arrived.").write(ledger)
    result = command("alerts")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split()[:3] == ["red", "contact_sync__customers", "now"]
    assert incidents.list_incidents(ledger) == [], "asking changes nothing"


def test_alerts_lists_incidents_once_with_who_was_told(command, ledger: Ledger, folder: Path) -> None:
    PastRun(state="failed", reason="Nothing arrived.").write(ledger)
    incidents.bring_up_to_date(ledger, [RED])
    result = command("alerts", "-o", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [one["kind"] for one in found["now"]] == ["red"]
    assert [(one["dag_id"], one["told_at"]) for one in found["incidents"]] == [("contact_sync__customers", None)]
    assert command("alerts").stdout.count("contact_sync__customers") == 1


def test_alerts_that_are_over_leave_the_exit_code_at_fine(command, ledger: Ledger, folder: Path) -> None:
    incidents.bring_up_to_date(ledger, [RED])
    incidents.bring_up_to_date(ledger, [])
    result = command("alerts")
    assert (result.exit_code, "Nothing arrived." in result.stdout) == (0, True)


def test_test_alert_arrives_and_says_who_took_it(command, monkeypatch: pytest.MonkeyPatch) -> None:
    with posts() as good, posts() as bad:
        bad.status = 500
        config = [{"path": good.url}, {"path": bad.url.replace("json", "xml")}]
        value = json.dumps({"conn_type": "apprise", "extra": {"config": config}})
        monkeypatch.setenv("AIRFLOW_CONN_ALERTS", value)
        monkeypatch.setenv("AIRFLOW__OMETRIA__ALERTS_CONN_ID", "alerts")
        result = command("alerts", "--test")
        assert (result.exit_code, result.stdout) == (1, "JSON took it.\n")
        assert "XML did not take it: is the URL in connection `alerts` right?" in result.stderr
        assert json.loads(command("alerts", "--test", "-o", "json").stdout)["refused"] == ["XML"]
        assert [title for title, _ in good.texts()] == ["Ometria sync: a test"] * 2


def test_test_alert_without_a_connection_says_what_to_set(command, ledger: Ledger) -> None:
    result = command("alerts", "--test")
    assert result.exit_code == 1
    assert "`[ometria] alerts_conn_id` is empty" in result.stderr
