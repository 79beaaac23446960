"""When a run that should read changed customers only reads everybody all the same."""

from datetime import UTC, datetime, timedelta

import pytest
from ometria_provider.delivery.strategy import LastScan, why_full

NOW = datetime(2026, 3, 10, tzinfo=UTC)
CURSOR = NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("last", "cursor", "why"),
    [
        (None, None, "no complete scan was delivered yet"),
        (LastScan(CURSOR, same=True), None, "no complete scan was delivered yet"),
        (LastScan(CURSOR, same=False), CURSOR, "the mapping, a rule or the Antavo connection changed since"),
        (LastScan(NOW - timedelta(days=7), same=True), CURSOR, "the last complete scan began 7 days ago"),
        (LastScan(NOW - timedelta(days=6, hours=23), same=True), CURSOR, None),
    ],
    ids=["first run", "nothing delivered", "changed mapping", "too long ago", "fine"],
)
def test_why_full_says_why_everybody_is_read(last: LastScan | None, cursor: datetime | None, why: str | None) -> None:
    found = why_full(last, cursor, now=NOW, full_every=timedelta(days=7))
    assert found is None if why is None else found and why in found


def test_why_full_counts_short_times_in_hours() -> None:
    last = LastScan(NOW - timedelta(hours=5), same=True)
    assert why_full(last, CURSOR, now=NOW, full_every=timedelta(hours=4)) == "the last complete scan began 5 hours ago"
