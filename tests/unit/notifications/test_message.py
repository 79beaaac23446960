"""What people get to read of an incident."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ledgers import PastRun
from ometria_provider.attention import KINDS
from ometria_provider.ledger import history, rejections
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.incidents import IncidentRow
from ometria_provider.notifications.message import Facts, alert

THREE = datetime(2026, 3, 1, 3, tzinfo=UTC)
INCIDENT = IncidentRow(
    1, "contact_sync__customers", "sync", "red", 1, "Nothing arrived.", THREE, None, None, None, None
)


@pytest.fixture
def facts(sqlite_ledger: Ledger) -> Facts:
    refused = [
        (f"member{n}", "mapping", "phone_number" if n < 4 else "email" if n < 7 else f"field{n}", "is wrong")
        for n in range(9)
    ]
    counts = {"read": 2000, "rejected": 9, "sent": 1991, "accepted": 1991}
    run = PastRun(
        run_id="scheduled__2026-03-01T03:00:00+00:00",
        state="failed",
        reason="Nothing arrived.",
        counts=counts,
        rejections=refused,
    )
    number = run.write(sqlite_ledger).id
    return Facts(
        incident=INCIDENT,
        name="customers",
        run=history.run_row(sqlite_ledger, number),
        rejections=rejections.rejection_groups(sqlite_ledger, number),
        is_green=False,
        base_url="https://airflow.example.com",
    )


def changed(facts: Facts, *, run: Any = ..., is_green: bool = False, **incident: Any) -> Facts:
    row = dataclasses.replace(facts.incident, **incident)
    return dataclasses.replace(facts, incident=row, is_green=is_green, run=facts.run if run is ... else run)


def test_alert_of_a_red_sync_holds_the_facts_three_reasons_and_the_links(facts: Facts) -> None:
    told = alert(facts)
    assert (told.title, told.kind) == ("Ometria sync customers is red: failed", "failure")
    lines = told.body.splitlines()
    assert lines[0] == "Nothing arrived."
    assert "Mapping: customers" in lines
    assert (
        "Members: 2,000 read, 0 unchanged, 0 filtered, 9 rejected, 1,991 sent, 1,991 accepted, 0 pending, 0 departed"
        in lines
    )
    assert [line for line in lines if line.startswith("Rejected:")] == [
        "Rejected: 4 × phone_number: is wrong (mapping)",
        "Rejected: 3 × email: is wrong (mapping)",
        "Rejected: 1 × field7: is wrong (mapping)",
    ]
    assert "Run: https://airflow.example.com/ometria/runs/1" in lines
    assert (
        "In Airflow: https://airflow.example.com/dags/contact_sync__customers/runs/"
        "scheduled__2026-03-01T03%3A00%3A00%2B00%3A00" in lines
    )
    assert lines[-1] == "What to do: runbook, “A sync is red”"
    assert "member1" not in told.body, "nobody's id goes out of the house"


def test_alert_of_its_end_says_green_again_and_how_long_it_was(facts: Facts) -> None:
    told = alert(changed(facts, over_at=THREE + timedelta(hours=1), is_green=True))
    assert (told.title, told.kind) == ("Ometria sync customers is green again", "success")
    assert told.body.startswith("It is over. It lasted from 2026-03-01 03:00:00Z to 2026-03-01 04:00:00Z.")
    assert "Rejected:" not in told.body
    assert "What to do" not in told.body


def test_alert_of_an_end_without_a_green_run_does_not_call_it_green(facts: Facts) -> None:
    told = alert(changed(facts, over_at=THREE + timedelta(hours=1)))
    assert told.title == "Ometria sync customers is no longer watched"
    assert "Its mapping file or its schedule is gone" in told.body


def test_alert_of_a_late_sync_without_a_run_links_to_the_dag(facts: Facts) -> None:
    late = changed(facts, run=None, kind="stale", words="It is late.", sync_run_id=None)
    told = alert(dataclasses.replace(late, rejections=[]))
    assert told.title == "Ometria sync customers is late"
    assert "DAG: https://airflow.example.com/dags/contact_sync__customers" in told.body.splitlines()
    assert "Members:" not in told.body


@pytest.mark.parametrize(
    ("topic", "begins", "ends"),
    [
        ("approval", "Ometria sync customers: run 1 waits for approval", "Ometria sync customers: run 1 is decided"),
        ("campaign", "Ometria campaigns of customers are late", "Ometria campaigns of customers are in time again"),
    ],
)
def test_alert_of_other_topics_names_them(facts: Facts, topic: str, begins: str, ends: str) -> None:
    one = changed(facts, topic=topic, kind=topic)
    assert alert(one).title == begins
    assert alert(changed(one, over_at=THREE)).title == ends
    assert KINDS[topic] in alert(one).body


def test_alert_of_a_broken_file_says_when_it_is_whole_again(facts: Facts) -> None:
    one = changed(facts, kind="broken", words="customers.yaml, line 3: no.")
    assert alert(one).title == "Ometria sync customers: its mapping file is broken"
    over = alert(changed(one, over_at=THREE))
    assert over.title == "Ometria sync customers: its mapping file is whole again, or gone"
    assert "It is over." in over.body


def test_alert_of_a_long_reason_is_cut(facts: Facts) -> None:
    assert len(alert(changed(facts, words="x" * 9_000)).body) < 2_000
