"""What becomes of a member, by what the ledger knows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from ometria_provider.delivery.compare import Comparison

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULES = Comparison(run_id=7, retry_rejected=timedelta(days=1), now=NOW)
SAME, OTHER = b"same", b"other"


@dataclass
class Row:
    state: str = "accepted"
    fingerprint: bytes | None = SAME
    source_digest: bytes | None = SAME
    sync_run_id: int = 6
    changed_at: datetime = NOW - timedelta(hours=1)
    consent_digest: bytes | None = None
    opted_out_at: datetime | None = None
    sms_opted_out_at: datetime | None = None
    held: str | None = None
    details_at: datetime | None = NOW - timedelta(days=3)
    suspect: str | None = None


@pytest.mark.parametrize(
    ("row", "action"),
    [
        (None, None),
        (Row(), "unchanged"),
        (Row(source_digest=OTHER), None),
        (Row(state="filtered"), "filtered"),
        (Row(state="pending"), None),
        (Row(suspect="root > lastname"), None),
        (Row(state="rejected"), "remembered"),
        (Row(state="rejected", changed_at=NOW - timedelta(days=2)), None),
        (Row(state="departed"), "filtered"),
        (Row(state="departed", source_digest=None), None),
        (Row(sync_run_id=7), None),
        (Row(held="an opt-in"), None),
        (Row(state="rejected", opted_out_at=NOW), None),
        (Row(state="rejected", sms_opted_out_at=NOW), None),
        (Row(state="rejected", opted_out_at=NOW, consent_digest=b"out"), "remembered"),
        (Row(state="filtered", opted_out_at=NOW), "filtered"),
    ],
    ids=[
        *("new", "same", "changed", "filtered", "doubtful", "suspect", "rejected", "rejection due"),
        *("departed by the filter", "departed", "this run's own"),
        *("opt-in held back", "opt-out not acknowledged", "opt-out of SMS not acknowledged", "opt-out acknowledged"),
        "opt-out of somebody left out",
    ],
)
def test_at_a_glance_tells_who_needs_no_mapping(row: Row | None, action: str | None) -> None:
    assert RULES.at_a_glance(row, SAME) == action


@pytest.mark.parametrize(
    ("row", "action"),
    [
        (None, "send"),
        (Row(), "unchanged"),
        (Row(source_digest=OTHER), "unchanged"),
        (Row(fingerprint=OTHER), "send"),
        (Row(fingerprint=None, state="filtered"), "send"),
        (Row(state="pending"), "held"),
        (Row(state="rejected", fingerprint=OTHER), "remembered"),
        (Row(state="rejected", fingerprint=OTHER, source_digest=OTHER), "send"),
        (Row(state="rejected", fingerprint=OTHER, changed_at=NOW - timedelta(days=2)), "send"),
        (Row(sync_run_id=7), "send"),
        (Row(sync_run_id=7, state="pending"), "send"),
    ],
    ids=[
        "new",
        "same",
        "same record of a changed customer",
        "changed",
        "let in again",
        "doubtful",
        "rejected",
        "rejected, then changed",
        "rejection due",
        "acknowledged in this run",
        "on its way in this run",
    ],
)
def test_by_record_sends_only_what_differs(row: Row | None, action: str) -> None:
    assert RULES.by_record(row, SAME, SAME) == action


def test_by_refusal_of_a_known_rejection_is_remembered() -> None:
    assert RULES.by_refusal(Row(state="rejected"), SAME) == "remembered"
    assert RULES.by_refusal(Row(state="rejected"), OTHER) == "rejected"
    assert RULES.by_refusal(None, SAME) == "rejected"


def test_retry_rejected_null_waits_for_a_change() -> None:
    never = Comparison(run_id=7, retry_rejected=None, now=NOW)
    old = Row(state="rejected", changed_at=NOW - timedelta(days=900))
    assert never.by_refusal(old, SAME) == "remembered"


ASKED = Comparison(run_id=7, retry_rejected=None, now=NOW, asked_for=True)


@pytest.mark.parametrize(
    ("row", "action"),
    [
        (Row(), "unchanged"),
        (Row(state="pending"), "send"),
        (Row(state="rejected", fingerprint=OTHER), "send"),
        (Row(state="rejected"), "unchanged"),
    ],
    ids=["same", "doubtful", "rejected", "rejected, but Ometria holds this record"],
)
def test_member_asked_for_is_looked_at_anew_and_sent_unless_ometria_has_it(row: Row, action: str) -> None:
    assert ASKED.at_a_glance(row, SAME) is None
    assert ASKED.by_record(row, SAME, SAME) == action
    assert ASKED.by_refusal(row, SAME) == "rejected"


def test_by_record_with_another_consent_is_sent_though_the_rest_is_the_same() -> None:
    assert RULES.by_record(Row(), SAME, SAME, consent=True) == "send"
    assert RULES.by_record(Row(), SAME, SAME) == "unchanged"
    assert RULES.by_record(Row(state="rejected", opted_out_at=NOW), SAME, SAME, consent=True) == "remembered"


BASE, DETAILED = b"0123456789abcdef", b"0123456789abcdef" + b"and its details."


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        (None, True),
        (Row(source_digest=DETAILED), False),
        (Row(source_digest=DETAILED, state="filtered"), False),
        (Row(source_digest=DETAILED, state="rejected"), False),
        (Row(source_digest=DETAILED, state="rejected", changed_at=NOW - timedelta(days=2)), True),
        (Row(source_digest=DETAILED, details_at=NOW - timedelta(days=8)), True),
        (Row(source_digest=DETAILED, details_at=None), True),
        (Row(source_digest=b"another customer" + DETAILED[16:]), True),
        (Row(source_digest=None), True),
        (Row(source_digest=DETAILED, state="departed"), False),
        (Row(source_digest=DETAILED, sync_run_id=7), True),
    ],
    ids=[
        "new",
        "unchanged and fresh",
        "filtered before",
        "rejected before",
        "rejection due",
        "too old",
        "never asked",
        "changed",
        "withdrawn",
        "left out, and departed",
        "this run's own",
    ],
)
def test_needs_details_spares_only_the_unchanged_whose_details_are_fresh(row: Row | None, asked: bool) -> None:
    rules = Comparison(run_id=7, retry_rejected=timedelta(days=1), now=NOW, details_max_age=timedelta(days=7))
    assert rules.needs_details(row, BASE) is asked
