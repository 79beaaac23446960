from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.flow import flow
from ometria_provider.mapping.source import parse_source

SCALARS = st.none() | st.booleans() | st.integers() | st.floats().filter(math.isfinite) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=8
)


@given(VALUES)
def test_flow_of_any_value_reads_back_as_the_same(value) -> None:
    source = parse_source(f"key: {flow([value])}\n", "x.yaml")
    assert source.problems == []
    assert source.data == {"key": [value]}
    assert [type(source.data["key"][0])] == [type(value)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"loyalty": "first_name", "remote": "firstname"}, "{loyalty: first_name, remote: firstname}"),
        (["strip", {"e164": "GB"}], "[strip, {e164: GB}]"),
        ({"map": {"true": 1}, "default": None}, '{map: {"true": 1}, default: null}'),
        ("mm:share_link", '"mm:share_link"'),
        ("@hourly", '"@hourly"'),
        ("null", '"null"'),
        ("Überblick am Morgen", "Überblick am Morgen"),
        ("a\u2028b\u0085\x07😀", '"a\\u2028b\\u0085\\u0007😀"'),
    ],
)
def test_flow_quotes_only_what_needs_it(value, text) -> None:
    assert flow(value) == text
