"""What needs attention, from ledger and files alone: no Airflow has to be up for it."""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ledgers import PastRun, green_run
from ometria_provider import attention
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import cursors, deliveries, history, inbox, incidents, runs
from ometria_provider.ledger.deliveries import Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.settings import Settings, read_settings
from sqlalchemy import text

NOW = datetime.now(UTC)  # of each test anew: it may begin long after this file was read
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(sqlite_ledger: Ledger) -> Ledger:
    return sqlite_ledger


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("mappings", "workflows"):
        (tmp_path / name).mkdir()
    return dataclasses.replace(
        read_settings(), mappings_folder=tmp_path / "mappings", workflows_folder=tmp_path / "workflows"
    )


def mapping(settings: Settings, name: str = "customers", **keys: Any) -> Path:
    file = settings.mappings_folder / f"{name}.yaml"
    rows = [{"loyalty": "first_name", "remote": "firstname"}]
    file.write_text(json.dumps({"list": 4821, "fields": rows, "schedule": "@hourly"} | keys))
    return file


def workflow(settings: Settings, **keys: Any) -> None:
    payload = [{"value": "x", "remote": "y"}]
    data = {"trigger": {"event": "reward"}, "action": {"event_type": "claimed", "payload": payload}} | keys
    (settings.workflows_folder / "thanks.yaml").write_text(json.dumps(data))


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC))


def needing(ledger: Ledger, settings: Settings, now: datetime | None = None) -> list[incidents.Found]:
    return attention.needing_attention(ledger, settings, attention.watched_dags(settings, ledger), now or NOW)


def found(ledger: Ledger, settings: Settings, now: datetime | None = None) -> list[tuple[str, str]]:
    return [(one.dag_id, one.kind) for one in needing(ledger, settings, now)]


def words(ledger: Ledger, settings: Settings, now: datetime | None = None) -> str:
    (one,) = needing(ledger, settings, now)
    return one.words


def test_red_run_needs_attention_with_its_own_reason(ledger: Ledger, settings: Settings) -> None:
    mapping(settings)
    run = PastRun(state="failed", reason="Nothing arrived.").write(ledger)
    (one,) = needing(ledger, settings)
    assert one == incidents.Found("contact_sync__customers", "sync", "red", "Nothing arrived.", run.id)


def test_waiting_run_needs_a_person(ledger: Ledger, settings: Settings) -> None:
    mapping(settings)
    PastRun(state="awaiting_approval").write(ledger)
    assert found(ledger, settings) == [("contact_sync__customers", "approval")]


def test_waiting_run_is_not_late_however_long_it_waits(ledger: Ledger, settings: Settings) -> None:
    mapping(settings)
    PastRun().write(ledger)
    late = datetime.now(UTC) + 4 * HOUR
    assert found(ledger, settings, late) == [("contact_sync__customers", "stale")]
    PastRun(run_id="2", state="awaiting_approval").write(ledger)
    assert found(ledger, settings, late) == [("contact_sync__customers", "approval")]


def test_another_run_that_waits_is_told_as_well(ledger: Ledger, settings: Settings) -> None:
    mapping(settings)
    for number in (1, 2):
        run = PastRun(run_id=str(number), state="awaiting_approval").write(ledger)
        attention.look(ledger, settings)
        runs.close_run(ledger, run.id, state="succeeded", reason=None, counts={})
    known = incidents.list_incidents(ledger)
    assert [(one.sync_run_id, one.over_at is None) for one in known] == [(2, True), (1, False)]


@pytest.mark.parametrize("times", [None, "5"])
def test_sync_that_has_not_finished_green_for_some_schedules_is_late(
    ledger: Ledger, settings: Settings, times: str | None
) -> None:
    settings = dataclasses.replace(settings, stale_after=times or settings.stale_after)
    mapping(settings)
    PastRun().write(ledger)
    limit = int(times or 3) * HOUR
    assert found(ledger, settings, datetime.now(UTC) + limit - timedelta(minutes=1)) == []
    late = datetime.now(UTC) + limit + timedelta(minutes=1)
    assert found(ledger, settings, late) == [("contact_sync__customers", "stale")]
    assert "is scheduled `@hourly` (UTC)" in words(ledger, settings, late)
    assert "Is its DAG paused or broken" in words(ledger, settings, late)
    number = PastRun(run_id="2", state=None).write(ledger).id
    assert f"Run {number} is at work since" in words(ledger, settings, late)


