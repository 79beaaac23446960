"""Incidents: opened once, told once, over once, whoever looks and dies in between."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from ometria_provider.ledger import incidents
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.incidents import Found
from sqlalchemy import text

DAG = "contact_sync__customers"
RED = Found(DAG, "sync", "red", "Nothing arrived.", 7)
STALE = Found(DAG, "sync", "stale", "It is late.")


def age(ledger: Ledger, **columns: timedelta) -> None:
    """Put times of all incidents back."""
    for name, by in columns.items():
        with ledger.write() as connection:
            connection.execute(text(f"UPDATE incident SET {name} = :at"), {"at": str(datetime.now(UTC) - by)})


def test_incident_is_opened_and_told_once_however_often_one_looks(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [RED])
    incidents.bring_up_to_date(ledger, [RED])
    (due,) = incidents.claim_due(ledger)
    assert (due.dag_id, due.kind, due.words, due.sync_run_id) == (DAG, "red", "Nothing arrived.", 7)
    incidents.told(ledger, due)
    incidents.bring_up_to_date(ledger, [RED])
    assert incidents.claim_due(ledger) == []
    assert len(incidents.list_incidents(ledger)) == 1


def test_incident_that_is_over_is_told_once_more_and_then_never(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [RED])
    incidents.told(ledger, incidents.claim_due(ledger)[0])
    incidents.bring_up_to_date(ledger, [])
    (over,) = incidents.claim_due(ledger)
    assert over.over_at is not None
    incidents.told(ledger, over)
    assert incidents.claim_due(ledger) == []
    incidents.bring_up_to_date(ledger, [RED])
    assert [one.id > over.id for one in incidents.claim_due(ledger)] == [True], "another time is another incident"


def test_incident_that_nobody_heard_of_ends_in_silence(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [RED])
    incidents.bring_up_to_date(ledger, [])
    assert incidents.claim_due(ledger) == []


def test_incident_that_is_late_and_then_red_is_told_again_as_the_same(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [STALE])
    incidents.told(ledger, incidents.claim_due(ledger)[0])
    incidents.bring_up_to_date(ledger, [RED])
    (again,) = incidents.claim_due(ledger)
    assert (again.kind, again.words) == ("red", "Nothing arrived.")
    assert len(incidents.list_incidents(ledger)) == 1


def test_incident_that_is_red_for_another_reason_says_the_latest_and_is_not_told_again(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [RED])
    incidents.told(ledger, incidents.claim_due(ledger)[0])
    incidents.bring_up_to_date(ledger, [Found(DAG, "sync", "red", "144 members left.", 8)])
    (one,) = incidents.list_incidents(ledger)
    assert (one.words, one.sync_run_id) == ("144 members left.", 8)
    assert incidents.claim_due(ledger) == []


def test_telling_is_claimed_by_one_process_and_free_again_when_that_died(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [RED])
    assert len(incidents.claim_due(ledger)) == 1
    assert incidents.claim_due(ledger) == [], "somebody is about to tell"
    age(ledger, claimed_at=incidents.LEASE + timedelta(seconds=1))
    assert len(incidents.claim_due(ledger)) == 1


def test_of_many_who_look_at_once_one_opens_and_one_tells(ledger: Ledger) -> None:
    start = threading.Barrier(6)

    def look(_number: int) -> int:
        start.wait()
        incidents.bring_up_to_date(ledger, [RED])
        return len(incidents.claim_due(ledger))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(look, range(6))) == 1
    assert len(incidents.list_incidents(ledger)) == 1


def test_telling_that_failed_is_due_again_with_its_reason_kept(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [RED])
    incidents.not_told(ledger, incidents.claim_due(ledger)[0], "slack did not take it")
    assert [one.failure for one in incidents.untold(ledger)] == ["slack did not take it"]
    assert len(incidents.claim_due(ledger)) == 1


def test_telling_of_what_became_another_incident_meanwhile_does_not_count(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [STALE])
    (late,) = incidents.claim_due(ledger)
    incidents.bring_up_to_date(ledger, [RED])
    incidents.told(ledger, late)
    assert [one.kind for one in incidents.claim_due(ledger)] == ["red"]


def test_look_at_one_dag_leaves_the_incidents_of_the_others(ledger: Ledger) -> None:
    other = Found("contact_sync__others", "sync", "red", "x")
    incidents.bring_up_to_date(ledger, [RED, other])
    incidents.bring_up_to_date(ledger, [], dag_ids=[DAG])
    assert [one.dag_id for one in incidents.list_incidents(ledger, only_open=True)] == ["contact_sync__others"]
    assert [one.dag_id for one in incidents.claim_due(ledger, dag_ids=[DAG])] == []


def test_approval_beside_a_red_sync_is_an_incident_of_its_own(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [RED, Found(DAG, "approval", "approval", "Run 8 waits.", 8)])
    assert len(incidents.claim_due(ledger)) == 2


def test_run_that_waits_after_another_one_is_an_incident_of_its_own(ledger: Ledger) -> None:
    def waits(run: int) -> Found:
        return Found(DAG, "approval", "approval", f"Run {run} waits.", run, of_one_run=True)

    incidents.bring_up_to_date(ledger, [waits(7)])
    incidents.told(ledger, incidents.claim_due(ledger)[0])
    incidents.bring_up_to_date(ledger, [waits(7)])
    assert incidents.claim_due(ledger) == []
    incidents.bring_up_to_date(ledger, [waits(8)])
    due = [(one.sync_run_id, one.over_at is None) for one in incidents.claim_due(ledger)]
    assert due == [(7, False), (8, True)]


def test_pruning_takes_what_is_over_for_long(ledger: Ledger) -> None:
    incidents.bring_up_to_date(ledger, [RED])
    incidents.bring_up_to_date(ledger, [])
    incidents.bring_up_to_date(ledger, [RED])
    with ledger.write() as connection:
        incidents.prune_incidents(connection, datetime.now(UTC) + timedelta(seconds=1))
    assert [one.over_at for one in incidents.list_incidents(ledger)] == [None]


def since(ledger: Ledger) -> datetime:
    return incidents.watched(ledger)[DAG].since


@pytest.fixture
def old(ledger: Ledger) -> datetime:
    """Watch a schedule since a day ago."""
    incidents.watch(ledger, {DAG: ("@daily", "UTC")})
    at = datetime.now(UTC) - timedelta(days=1)
    with ledger.write() as connection:
        connection.execute(text("UPDATE watched_schedule SET since = :at"), {"at": str(at)})
    return at


def test_schedule_is_expected_from_when_it_was_first_seen(ledger: Ledger, old: datetime) -> None:
    incidents.watch(ledger, {DAG: ("@daily", "UTC")})
    assert since(ledger) == old


def test_schedule_that_changed_is_expected_from_then_on(ledger: Ledger, old: datetime) -> None:
    incidents.watch(ledger, {DAG: ("@hourly", "UTC")})
    assert since(ledger) > old
    assert incidents.watched(ledger)[DAG].schedule == "@hourly"


def test_schedule_that_changed_does_not_end_what_is_late(ledger: Ledger, old: datetime) -> None:
    incidents.bring_up_to_date(ledger, [STALE])
    incidents.watch(ledger, {DAG: ("@hourly", "UTC")})
    assert since(ledger) == old


def test_schedule_that_is_gone_is_forgotten(ledger: Ledger, old: datetime) -> None:
    incidents.watch(ledger, {})
    assert incidents.watched(ledger) == {}
