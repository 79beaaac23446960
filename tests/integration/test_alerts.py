"""People hear of a run as it ends, whatever becomes of the alert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from ometria_provider.ledger import incidents, runs
from ometria_provider.notifications.ometria import SyncNotifier
from services import Posts, posts
from sync import FIELDS, Sync

pytestmark = pytest.mark.usefixtures("airflow_database")


@pytest.fixture
def service(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    with posts() as found:
        value = json.dumps({"conn_type": "apprise", "extra": {"config": {"path": found.url}}})
        monkeypatch.setenv("AIRFLOW_CONN_ALERTS", value)
        sync.set("alerts_conn_id", "alerts")
        yield found


def test_red_run_is_told_as_it_ends_and_the_next_green_one_too(sync: Sync, service: Posts) -> None:
    sync.nobody()
    sync.mapping()
    assert sync.run_dag().state == "failed"
    ((title, body),) = service.texts()
    assert title == "Ometria sync members is red: halted"
    assert "Antavo returned no customers at all." in body
    assert sync.run_dag().state == "failed"
    assert len(service.received) == 1, "it is the same incident"
    sync.member()
    assert sync.run_dag().green
    assert [title for title, _ in service.texts()[1:]] == ["Ometria sync members is green again"]
    assert "ann@example.com" not in json.dumps(service.received)


def test_alert_names_reasons_counts_and_links_and_no_member(
    sync: Sync, service: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    sync.nobody()
    good = sync.member(email="secret.person@example.com")
    bad = [sync.member(birth_date="2999-01-01", email="other.person@example.com") for _ in range(6)]
    rows = [*FIELDS, {"loyalty": "birth_date", "remote": "date_of_birth"}]
    sync.mapping(fields=rows, limits={"max_rejected_share": 0.1, "min_count": 5})
    run = sync.run_dag()
    ((title, body),) = service.texts()
    assert title == "Ometria sync members is red: halted"
    lines = body.splitlines()
    assert "6 of 7 members would be newly rejected" in lines[0]
    assert "Members: 7 read, 0 unchanged, 0 filtered, 6 rejected, 0 sent, 0 accepted, 1 pending, 0 departed" in lines
    (rejected,) = (line for line in lines if line.startswith("Rejected: "))
    assert rejected.startswith("Rejected: 6 × date_of_birth: ")
    assert f"Run: https://airflow.example.com/ometria/runs/{run.row['id']}" in lines
    assert any(line.startswith("In Airflow: https://airflow.example.com/dags/contact_sync__members/") for line in lines)
    for text in ("2999", "person@example.com", good, *bad):
        assert text not in body


def test_run_with_a_broken_file_is_told_with_the_file(sync: Sync, service: Posts) -> None:
    sync.file("members", "list: none\nfields: []\n")
    assert sync.run_dag().state == "failed"
    ((title, body),) = service.texts()
    assert title == "Ometria sync members is red: failed"
    assert "members.yaml" in body


def test_alert_that_fails_fails_no_run_and_is_kept(sync: Sync, service: Posts) -> None:
    sync.member()
    sync.mapping()
    incidents_before = incidents.Found("contact_sync__members", "sync", "red", "x")
    sync.run_dag()
    incidents.bring_up_to_date(sync.ledger, [incidents_before])
    incidents.told(sync.ledger, incidents.claim_due(sync.ledger)[0])
    service.status = 500
    run = sync.run_dag()
    assert (run.green, run.row["state"]) == (True, "succeeded")
    (over,) = incidents.list_incidents(sync.ledger)
    assert (over.over_told_at, "did not take" in str(over.failure)) == (None, True)


def test_run_whose_report_was_killed_is_closed_and_told(sync: Sync, service: Posts) -> None:
    sync.mapping()
    begun = sync.run_until_push()
    work = begun.work
    SyncNotifier()({"ti": SimpleNamespace(dag_id=work.dag_id), "run_id": work.run_id})
    assert sync.query("SELECT state, reason FROM sync_run") == [{"state": "failed", "reason": runs.KILLED}]
    assert [title for title, _ in service.texts()] == ["Ometria sync members is red: failed"]