def test_sync_that_never_ran_is_late_from_when_its_schedule_was_seen(ledger: Ledger, settings: Settings) -> None:
    mapping(settings)
    later = NOW + 4 * HOUR
    assert found(ledger, settings, later) == [], "nobody has looked before"
    attention.look(ledger, settings)
    assert found(ledger, settings, later) == [("contact_sync__customers", "stale")]
    assert "has not finished green ever" in words(ledger, settings, later)


def test_sync_without_a_schedule_is_never_late(ledger: Ledger, settings: Settings) -> None:
    mapping(settings, schedule=None)
    PastRun().write(ledger)
    attention.look(ledger, settings)
    assert found(ledger, settings, NOW + timedelta(days=400)) == []


@pytest.mark.parametrize("text", ["schedule: '@hourly'\nlist: none\n", "list: [\n"], ids=["wrong", "unreadable"])
def test_sync_whose_file_is_broken_is_said_so_and_keeps_the_schedule_that_it_had(
    ledger: Ledger, settings: Settings, text: str
) -> None:
    file = mapping(settings)
    attention.look(ledger, settings)
    file.write_text(text)
    (dag,) = attention.watched_dags(settings, ledger)
    assert dag.schedule == ("@hourly", "UTC")
    assert found(ledger, settings) == [("contact_sync__customers", "broken")]
    assert words(ledger, settings).startswith("customers.yaml, line ")


def age(file: Path, seconds: float) -> None:
    """Let a file be as if it was written some seconds ago."""
    at = datetime.now(UTC).timestamp() - seconds
    os.utime(file, (at, at))


def open_kinds(ledger: Ledger, settings: Settings) -> list[str]:
    attention.look(ledger, settings)
    return [one.kind for one in incidents.list_incidents(ledger, only_open=True)]


