"""Detail calls side by side, and what is said while they go on. Whole runs: tests/integration/test_details.py."""

from __future__ import annotations

import threading

import pytest
from ometria_provider.operators.details import progress, side_by_side


def test_side_by_side_answers_everybody_once() -> None:
    ids = [str(number) for number in range(500)]
    assert sorted(side_by_side(lambda id_: id_ * 2, ids, 16)) == sorted((id_, id_ * 2) for id_ in ids)


def test_side_by_side_asks_several_at_once() -> None:
    together = threading.Barrier(8, timeout=10)
    assert len(list(side_by_side(lambda id_: together.wait(), map(str, range(8)), 8))) == 8


def test_side_by_side_keeps_the_ids_that_wait_few() -> None:
    taken = []

    def ids():
        for number in range(1_000):
            taken.append(number)
            yield str(number)

    answers = side_by_side(str, ids(), 4)
    next(answers)
    assert len(taken) <= 9
    answers.close()


def test_side_by_side_raises_an_error_where_it_happened_and_begins_no_more() -> None:
    asked = []

    def ask(id_: str) -> str:
        asked.append(id_)
        if id_ == "10":
            raise OSError("out of reach")
        return id_

    with pytest.raises(OSError, match="out of reach"):
        list(side_by_side(ask, map(str, range(1_000)), 4))
    assert len(asked) < 50


def test_progress_says_how_long_the_rest_takes() -> None:
    assert progress(15_000, 60_000, 600.0) == (
        "Asked for the details of 15,000 of 60,000 customers, 25.0 a second; about 30 min 0 s remain"
    )
    assert progress(60_000, 60_000, 2_400.0).endswith("60,000 of 60,000 customers, 25.0 a second")
    assert "remain" not in progress(0, 10, 0.0)
