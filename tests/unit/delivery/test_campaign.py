"""What a campaign run's counts say about its end."""

from ometria_provider.delivery.campaign import Tally
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
    assert "every one of the 3 events" in (tally.nothing_arrived or "")
    assert "points: no number" in (tally.nothing_arrived or "")


def test_tally_one_rejected_among_others_or_none_at_all_is_well() -> None:
    tally = Tally()
    assert tally.nothing_arrived is None
    tally.note("rejected", "timestamp is missing")
    tally.note("acknowledged", None)
    assert tally.nothing_arrived is None
    assert tally.fault is None
