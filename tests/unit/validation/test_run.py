"""Judging records: which rows fail which rule, and that no failure to judge is taken for success."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.validation.run import RuleResult, validate
from ometria_provider.validation.suites import Suite, load_suites

SHIPPED = Path(__file__).parents[3] / "include" / "expectations"
BIG = 1234567890123456789
COLUMNS: dict[str, list[Any]] = {
    "id": ["a", "b", "c", "d"],
    "email": ["a@x.com", None, "secret-person", "d@x.com"],
    "customer_id": ["a", "b", "c", None],
    "score": [5, None, 15, 500],
    "vip": [True, False, None, True],
    "store_ids": [["north"], None, ["north", "south"], ["north"]],
    "account": [BIG, BIG + 1, BIG + 2, None],
    "mixed": ["5", 5, "x", None],
    "never": [None, None, None, None],
    "mm:share": ["y", "n", "y", "n"],
    "channels.sms.allow": [True, None, False, True],
}


@pytest.fixture
def judge(tmp_path):
    def run(*rules: tuple[str, dict[str, Any]] | dict[str, Any], columns: dict[str, list[Any]] = COLUMNS):
        entries = [rule if isinstance(rule, dict) else {"type": rule[0], "kwargs": rule[1]} for rule in rules]
        (tmp_path / "contacts.json").write_text(json.dumps({"name": "contacts", "expectations": entries}))
        return validate(load_suites(tmp_path, "contacts", columns), columns)

    return run


@pytest.fixture
def rows_failing(judge):
    def run(rule_type: str, **kwargs: Any) -> list[int]:
        (result,) = judge((rule_type, kwargs))
        assert result.kind == "row"
        assert result.failed == len(result.rows)
        return result.rows

    return run


@pytest.mark.parametrize(
    ("rule_type", "kwargs", "failing"),
    [
        ("expect_column_values_to_not_be_null", {"column": "score"}, [1]),
        ("expect_column_values_to_not_be_null", {"column": "never"}, [0, 1, 2, 3]),
        ("expect_column_values_to_be_null", {"column": "score"}, [0, 2, 3]),
        ("expect_column_values_to_match_regex", {"column": "email", "regex": "@"}, [2]),
        ("expect_column_values_to_match_regex", {"column": "never", "regex": "@"}, []),
        ("expect_column_values_to_be_between", {"column": "score", "min_value": 10, "max_value": 100}, [0, 3]),
        ("expect_column_values_to_be_in_set", {"column": "vip", "value_set": [True]}, [1]),
        ("expect_column_values_to_be_in_set", {"column": "account", "value_set": [BIG, BIG + 1]}, [2]),
        ("expect_column_values_to_be_unique", {"column": "store_ids"}, [0, 3]),
        ("expect_column_values_to_be_unique", {"column": "account"}, []),
        ("expect_column_value_lengths_to_be_between", {"column": "email", "max_value": 10}, [2]),
        ("expect_column_values_to_be_of_type", {"column": "mixed", "type_": "str"}, [1]),
        ("expect_column_values_to_be_in_type_list", {"column": "id", "type_list": ["str"]}, []),
        ("expect_column_values_to_be_in_set", {"column": "mm:share", "value_set": ["y"]}, [1, 3]),
        ("expect_column_values_to_be_in_set", {"column": "channels.sms.allow", "value_set": [True]}, [2]),
        ("expect_column_pair_values_to_be_equal", {"column_A": "id", "column_B": "customer_id"}, [3]),
        ("expect_compound_columns_to_be_unique", {"column_list": ["mm:share", "vip"]}, []),
    ],
)
def test_row_rule_tells_exactly_the_positions_that_fail(rows_failing, rule_type, kwargs, failing):
    assert rows_failing(rule_type, **kwargs) == failing


def test_row_rule_with_a_condition_judges_only_the_rows_that_meet_it(rows_failing):
    kwargs = {"column": "customer_id", "row_condition": 'vip==False or `mm:share`=="n"', "condition_parser": "pandas"}
    assert rows_failing("expect_column_values_to_not_be_null", **kwargs) == [3]


def test_row_rule_with_a_condition_in_the_form_of_objects_judges_only_those_rows(rows_failing):
    above_ten = {"type": "comparison", "column": {"name": "score"}, "operator": ">", "parameter": 10}
    assert rows_failing("expect_column_values_to_not_be_null", column="vip", row_condition=above_ten) == [2]


def test_row_rule_with_mostly_spares_no_row(rows_failing):
    assert rows_failing("expect_column_values_to_match_regex", column="email", regex="@", mostly=0.1) == [2]


def test_row_rule_failing_in_more_rows_than_great_expectations_shows_values_of_tells_all(judge):
    columns = {"id": [str(n) for n in range(1_000)]}
    (result,) = judge(("expect_column_values_to_match_regex", {"column": "id", "regex": "^x"}), columns=columns)
    assert result.rows == list(range(1_000))


@pytest.mark.parametrize(
    ("rule_type", "kwargs", "holds"),
    [
        ("expect_table_row_count_to_be_between", {"min_value": 1}, True),
        ("expect_table_row_count_to_equal", {"value": 5}, False),
        ("expect_table_column_count_to_equal", {"value": len(COLUMNS)}, True),
        ("expect_table_columns_to_match_set", {"column_set": list(COLUMNS)}, True),
        ("expect_table_columns_to_match_set", {"column_set": ["id"]}, False),
        ("expect_column_to_exist", {"column": "score", "column_index": 3}, True),
        ("expect_column_mean_to_be_between", {"column": "score", "max_value": 100}, False),
        ("expect_column_stdev_to_be_between", {"column": "score", "min_value": 1}, True),
        (
            "expect_column_quantile_values_to_be_between",
            {"column": "score", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]}},
            False,
        ),
        ("expect_column_proportion_of_non_null_values_to_be_between", {"column": "email", "min_value": 0.7}, True),
        ("expect_column_distinct_values_to_be_in_set", {"column": "vip", "value_set": [True]}, False),
        (
            "expect_column_kl_divergence_to_be_less_than",
            {"column": "vip", "partition_object": {"values": [True, False], "weights": [0.6, 0.4]}, "threshold": 0.2},
            True,
        ),
    ],
)
def test_table_rule_judges_the_chunk_as_a_whole(judge, rule_type, kwargs, holds):
    (result,) = judge((rule_type, kwargs))
    assert (result.kind, result.failed, result.rows) == ("table", 0 if holds else 1, [])


def test_suite_of_a_row_count_alone_counts_the_rows(judge):
    (result,) = judge(("expect_table_row_count_to_equal", {"value": 4}))
    assert result.failed == 0


def test_results_come_in_the_order_of_the_suite_with_severities_and_figures(judge):
    assert judge(
        ("expect_table_row_count_to_be_between", {"min_value": 10}),
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "vip"}, "severity": "warning"},
        ("expect_column_values_to_not_be_null", {"column": "id"}),
        ("expect_column_values_to_be_unique", {"column": "vip"}),
    ) == [
        RuleResult("table_row_count_to_be_between", "table", "critical", 1, [], "does not hold for 4 rows, observed 4"),
        RuleResult("vip: not_null", "row", "warning", 1, [2], "1 of 4 rows fail"),
        RuleResult("id: not_null", "row", "critical", 0, [], "0 of 4 rows fail"),
        RuleResult("vip: unique", "row", "critical", 2, [0, 3], "2 of 4 rows fail"),
    ]


def test_no_rows_hold_every_row_rule(judge):
    results = judge(
        ("expect_column_values_to_match_regex", {"column": "id", "regex": "@"}),
        ("expect_column_values_to_be_unique", {"column": "id"}),
        ("expect_column_values_to_be_between", {"column": "score", "min_value": 1}),
        columns={"id": [], "email": [], "customer_id": [], "score": []},
    )
    assert [result.failed for result in results] == [0, 0, 0]


def test_same_rule_twice_gives_two_results(judge):
    rule = ("expect_column_values_to_not_be_null", {"column": "vip"})
    first, second = judge(rule, rule)
    assert (first.rule, second.rule) == ("vip: not_null", "vip: not_null 2")
    assert first.rows == second.rows == [2]


@pytest.mark.parametrize(
    ("rule_type", "kwargs"),
    [
        pytest.param(
            "expect_column_values_to_be_between", {"column": "email", "min_value": 1}, id="text, numeric bound"
        ),
        pytest.param("expect_column_values_to_be_between", {"column": "mixed", "min_value": 1}, id="mixed types"),
        pytest.param("expect_column_mean_to_be_between", {"column": "email", "min_value": 1}, id="mean of text"),
        pytest.param(
            "expect_column_values_to_match_json_schema", {"column": "email", "json_schema": {}}, id="not JSON"
        ),
        pytest.param(
            "expect_column_values_to_not_be_null",
            {"column": "id", "row_condition": "nope > 1", "condition_parser": "pandas"},
            id="condition on a missing column",
        ),
        pytest.param(
            "expect_column_values_to_match_strftime_format",
            {"column": "score", "strftime_format": "%Y"},
            id="dates in numbers",
        ),
    ],
)
def test_rule_that_cannot_be_applied_stops_with_its_place_and_no_value(judge, rule_type, kwargs):
    with pytest.raises(Misconfigured) as caught:
        judge(("expect_column_values_to_not_be_null", {"column": "id"}), (rule_type, kwargs))
    assert f"contacts.json, rule 2 ({rule_type})" in str(caught.value)
    assert "secret-person" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_rule_with_an_argument_of_a_wrong_type_is_refused_in_words_of_its_own(judge):
    with pytest.raises(Misconfigured, match=r"rule 1 .*strict_min") as caught:
        judge(("expect_column_values_to_be_between", {"column": "score", "min_value": 1, "strict_min": "perhaps"}))
    assert "Correct the rule's kwargs" in str(caught.value)


def test_records_without_a_column_that_a_rule_judges_are_refused(judge):
    suite = load_suites(SHIPPED, "x", ())
    with pytest.raises(Misconfigured, match="no column 'customer_id'"):
        validate(suite, {"id": ["a"], "email": [None]})


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        validate(load_suites(SHIPPED, "x", ()), {"id": ["a"], "email": [], "customer_id": ["a"]})


def test_shipped_suite_on_doubtful_members_fails_only_what_must_be():
    columns = {
        "id": ["1", "2", "3", "4", "ann@example.com", "6", "7", "7", "9"],
        "email": [
            "ann@example.com",
            "ann@example.com",
            "no-at-sign",
            "two@@example.com",
            None,
            "ünï+tag@sub.exämple.co",
            "line@example.com\n",
            "a b@example.com",
            "dot@localhost",
        ],
        "customer_id": ["1", "2", "3", "4", "5", None, "7", "8", "9"],
    }
    results = {result.rule: result for result in validate(load_suites(SHIPPED, "x", ()), columns)}
    assert results["email: match_regex"].rows == [2, 3, 6, 7, 8]
    assert results["id: unique"].rows == [6, 7]
    assert (results["email: unique"].rows, results["email: unique"].severity) == ([0, 1], "warning")
    assert results["id: not_match_regex"].rows == [4]
    assert {name for name, result in results.items() if result.failed == 0} == {
        "id: not_null",
        "customer_id: not_match_regex",
        "table_row_count_to_be_between",
    }


def test_great_expectations_writes_nothing_to_logs_or_standard_error(judge, caplog, capfd):
    logging.getLogger("great_expectations.validator.validation_graph").setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG), pytest.raises(Misconfigured):
        judge(("expect_column_values_to_be_between", {"column": "email", "min_value": 1}))
    assert [record for record in caplog.records if record.name.startswith("great_expectations")] == []
    assert capfd.readouterr().err == ""


def test_default_suite_over_100_000_rows_costs_less_than_a_second_of_cpu():
    rows = 100_000
    columns: dict[str, list[Any]] = {
        "id": [f"m{n:07}" for n in range(rows)],
        "email": [f"member{n}@example.com" if n % 100 else "broken" for n in range(rows)],
        "customer_id": [f"m{n:07}" if n % 50 else None for n in range(rows)],
    }
    suite: Suite = load_suites(SHIPPED, "x", ())
    validate(suite, {name: values[:10] for name, values in columns.items()})  # the import is not counted
    start = time.process_time()
    results = validate(suite, columns)
    assert time.process_time() - start < 1.0
    assert {result.rule: result.failed for result in results}["email: match_regex"] == 1_000
