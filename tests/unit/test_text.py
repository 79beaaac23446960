from datetime import UTC, datetime

import pytest
from ometria_provider.text import cell, duration, table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (61.4, "1 min 1 s"),
        (3_599.6, "1 h 0 min"),
        (7_260, "2 h 1 min"),
    ],
)
def test_duration_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (12.34, "12.3"),
        (datetime(2026, 3, 1, 2, 3, 4, tzinfo=UTC), "2026-03-01 02:03:04Z"),
        (["a", 1000], "a, 1,000"),
        ("1234", "1234"),
    ],
)
def test_cell_reads_as_people_write_it(value: object, text: str) -> None:
    assert cell(value) == text


def test_table_puts_numbers_right_and_texts_left() -> None:
    assert table(["name", "n"], [("a", 5), ("bcdefg", 1000)]).splitlines() == [
        "name        n",
        "a           5",
        "bcdefg  1,000",
    ]


def test_table_of_wide_letters_stays_in_line() -> None:
    lines = table(["city", "x"], [("東京", "1"), ("Rome", "2"), ("Zürich", "3")]).splitlines()
    assert lines == ["city    x", "東京    1", "Rome    2", "Zürich  3"]


def test_table_without_a_head_shows_rows_alone() -> None:
    assert table(("", ""), [("read", 5)], indent="  ") == "  read  5"
