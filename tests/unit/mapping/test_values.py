from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.values import (
    Unconvertible,
    clean_number,
    date_text,
    difference,
    is_empty,
    parse_number,
    parse_time,
    plain_text,
    time_text,
)


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_is_empty_of_nothing_is_true(value):
    assert is_empty(value)


@pytest.mark.parametrize("value", [0, 0.0, False, " ", "0", [None], [0]])
def test_is_empty_of_something_is_false(value):
    assert not is_empty(value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.1 + 0.2, 0.3),
        (500.0, 500),
        (-0.0, 0),
        (499.99999999999994, 500),
        (1234567890123456.0, 1234567890123456),
        (1.5, 1.5),
        (4069661762487632335, 4069661762487632335),
        (1e-7, 1e-7),
    ],
)
def test_clean_number_with_noise_is_the_number_meant(value, wanted):
    cleaned = clean_number(value)
    assert cleaned == wanted
    assert type(cleaned) is type(wanted)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_clean_number_that_json_cannot_hold_is_refused(value):
    with pytest.raises(Unconvertible, match="not a finite number"):
        clean_number(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_clean_number_twice_is_the_same_as_once(value):
    assert clean_number(clean_number(value)) == clean_number(value)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2))
def test_clean_number_of_money_keeps_it(amount):
    assert str(clean_number(float(amount))) == str(float(amount)).removesuffix(".0").replace("-0", "0", amount == 0)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("500", 500),
        (" 12.50 ", 12.5),
        ("1e3", 1000),
        ("4069661762487632335", 4069661762487632335),
        (True, 1),
        (".5", 0.5),
    ],
)
def test_parse_number_of_text_reads_it(value, wanted):
    assert parse_number(value) == wanted
    assert type(parse_number(value)) is type(wanted)


@pytest.mark.parametrize("value", ["1,000", "nan", "inf", "12a", "", "１２", None, [1], "1e9999"])
def test_parse_number_of_anything_else_is_refused(value):
    with pytest.raises(Unconvertible):
        parse_number(value)


MOMENT = "2023-11-14T22:13:20+00:00"


@pytest.mark.parametrize(
    "value",
    [
        1_700_000_000,
        1_700_000_000.0,
        "1700000000",
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20+00:00",
        "2023-11-14 22:13:20",
        "2023-11-15T00:13:20+02:00",
        " 20231114T221320 ",
    ],
)
def test_time_text_of_one_moment_is_one_text(value):
    assert time_text(value) == MOMENT
    assert parse_time(value) == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_time_text_of_a_day_is_its_first_moment_in_utc():
    assert time_text("2024-02-29") == "2024-02-29T00:00:00+00:00"


def test_time_text_with_a_fraction_keeps_it():
    assert time_text("2024-01-01T00:00:00.5Z") == "2024-01-01T00:00:00.500000+00:00"


def test_date_text_with_an_offset_is_the_day_in_utc():
    assert date_text("2024-01-01T23:30:00-05:00") == "2024-01-02"


def test_date_text_of_eight_digits_is_an_iso_date():
    assert date_text("20240131") == "2024-01-31"


@pytest.mark.parametrize(
    "value",
    [
        "0000-00-00",
        "2023-02-30",
        "2023-13-01T00:00:00+00:00",
        "soon",
        "31/01/2024",
        1.7e15,
        10**30,
        True,
        None,
        [],
        "9" * 12,
    ],
)
def test_times_that_are_none_are_refused_without_the_value(value):
    for convert in (parse_time, time_text, date_text):
        with pytest.raises(Unconvertible) as caught:
            convert(value)
        assert str(caught.value) == "is not an ISO 8601 date or time, nor unix seconds"


@given(st.datetimes(timezones=st.timezones()))
def test_time_text_of_its_own_result_is_the_same(moment):
    try:
        text = time_text(moment.isoformat())
    except Unconvertible:
        return
    assert time_text(text) == text
    assert date_text(text) == text[:10]


@pytest.mark.parametrize(
    ("value", "wanted"), [(True, "true"), (1, "1"), (500.0, "500"), (0.1 + 0.2, "0.3"), ("ß", "ß")]
)
def test_plain_text_of_a_scalar_reads_naturally(value, wanted):
    assert plain_text(value) == wanted


@pytest.mark.parametrize("value", [None, math.nan, [], {}, math.inf])
def test_plain_text_of_no_scalar_is_refused(value):
    with pytest.raises(Unconvertible):
        plain_text(value)


@pytest.mark.parametrize(
    ("total", "parts", "wanted"),
    [
        (100, (10, 5, 1), 84),
        (100.3, (50.1, 0, 0), 50.2),
        (100, (None, None, 5), 95),
        (None, (1, 2, 3), None),
        ("100", (1, 2, 3), None),
        (100, ("x", 0, 0), None),
        (math.nan, (0,), None),
    ],
)
def test_difference_of_balances_is_exact_or_none(total, parts, wanted):
    assert difference(total, *parts) == wanted
