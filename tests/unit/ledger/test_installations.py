"""Which versions work where, and which of them should not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ometria_provider import __version__
from ometria_provider.exceptions import Retryable
from ometria_provider.ledger import installations
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.installations import Seen, is_older, others
from sqlalchemy import text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installations, "_noted", {})


def seen(host: str, version: str, *minutes: int, role: str = "worker") -> Seen:
    first, last = minutes[0], minutes[-1]
    return Seen(host, role, version, NOON + timedelta(minutes=first), NOON + timedelta(minutes=last))


def test_note_is_found_with_host_role_and_version_and_repeated_once_a_minute(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    installations.note(ledger, "worker")
    installations.note(ledger, "triggerer")
    found = installations.seen(ledger, datetime.now(UTC))
    assert {(one.role, one.version) for one in found} == {("worker", __version__), ("triggerer", __version__)}
    before = {one.role: one.seen_at for one in found}
    installations.note(ledger, "worker")
    assert {one.role: one.seen_at for one in installations.seen(ledger, datetime.now(UTC))} == before
    monkeypatch.setattr(installations, "AGAIN", 0.0)
    installations.note(ledger, "worker")
    worker = next(one for one in installations.seen(ledger, datetime.now(UTC)) if one.role == "worker")
    assert worker.seen_at > before["worker"] >= worker.first_seen_at


def test_note_lets_go_of_machines_that_are_long_gone(ledger: Ledger) -> None:
    gone = {"first": NOON, "last": NOON}
    with ledger.write() as connection:
        row = "INSERT INTO installation VALUES ('old', 'worker', '0.0.1', :first, :last)"
        connection.execute(text(row), gone)
    installations.note(ledger, "worker")
    with ledger.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM installation")).scalar() == 1


def test_note_that_cannot_be_written_keeps_nobody_from_working(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked() -> None:
        raise Retryable("locked")

    monkeypatch.setattr(sqlite_ledger, "write_at_once", locked)
    installations.note(sqlite_ledger, "worker")
    assert "could not be written down" in caplog.text


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ([], []),
        ([seen("a", "1.0", 0, 60), seen("b", "1.0", 0, 60)], []),
        ([seen("a", "1.0", 0, 60), seen("b", "0.9", 0, 59)], ["b"]),
        ([seen("a", "1.0", 0, 60), seen("b", "1.1", 50, 59)], ["b"]),
        ([seen("a", "0.9", 0, 10), seen("a", "1.0", 20, 60)], []),
        ([seen("gone", "0.9", 0, 10), seen("a", "1.0", 20, 60)], []),
        ([seen("a", "0.9", 0, 60)], ["a"]),
        ([seen("a", "1.0", 0, 20), seen("a", "0.9", 10, 60)], ["a"]),
        ([seen("a", "1.0", 0, 60), seen("a", "0.9", 0, 60, role="api-server")], ["a"]),
    ],
    ids=[
        "nobody yet",
        "one version",
        "an older worker",
        "a newer worker",
        "an upgraded machine",
        "a machine that was replaced",
        "this one is new",
        "a machine put back",
        "an older api-server",
    ],
)
def test_others_are_those_at_work_beside_this_version(found: list[Seen], wrong: list[str]) -> None:
    assert [one.host for one in others(found, "1.0")] == wrong


def test_is_older_compares_numbers_and_not_letters() -> None:
    assert is_older("0.9.3", "0.10.0")
    assert not is_older("1.0", "0.10.0")
