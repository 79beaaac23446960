"""The table of rule types is what the installed Great Expectations says."""

from ometria_provider.validation.catalogue import RULE_TYPES, read_installed, render


def test_table_of_rule_types_beside_the_installed_version_is_the_same():
    installed = read_installed()
    assert installed == RULE_TYPES, f"Great Expectations changed; the table is now:\n{render(installed)}"


def test_rule_types_by_what_they_ask_are_of_three_kinds():
    kinds = {name: rule_type.kind for name, rule_type in RULE_TYPES.items()}
    assert kinds["expect_column_values_to_match_regex"] == "row"
    assert kinds["expect_compound_columns_to_be_unique"] == "row"
    assert kinds["expect_column_mean_to_be_between"] == "table"
    assert kinds["unexpected_rows_expectation"] == "sql"
    assert kinds["expect_column_values_to_match_like_pattern"] == "sql"
