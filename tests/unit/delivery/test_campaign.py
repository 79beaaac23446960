"""What a campaign run's counts say about its end."""

import pytest
from ometria_provider.delivery.campaign import Tally, in_doubt
from ometria_provider.exceptions import Misconfigured, Retryable


def test_tally_fault_that_a_person_must_mend_comes_first() -> None:
    tally = Tally()
    tally.blame(Retryable("later"))
    tally.blame(Misconfigured("the key"))
    assert str(tally.fault) == "the key"


def test_tally_same_fault_of_many_events_counts_once() -> None:
    tally = Tally()
    for _ in range(3):
        tally.blame(Retryable("later"))
    assert len(tally.faults) == 1


def test_tally_all_rejected_says_so_with_the_most_frequent_reason() -> None:
    tally = Tally()
    for reason in ("points: no number", "points: no number", "timestamp is missing"):
        tally.note("rejected", reason)
    assert "every one of the 3 events" in (tally.complaint or "")
    assert "points: no number" in (tally.complaint or "")


def test_tally_one_rejected_among_others_or_none_at_all_is_well() -> None:
    tally = Tally()
    assert tally.complaint is None
    tally.note("rejected", "timestamp is missing")
    tally.note("acknowledged", None)
    assert tally.complaint is None
    assert tally.fault is None


def test_tally_acknowledged_events_that_ometria_counts_as_rejected_are_a_complaint() -> None:
    tally = Tally(doubtful=1)
    for _ in range(3):
        tally.note("acknowledged", None)
    assert "acknowledged 3 events and counted 1 of them as rejected" in (tally.complaint or "")


@pytest.mark.parametrize(("rejected", "words"), [(0, None), (2, "Ometria counted 2 of the 100 records")])
def test_events_of_a_request_are_in_doubt_when_its_answer_counts_rejected_records(
    rejected: int, words: str | None
) -> None:
    said = in_doubt(rejected, 100)
    assert said is None if words is None else words in str(said)
