from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.columns import Column
from ometria_provider.mapping.values import Unconvertible


def tell(value):
    """Show a value with its type, refuse some, drop some."""
    if isinstance(value, float):
        value += 0.0  # -0.0 and 0.0 are one number, here as in JSON's readers
    if value == 13:
        raise Unconvertible("is unlucky")
    return None if value in (None, "") else [f"{type(value).__name__} {value!r}"]


def one_by_one(values):
    results, failures = [], {}
    for row, value in enumerate(values):
        try:
            results.append(tell(value))
        except Unconvertible as problem:
            results.append(None)
            failures[row] = str(problem)
    return results, failures


SCALARS = [
    st.integers(),
    st.text(max_size=3),
    st.booleans(),
    st.floats(),
    st.integers(-2, 14),
    st.sampled_from(["a", ""]),
]
COLUMNS = st.one_of(*(st.lists(st.none() | kind) for kind in SCALARS), st.lists(st.none() | st.one_of(*SCALARS)))


@given(COLUMNS)
def test_column_converts_as_each_value_by_itself(values):
    converted = Column(values).convert(tell)
    assert (converted.values, converted.failures) == one_by_one(values)


def test_column_of_mixed_types_never_merges_equal_ones():
    values = [1, 1.0, True, "1", None, 1]
    assert Column(values).convert(tell).values == one_by_one(values)[0]


def test_column_of_one_type_asks_once_for_each_distinct_value():
    asked = []
    Column(["a", "b", "a", None, "b"] * 10).convert(asked.append)
    assert sorted(map(str, asked)) == ["None", "a", "b"]


def test_column_with_nan_keeps_it_apart_from_gaps():
    seen = Column([1.5, None, math.nan]).convert(str).values
    assert seen == ["1.5", "None", "nan"]


def test_column_of_text_passes_unconverted():
    assert Column(["a", "", None]).as_text().values == ["a", None, None]
    assert Column(["a", 1]).as_text() is None
    assert Column(["a", "\ud800"]).as_text() is None


@pytest.mark.parametrize("values", [[], [None, None]])
def test_column_without_values_converts(values):
    assert Column(values).convert(tell).values == values


@pytest.mark.parametrize(
    "odd", ["2026-11-25", "1990-02-30", "1990-1-1", "19900101", "1990-01-01T00:00:00+00:00", "", "1990-01-01\n", 7]
)
def test_dates_all_canonical_and_past_pass_at_once_and_anything_else_does_not(odd):
    fine = ["1990-02-28", None, "2026-11-24"]
    assert Column(fine).as_dates(latest="2026-11-24").values == fine
    assert Column([*fine, odd]).as_dates(latest="2026-11-24") is None
