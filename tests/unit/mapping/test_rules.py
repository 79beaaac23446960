from __future__ import annotations

import pytest
from ometria_provider.mapping.fields import loyalty_field
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.rules import compile_test, conditions
from ometria_provider.mapping.values import Unconvertible


@pytest.mark.parametrize(
    ("field", "operator", "operand", "matching", "other"),
    [
        ("country", "eq", "GB", ["GB"], ["gb", "IE", 1, True]),
        ("country", "ne", "GB", ["IE", None, "", []], ["GB"]),
        ("country", "in", ["GB", "IE"], ["GB", "IE"], ["FR", None]),
        ("country", "not_in", ["GB", "IE"], ["FR", None, ""], ["GB"]),
        ("score", "gt", 10, [10.5, 11, "11"], [10, "x", None, True, [], {}]),
        ("score", "gte", 10, [10, 10.0], [9.99, None]),
        ("score", "lt", 10, [9, -1, 0], [10, None, ""]),
        ("score", "lte", 10, [10, 0], [10.1]),
        ("score", "eq", 500, [500, 500.0, "500"], [501, "x", True]),
        ("score", "eq", 1, [1], [True]),
        ("properties.x", "eq", True, [True], [1, "true", False, None]),
        ("properties.x", "eq", False, [False], [0, None, ""]),
        ("properties.x", "ne", False, [True, 0, None], [False]),
        ("properties.x", "exists", True, [0, False, "x", ["a"]], [None, "", [], {}]),
        ("properties.x", "exists", False, [None, "", []], [0, False]),
        ("groups", "eq", "vip", [["a", "vip"], "vip"], [["a"], [], None]),
        ("groups", "not_in", ["vip"], [["a"], [], None], [["a", "vip"]]),
        ("groups", "in", ["vip", "x"], [["vip"]], [["y", None]]),
        ("created_at", "gte", "2024-01-01", ["2024-01-01T00:00:00+00:00"], ["2023-12-31T23:59:59+00:00", None]),
        (
            "created_at",
            "lt",
            "2024-01-01T01:00:00+01:00",
            ["2023-12-31T23:59:59.5+00:00"],
            ["2024-01-01T00:00:00+00:00"],
        ),
        ("created_at", "gt", 1_700_000_000, ["2023-11-14T22:13:21+00:00"], ["2023-11-14T22:13:20+00:00"]),
        ("birth_date", "lt", "2000-01-01", ["1999-12-31"], ["2000-01-01", None]),
    ],
    ids=repr,
)
def test_operator_matches_what_the_files_page_says(field, operator, operand, matching, other):
    test = compile_test(loyalty_field(field).type, operator, operand)
    assert [value for value in matching if not test(value)] == []
    assert [value for value in other if test(value)] == []


def test_operator_on_a_time_with_no_time_is_refused():
    with pytest.raises(Unconvertible):
        compile_test("time", "gte", "yesterday")


def test_conditions_read_as_the_file_says_it():
    mapping = Mapping.from_data(
        "m", {"list": 1, "fields": [], "where": {"score": {"gte": 5, "lt": 9}, "properties.x": {"exists": False}}}
    )
    assert [condition.reason for condition in conditions(mapping)] == [
        "where: status in [active, inactive]",
        "where: score gte 5",
        "where: score lt 9",
        "where: properties.x exists false",
    ]
