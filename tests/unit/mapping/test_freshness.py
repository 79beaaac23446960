"""When a sync that last finished green counts as late."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ometria_provider.mapping.freshness import stale_from


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "timezone", "green", "times", "stale"),
    [
        pytest.param("@hourly", "UTC", "2026-03-02T01:10", 3, "2026-03-02T04:10", id="hourly"),
        pytest.param("@hourly", "UTC", "2026-03-02T01:00", 1, "2026-03-02T02:00", id="in-the-second-of-its-schedule"),
        pytest.param("0 9 * * 1-5", "UTC", "2026-03-06T09:20", 1, "2026-03-09T09:20", id="friday-to-monday"),
        pytest.param("0 2 * * *", "UTC", "2026-03-02T04:30", 2, "2026-03-04T04:30", id="a-run-of-hours"),
        pytest.param("0 4 * * *", "Europe/London", "2026-03-28T04:10", 1, "2026-03-29T03:10", id="a-day-of-23-hours"),
        pytest.param("0 4 * * *", "Europe/London", "2026-10-24T03:10", 1, "2026-10-25T04:10", id="a-day-of-25-hours"),
        pytest.param("* * * * *", "UTC", "2026-03-02T01:10", 3, "2026-03-02T01:25", id="never-sooner-than-patience"),
        pytest.param("@quarterly", "UTC", "2026-01-01T01:00", 1, "2026-04-01T01:00", id="quarterly"),
        pytest.param("@weekly", "UTC", "2026-03-01T01:00", 3, "2026-03-22T01:00", id="weekly"),
    ],
)
def test_stale_from_counts_runs_and_leaves_each_its_time(
    schedule: str, timezone: str, green: str, times: int, stale: str
) -> None:
    assert stale_from(schedule, timezone, at(green), times) == at(stale)


def test_stale_from_of_a_schedule_that_never_comes_is_never() -> None:
    assert stale_from("0 0 30 2 *", "UTC", at("2026-03-02T01:10"), 3) is None
