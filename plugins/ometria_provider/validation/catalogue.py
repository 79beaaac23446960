"""The rule types of Great Expectations and their arguments, known without importing it.

Checking a suite must be quick (a DAG's plan, `ometria-sync mappings check`), and importing Great Expectations takes
seconds: so what it would say is written down here. `read_installed` reads the same from the installed version; a test
compares the two, and prints the new table when an upgrade changed something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["row", "table", "sql"]


@dataclass(frozen=True, slots=True)
class RuleType:
    """One expectation type.

    :param kind: `row` when it is one of Great Expectations' map expectations (it asks each row), `table` when it asks
        the rows as a whole, `sql` when it works on SQL databases only and so never here.
    :param required: the kwargs that a rule of this type must give.
    :param optional: the kwargs that it may give.
    """

    kind: Kind
    required: tuple[str, ...]
    optional: tuple[str, ...]


def read_installed() -> dict[str, RuleType]:
    """Read the table from the installed Great Expectations (imports it)."""
    from ometria_provider.validation.quiet import import_great_expectations

    import_great_expectations()
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    shared = {*BatchExpectation.__fields__, "library_metadata"}
    table = {}
    for name in sorted(list_registered_expectation_implementations()):
        fields = {key: field for key, field in get_expectation_impl(name).__fields__.items() if key not in shared}
        required = tuple(key for key, field in fields.items() if field.required)
        optional = tuple(key for key, field in fields.items() if not field.required)
        table[name] = RuleType(_kind(get_expectation_impl(name), required), required, optional)
    return table


def _kind(expectation: Any, required: tuple[str, ...]) -> Kind:
    from great_expectations.expectations import expectation as base
    from great_expectations.expectations.registry import _registered_metrics

    maps = (base.ColumnMapExpectation, base.ColumnPairMapExpectation, base.MulticolumnMapExpectation)
    row = issubclass(expectation, maps)
    metrics = (f"{expectation.map_metric}.unexpected_count",) if row else expectation.metric_dependencies
    in_pandas = all("PandasExecutionEngine" in _registered_metrics[name]["providers"] for name in metrics)
    if not in_pandas or "other_table_name" in required:
        return "sql"
    return "row" if row else "table"


def render(table: dict[str, RuleType]) -> str:
    """Write the table as the source text of `RULE_TYPES`, before formatting."""
    lines = (f"    {name!r}: RuleType({t.kind!r}, {t.required!r}, {t.optional!r}),\n" for name, t in table.items())
    return "RULE_TYPES: Final[dict[str, RuleType]] = {\n" + "".join(lines) + "}\n"


RULE_TYPES: Final[dict[str, RuleType]] = {
    "expect_column_distinct_values_to_be_in_set": RuleType(
        "table", ("column", "value_set"), ("row_condition", "condition_parser")
    ),
    "expect_column_distinct_values_to_contain_set": RuleType(
        "table", ("column", "value_set"), ("row_condition", "condition_parser")
    ),
    "expect_column_distinct_values_to_equal_set": RuleType(
        "table", ("column", "value_set"), ("row_condition", "condition_parser")
    ),
    "expect_column_kl_divergence_to_be_less_than": RuleType(
        "table",
        ("column",),
        (
            "row_condition",
            "condition_parser",
            "partition_object",
            "threshold",
            "internal_weight_holdout",
            "tail_weight_holdout",
            "bucketize_data",
            "min_value",
            "max_value",
        ),
    ),
    "expect_column_max_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_mean_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_median_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_min_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_most_common_value_to_be_in_set": RuleType(
        "table", ("column", "value_set"), ("row_condition", "condition_parser", "ties_okay")
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": RuleType(
        "row", ("column_A", "column_B"), ("mostly", "row_condition", "condition_parser", "or_equal", "ignore_row_if")
    ),
    "expect_column_pair_values_to_be_equal": RuleType(
        "row", ("column_A", "column_B"), ("mostly", "row_condition", "condition_parser", "ignore_row_if")
    ),
    "expect_column_pair_values_to_be_in_set": RuleType(
        "row",
        ("column_A", "column_B", "value_pairs_set"),
        ("mostly", "row_condition", "condition_parser", "ignore_row_if"),
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_proportion_of_unique_values_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_quantile_values_to_be_between": RuleType(
        "table", ("column", "quantile_ranges"), ("row_condition", "condition_parser", "allow_relative_error")
    ),
    "expect_column_stdev_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_sum_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_to_exist": RuleType("table", ("column",), ("column_index",)),
    "expect_column_type_to_be": RuleType("table", ("column", "type_"), ()),
    "expect_column_unique_value_count_to_be_between": RuleType(
        "table",
        ("column",),
        ("row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_value_lengths_to_be_between": RuleType(
        "row",
        ("column",),
        ("mostly", "row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_value_lengths_to_equal": RuleType(
        "row", ("column", "value"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_value_z_scores_to_be_less_than": RuleType(
        "row", ("column", "threshold", "double_sided"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_be_between": RuleType(
        "row",
        ("column",),
        ("mostly", "row_condition", "condition_parser", "min_value", "max_value", "strict_min", "strict_max"),
    ),
    "expect_column_values_to_be_dateutil_parseable": RuleType(
        "row", ("column",), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_be_decreasing": RuleType(
        "row", ("column",), ("mostly", "row_condition", "condition_parser", "strictly")
    ),
    "expect_column_values_to_be_in_set": RuleType(
        "row", ("column", "value_set"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_be_in_type_list": RuleType(
        "row", ("column",), ("mostly", "row_condition", "condition_parser", "type_list")
    ),
    "expect_column_values_to_be_increasing": RuleType(
        "row", ("column",), ("mostly", "row_condition", "condition_parser", "strictly")
    ),
    "expect_column_values_to_be_json_parseable": RuleType(
        "row", ("column",), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_be_null": RuleType("row", ("column",), ("mostly", "row_condition", "condition_parser")),
    "expect_column_values_to_be_of_type": RuleType(
        "row", ("column", "type_"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_be_unique": RuleType("row", ("column",), ("mostly", "row_condition", "condition_parser")),
    "expect_column_values_to_match_json_schema": RuleType(
        "row", ("column", "json_schema"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_match_like_pattern": RuleType(
        "sql", ("column", "like_pattern"), ("mostly", "row_condition", "condition_parser", "escape")
    ),
    "expect_column_values_to_match_like_pattern_list": RuleType(
        "sql", ("column", "like_pattern_list"), ("mostly", "row_condition", "condition_parser", "match_on", "escape")
    ),
    "expect_column_values_to_match_regex": RuleType(
        "row", ("column",), ("mostly", "row_condition", "condition_parser", "regex")
    ),
    "expect_column_values_to_match_regex_list": RuleType(
        "row", ("column", "regex_list"), ("mostly", "row_condition", "condition_parser", "match_on")
    ),
    "expect_column_values_to_match_strftime_format": RuleType(
        "row", ("column", "strftime_format"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_not_be_in_set": RuleType(
        "row", ("column", "value_set"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_not_be_null": RuleType(
        "row", ("column",), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_not_be_outliers": RuleType(
        "row", ("column",), ("mostly", "row_condition", "condition_parser", "method", "multiplier")
    ),
    "expect_column_values_to_not_match_like_pattern": RuleType(
        "sql", ("column", "like_pattern"), ("mostly", "row_condition", "condition_parser", "escape")
    ),
    "expect_column_values_to_not_match_like_pattern_list": RuleType(
        "sql", ("column", "like_pattern_list"), ("mostly", "row_condition", "condition_parser", "escape")
    ),
    "expect_column_values_to_not_match_regex": RuleType(
        "row", ("column", "regex"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_column_values_to_not_match_regex_list": RuleType(
        "row", ("column", "regex_list"), ("mostly", "row_condition", "condition_parser")
    ),
    "expect_compound_columns_to_be_unique": RuleType(
        "row", ("column_list",), ("mostly", "row_condition", "condition_parser", "ignore_row_if")
    ),
    "expect_multicolumn_sum_to_equal": RuleType(
        "row", ("column_list", "sum_total"), ("mostly", "row_condition", "condition_parser", "ignore_row_if")
    ),
    "expect_multicolumn_values_to_be_equal": RuleType(
        "row", ("column_list",), ("mostly", "row_condition", "condition_parser", "ignore_row_if")
    ),
    "expect_query_results_to_match_comparison": RuleType(
        "sql", ("base_query", "comparison_data_source_name", "comparison_query"), ("mostly",)
    ),
    "expect_select_column_values_to_be_unique_within_record": RuleType(
        "row", ("column_list",), ("mostly", "row_condition", "condition_parser", "ignore_row_if")
    ),
    "expect_table_column_count_to_be_between": RuleType("table", (), ("min_value", "max_value")),
    "expect_table_column_count_to_equal": RuleType("table", ("value",), ()),
    "expect_table_columns_to_match_ordered_list": RuleType("table", (), ("column_list",)),
    "expect_table_columns_to_match_set": RuleType("table", (), ("column_set", "exact_match")),
    "expect_table_row_count_to_be_between": RuleType(
        "table", (), ("min_value", "max_value", "strict_min", "strict_max", "row_condition", "condition_parser")
    ),
    "expect_table_row_count_to_equal": RuleType("table", ("value",), ("row_condition", "condition_parser")),
    "expect_table_row_count_to_equal_other_table": RuleType(
        "sql", ("other_table_name",), ("row_condition", "condition_parser")
    ),
    "unexpected_rows_expectation": RuleType("sql", ("unexpected_rows_query",), ()),
}