def test_file_that_is_half_written_is_shown_at_once_and_is_an_incident_once_it_stands_still(
    ledger: Ledger, settings: Settings
) -> None:
    file = mapping(settings)
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    assert found(ledger, settings) == [("contact_sync__customers", "broken")]
    assert open_kinds(ledger, settings) == []
    age(file, 61)
    assert open_kinds(ledger, settings) == ["broken"]
    file.write_text(whole[: len(whole) // 2 + 1])
    assert open_kinds(ledger, settings) == ["broken"], "still broken: nobody hears that it is over"
    file.write_text(whole)
    assert open_kinds(ledger, settings) == [], "a file that is whole is believed at once"


def test_file_from_the_future_of_another_clock_is_told_of(ledger: Ledger, settings: Settings) -> None:
    file = mapping(settings)
    file.write_text("list: [\n")
    age(file, -3600)
    assert open_kinds(ledger, settings) == ["broken"]


def test_red_run_of_a_file_that_is_being_written_is_told_at_once(ledger: Ledger, settings: Settings) -> None:
    mapping(settings).write_text("list: [\n")
    PastRun(state="failed", reason="Nothing arrived.").write(ledger)
    assert open_kinds(ledger, settings) == ["red"]


def test_mapping_whose_collection_another_owns_is_broken_until_it_has_its_own(
    ledger: Ledger, settings: Settings
) -> None:
    mapping(settings)
    mapping(settings, "others", collection="customers")
    assert found(ledger, settings) == [("contact_sync__others", "broken")]
    (only,) = attention.watched_dags(settings, ledger, only="contact_sync__others")
    assert "is owned by" in only.broken
    mapping(settings, "others")
    assert found(ledger, settings) == []


def test_red_run_comes_before_its_broken_file(ledger: Ledger, settings: Settings) -> None:
    mapping(settings).write_text("list: [\n")
    PastRun(state="failed", reason="Nothing arrived.").write(ledger)
    assert found(ledger, settings) == [("contact_sync__customers", "red")]


def test_files_that_ask_for_one_dag_are_watched_as_one(ledger: Ledger, settings: Settings) -> None:
    file = mapping(settings)
    file.rename(file.with_name("a b.yaml"))
    (file.with_name("a_b.yaml")).write_text("list: [\n")
    attention.look(ledger, settings)
    (dag,) = attention.watched_dags(settings, ledger)
    assert (dag.dag_id, dag.schedule) == ("contact_sync__a_b", ("@hourly", "UTC"))
    assert found(ledger, settings) == [("contact_sync__a_b", "broken")]


def test_campaigns_whose_events_nobody_reads_are_late(ledger: Ledger, settings: Settings) -> None:
    workflow(settings)
    cursors.move(ledger, "antavo_default", "", "collected:thanks", at=NOW, run_id=0)
    assert found(ledger, settings, NOW + timedelta(minutes=14)) == []
    late = NOW + timedelta(minutes=16)
    assert found(ledger, settings, late) == [("campaign_events__antavo_default", "campaign")]
    assert "were last read at" in words(ledger, settings, late)


def test_campaigns_whose_dag_was_never_unpaused_are_not_late(ledger: Ledger, settings: Settings) -> None:
    workflow(settings)
    attention.look(ledger, settings)
    assert found(ledger, settings, NOW + timedelta(days=2)) == []


def test_campaigns_that_antavo_never_answered_are_late_from_the_first_run_on(
    ledger: Ledger, settings: Settings
) -> None:
    workflow(settings)
    attention.look(ledger, settings)
    unpaused = NOW + timedelta(days=2)
    cursors.move(ledger, "antavo_default", "", "workflow:thanks", at=unpaused, run_id=0)
    assert found(ledger, settings, unpaused + timedelta(minutes=14)) == []
    late = unpaused + timedelta(minutes=16)
    assert found(ledger, settings, late) == [("campaign_events__antavo_default", "campaign")]


def test_campaigns_with_a_broken_file_need_attention_at_once(ledger: Ledger, settings: Settings) -> None:
    workflow(settings, trigger={"evnt": "reward"})
    assert "thanks.yaml cannot be used" in words(ledger, settings)


def test_workflow_file_that_is_half_written_is_an_incident_once_it_stands_still(
    ledger: Ledger, settings: Settings
) -> None:
    workflow(settings, trigger={"evnt": "reward"})
    assert open_kinds(ledger, settings) == []
    age(settings.workflows_folder / "thanks.yaml", 61)
    assert open_kinds(ledger, settings) == ["campaign"]


def test_campaigns_whose_events_were_tried_in_vain_for_a_while_are_late(ledger: Ledger, settings: Settings) -> None:
    workflow(settings)
    late = NOW + timedelta(minutes=16)
    cursors.move(ledger, "antavo_default", "", "collected:thanks", at=late, run_id=0)
    inbox.put(ledger, "antavo_default", [Collected("1", "reward", "ann", NOW, b"{}", ("thanks",))], inbox.ASKED)
    assert found(ledger, settings, late) == [], "nobody has tried yet: a long queue is no incident"
    (one,) = deliveries.waiting(ledger, "antavo_default", limit=1)
    deliveries.write(ledger, "run", settled=[Settled(one.id, deliveries.WAITING, "Antavo does not answer")])
    assert found(ledger, settings, NOW) == []
    assert "1 event waits to be delivered" in words(ledger, settings, late)


def test_campaigns_that_get_nothing_through_need_attention(ledger: Ledger, settings: Settings) -> None:
    workflow(settings)
    cursors.move(ledger, "antavo_default", "", "collected:thanks", at=NOW, run_id=0)

    def judged(*states: str) -> None:
        ids = [str(uuid.uuid4()) for _ in states]
        events = [Collected(id_, "reward", "ann", NOW, b"{}", ("thanks",)) for id_ in ids]
        inbox.put(ledger, "antavo_default", events, inbox.ASKED)
        waiting = {one.event_id: one.id for one in deliveries.waiting(ledger, "antavo_default", limit=9)}
        settled = [Settled(waiting[id_], state, "no e-mail") for id_, state in zip(ids, states, strict=True)]
        deliveries.write(ledger, "run", settled=settled)

    judged("acknowledged", "rejected", "rejected", "skipped")
    assert found(ledger, settings) == []
    judged("rejected")
    assert words(ledger, settings) == "The last 3 events of thanks were all rejected, the latest: no e-mail."
    assert found(ledger, settings, NOW + timedelta(days=2))[0][1] == "campaign", "by then nobody reads events either"
    judged("acknowledged")
    assert found(ledger, settings) == []


def test_look_opens_incidents_and_ends_them(ledger: Ledger, settings: Settings) -> None:
    file = mapping(settings)
    PastRun(state="failed", reason="x").write(ledger)
    attention.look(ledger, settings)
    attention.look(ledger, settings)
    assert [one.over_at for one in incidents.list_incidents(ledger)] == [None]
    file.unlink()
    attention.look(ledger, settings)
    assert [one.over_at is None for one in incidents.list_incidents(ledger)] == [False], "its file is gone"


def test_look_reads_the_files_once(ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping(settings)
    read: list[Path] = []
    original = attention.check_folder
    monkeypatch.setattr(attention, "check_folder", lambda folder: read.append(folder) or original(folder))
    attention.look(ledger, settings)
    assert read == [settings.mappings_folder]


def test_look_after_another_schedule_counts_from_now_on(ledger: Ledger, settings: Settings) -> None:
    """A monthly sync that becomes an hourly one is not late in the look that sees so first."""
    mapping(settings, schedule="@monthly")
    attention.look(ledger, settings)
    with ledger.write() as connection:
        connection.execute(text("UPDATE watched_schedule SET since = '2026-01-01 00:00:00'"))
    mapping(settings, schedule="@hourly")
    before = [*needing(ledger, settings)]
    attention.look(ledger, settings)
    assert [one.kind for one in before] == ["stale"], "what the ledger held before the look"
    assert incidents.list_incidents(ledger) == []


def test_oldest_undelivered_of_a_sync_that_was_never_green_is_its_schedules_first_sight(
    ledger: Ledger, settings: Settings
) -> None:
    mapping(settings)
    PastRun(state="failed", reason="x").write(ledger)
    assert attention.oldest_undelivered(ledger, attention.watched_dags(settings, ledger)) == {}
    attention.look(ledger, settings)
    (dag,) = attention.watched_dags(settings, ledger)
    assert attention.oldest_undelivered(ledger, [dag]) == {dag.dag_id: dag.since}
    run = green_run(run_id="green").write(ledger)
    assert attention.oldest_undelivered(ledger, [dag]) == {dag.dag_id: history.run_row(ledger, run.id).started_at}


def test_look_without_the_mappings_folder_ends_nothing(ledger: Ledger, settings: Settings) -> None:
    file = mapping(settings)
    PastRun(state="failed", reason="x").write(ledger)
    attention.look(ledger, settings)
    file.unlink()
    settings.mappings_folder.rmdir()
    with pytest.raises(Misconfigured, match=r"The mappings folder .* does not exist"):
        attention.look(ledger, settings)
    assert [one.over_at for one in incidents.list_incidents(ledger)] == [None]


def test_look_at_one_dag_leaves_the_others_alone(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("customers", "others"):
        mapping(settings, name)
        PastRun(mapping=name, state="failed", reason="x").write(ledger)
    monkeypatch.setattr(attention, "load_accounts", lambda _folder: pytest.fail("workflows are no matter of a mapping"))
    attention.look(ledger, settings, only="contact_sync__others")
    assert [one.dag_id for one in incidents.list_incidents(ledger)] == ["contact_sync__others"]
    with ledger.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM watched_schedule")).scalar() == 0


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²"])
def test_stale_after_that_is_no_number_of_schedules_is_refused(settings: Settings, value: str) -> None:
    with pytest.raises(Misconfigured, match=r"`\[ometria\] stale_after` is '.*': write a whole number"):
        attention.stale_after(dataclasses.replace(settings, stale_after=value))


def test_every_kind_that_is_found_is_known(ledger: Ledger, settings: Settings) -> None:
    assert set(attention.KINDS) == {"red", "stale", "broken", "approval", "campaign"}
