"""Batches stay within Ometria's limits, lose nothing and keep the order."""

import json

from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.delivery.batches import MAX_BYTES, MAX_RECORDS, Outgoing, batches, body, halves


def outgoing(number: int, size: int = 20) -> Outgoing:
    return Outgoing(str(number), json.dumps({"id": str(number), "x": "x" * size}).encode(), b"f", b"s", b"\1")


@given(st.lists(st.integers(min_value=0, max_value=61_000), max_size=350))
def test_batches_of_any_records_stay_within_limits_and_keep_all(sizes: list[int]) -> None:
    records = [outgoing(number, size) for number, size in enumerate(sizes)]
    made = list(batches(records))
    assert [record for batch in made for record in batch] == records
    assert all(len(batch) <= MAX_RECORDS for batch in made)
    assert all(len(body(batch)) <= MAX_BYTES + MAX_RECORDS or len(batch) == 1 for batch in made)


def test_batches_of_small_records_are_full() -> None:
    assert [len(batch) for batch in batches([outgoing(n) for n in range(250)])] == [100, 100, 50]


def test_batches_of_large_records_end_before_the_byte_that_is_too_much() -> None:
    records = [outgoing(n, 60_000) for n in range(40)]
    made = list(batches(records))
    assert len({len(batch) for batch in made[:-1]}) == 1
    assert len(body(made[0])) <= MAX_BYTES < len(body(made[0])) + len(records[0].body)


def test_body_of_a_batch_is_the_records_as_one_array() -> None:
    assert json.loads(body((outgoing(1), outgoing(2))))[1]["id"] == "2"


def test_halves_of_an_odd_batch_hold_every_record_once() -> None:
    batch = tuple(outgoing(n) for n in range(5))
    first, second = halves(batch)
    assert first + second == batch
    assert first and second
