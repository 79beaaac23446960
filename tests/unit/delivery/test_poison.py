"""Poisoned records are convicted only when something else got through."""

import pytest
from ometria_provider.delivery.batches import Outgoing
from ometria_provider.delivery.poison import SUSPICIOUS, PoisonWatch
from ometria_provider.exceptions import Halted


def record(number: int) -> Outgoing:
    return Outgoing(str(number), b"{}", b"f", None, None)


def test_watch_holds_verdicts_back_until_something_was_acknowledged() -> None:
    watch = PoisonWatch()
    assert watch.refuse(record(1), "no") == []
    watch.acknowledged = True
    assert [refused.contact_id for refused, _ in watch.refuse(record(2), "no")] == ["1", "2"]


def test_watch_when_all_first_records_are_refused_halts_and_convicts_nobody() -> None:
    watch = PoisonWatch()
    for number in range(SUSPICIOUS - 1):
        watch.refuse(record(number), "no")
    with pytest.raises(Halted, match="not in the records"):
        watch.refuse(record(99), "no")


def test_watch_after_an_acknowledgement_convicts_any_number() -> None:
    watch = PoisonWatch(acknowledged=True)
    convicted = [watch.refuse(record(number), "no") for number in range(SUSPICIOUS * 3)]
    assert all(len(verdicts) == 1 for verdicts in convicted)


def test_watch_at_the_end_convicts_the_few_that_were_all() -> None:
    watch = PoisonWatch()
    watch.refuse(record(1), "no")
    assert len(watch.verdicts()) == 1
    assert watch.verdicts() == []
