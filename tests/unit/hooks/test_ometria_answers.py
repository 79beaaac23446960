"""Ometria's answers, as odd as they may be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ometria_provider.hooks import ometria_answers as answers


@pytest.mark.parametrize(
    ("given", "rejected"),
    [({}, 0), ({"rejected": None}, 0), ({"rejected": 3}, 3), ({"rejected": " 4 "}, 4), ({"rejected": "some"}, 1)],
    ids=["no count", "null", "a number", "a text", "cannot be read: a doubt"],
)
def test_read_push_takes_a_count_that_cannot_be_read_for_a_doubt(given: dict[str, Any], rejected: int) -> None:
    assert answers.read_push({"accepted": True, **given}) == answers.PushAnswer(0, rejected, None)


def test_read_error_leaves_out_what_may_be_a_members_value() -> None:
    path = "root > ann@example.com" + " > x" * 200
    found = answers.read_error({"error_message": "ann@example.com is not valid", "error_path": path})
    assert "ann@" not in found.message + found.path
    assert len(found.path) == 250
    assert answers.read_error({}) == ("", "")


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        (86_400, datetime(1970, 1, 2, tzinfo=UTC)),
    ],
    ids=["an offset", "none: UTC", "unix seconds"],
)
def test_read_unsubscribe_reads_its_time(timestamp: Any, at: datetime) -> None:
    row = {"profile_id": 7, "email_address": " ", "timestamp": timestamp}
    assert answers.read_unsubscribe(row) == answers.Unsubscribed("7", None, at)


@pytest.mark.parametrize("timestamp", [None, "yesterday", 1e30], ids=["none", "no time", "out of range"])
def test_read_unsubscribe_without_a_time_counts_as_now(timestamp: Any) -> None:
    before = datetime.now(UTC)
    assert answers.read_unsubscribe({"timestamp": timestamp}).at >= before


@pytest.mark.parametrize("row", [{"id": "x1"}, {}, "4821"], ids=["no number", "no id", "no object"])
def test_read_list_of_something_else_is_none(row: Any) -> None:
    assert answers.read_list(row) is None
    assert "no list" in str(answers.check_list(row))


@pytest.mark.parametrize("data", [{"status": "ERROR"}, {}, [], None, "OK"])
def test_check_push_without_ok_acknowledges_nothing(data: Any) -> None:
    assert "OK" in str(answers.check_push(data))
    assert answers.check_push({"status": "ok"}) is None
