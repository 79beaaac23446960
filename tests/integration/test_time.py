"""Clocks and calendars: skewed clocks, a run over midnight, changes of the hour, leap days."""

from __future__ import annotations

import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ometria_provider import factory
from ometria_provider.hooks import antavo
from ometria_provider.operators import mapping as mapping_operators
from sync import FIELDS, Sync

BIRTHDAY = {"loyalty": "birth_date", "remote": "date_of_birth"}


class Clock(datetime.datetime):
    """A clock that can be set; what a module calls `datetime` is replaced by it."""

    moment: datetime.datetime

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return cls.moment if tz is None else cls.moment.astimezone(tz)


def set_clock(monkeypatch: pytest.MonkeyPatch, moment: datetime.datetime) -> None:
    """Let map take this for now."""
    monkeypatch.setattr(Clock, "moment", moment, raising=False)
    monkeypatch.setattr(mapping_operators, "datetime", Clock)


@pytest.mark.parametrize("minutes", [-4, 4, -6])
def test_clock_four_minutes_off_signs_and_six_are_named(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """Signatures allow 300 s; the sandbox checks them against its own clock."""
    wrong = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    monkeypatch.setitem(antavo.ESCHER_OPTIONS, "current_time", wrong)
    sync.mapping()
    run = sync.run()
    if abs(minutes) <= 4:
        assert run.green, run.text
        assert run.row["accepted"] == sync.received()["stored"] > 200
    else:
        assert run.state == "failed"
        assert "antavo_default" in run.text
        assert sync.received()["received"] == 0


def test_birthday_today_is_taken_on_either_side_of_midnight(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """The day is the one in UTC when map works; a run that began the day before is none the worse."""
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    sync.nobody()
    today, tomorrow = sync.member(birth_date="2026-03-31"), sync.member(birth_date="2026-04-01")
    set_clock(monkeypatch, datetime.datetime(2026, 3, 31, 23, 59, 59, tzinfo=datetime.UTC))
    run = sync.start(["plan", "extract", "map"])
    assert [row["contact_id"] for row in run.rejections] == [tomorrow]
    set_clock(monkeypatch, datetime.datetime(2026, 4, 1, 0, 0, 1, tzinfo=datetime.UTC))
    done = sync.clear(run, "map", "validate", "gate", "push", "reconcile")
    assert done.green, done.text
    done.assert_balanced()
    assert (done.row["accepted"], done.rejections) == (2, [])
    assert sync.contact(today)["date_of_birth"] == "2026-03-31"
    assert sync.contact(tomorrow)["date_of_birth"] == "2026-04-01"


def test_day_is_utcs_wherever_the_machine_stands(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    sync.nobody()
    early = sync.member(birth_date="2026-04-01")
    in_auckland = datetime.datetime(2026, 4, 1, 9, 0, tzinfo=ZoneInfo("Pacific/Auckland"))  # still March in UTC
    set_clock(monkeypatch, in_auckland)
    run = sync.run()
    assert [row["contact_id"] for row in run.rejections] == [early]


#: Antavo's times, and what Ometria gets: always UTC, around leap days and both changes of the hour.
TIMES = {
    "2024-02-29": "2024-02-29",
    "2000-02-29": "2000-02-29",
    "1900-02-29": None,  # that year had none
    "2023-02-29": None,
}
MOMENTS = {
    "2026-03-29T00:59:59+00:00": "2026-03-29T00:59:59+00:00",
    "2026-03-29T03:00:00+02:00": "2026-03-29T01:00:00+00:00",
    "2026-10-25T02:30:00+02:00": "2026-10-25T00:30:00+00:00",
    "2026-10-25T02:30:00+01:00": "2026-10-25T01:30:00+00:00",
    "2024-02-29T23:59:59-05:00": "2024-03-01T04:59:59+00:00",
}


@pytest.mark.parametrize("machine", ["UTC", "Europe/Berlin", "America/New_York"])
def test_dates_and_times_arrive_right_wherever_the_machine_stands(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    import time

    monkeypatch.setenv("TZ", machine)
    time.tzset()
    try:
        seen = {"loyalty": "properties.seen", "remote": "seen", "transform": ["datetime"]}
        sync.mapping(fields=[*FIELDS, BIRTHDAY, seen])
        sync.nobody()
        born = {sync.member(birth_date=value): wanted for value, wanted in TIMES.items()}
        met = {sync.member(properties={"seen": value}): wanted for value, wanted in MOMENTS.items()}
        run = sync.run()
        run.assert_balanced()
        refused = {row["contact_id"] for row in run.rejections}
        assert refused == {member for member, wanted in born.items() if wanted is None}
        assert all(sync.contact(member)["date_of_birth"] == wanted for member, wanted in born.items() if wanted)
        assert {member: sync.contact(member)["properties"]["seen"] for member in met} == met
        assert sync.run().row["sent"] == 0
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)], ids=["an hour less", "an hour more"]
)
def test_schedule_keeps_the_wall_clock_over_a_change_of_the_hour(sync: Sync, day: str, hours: int) -> None:
    """Daily at 4:30 in Berlin is daily at 4:30, once a day, though a day has 23 or 25 hours."""
    from airflow.sdk import CronTriggerTimetable

    sync.mapping(schedule="30 4 * * *", timezone="Europe/Berlin")
    timetable = factory.contact_sync_dags()["contact_sync__members"].timetable
    assert isinstance(timetable, CronTriggerTimetable)
    runs = _runs(timetable, datetime.date.fromisoformat(day))
    assert [run.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") for run in runs] == ["04:30"] * 3
    assert [(later - earlier).total_seconds() / 3600 for earlier, later in pairwise(runs)] == [hours, 24]


def _runs(timetable: Any, day: datetime.date) -> list[datetime.datetime]:
    """Return the three runs from the day before on, as the scheduler works them out."""
    import pendulum
    from airflow.timetables.base import TimeRestriction
    from airflow.timetables.trigger import CronTriggerTimetable

    cron = CronTriggerTimetable(timetable.expression, timezone=str(timetable.timezone))
    start = pendulum.datetime(day.year, day.month, day.day).subtract(days=1)
    found, last = [], None
    for _ in range(3):
        info = cron.next_dagrun_info(
            last_automated_data_interval=last, restriction=TimeRestriction(earliest=start, latest=None, catchup=True)
        )
        assert info is not None
        found.append(info.run_after)
        last = info.data_interval
    return found
