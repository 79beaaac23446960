"""Suites: what is read, and what is refused with which words."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.validation.suites import Suite, load_suites, stray_suites

SHIPPED = Path(__file__).parents[3] / "include" / "expectations"
NOT_NULL = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "email"}}


def write(folder: Path, name: str, *rules: Any, **more: Any) -> Path:
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"name": name, "expectations": list(rules), **more}), encoding="utf-8")
    return file


def load(folder: Path, *remotes: str) -> Suite:
    return load_suites(folder, "customers", remotes)


def refusal(folder: Path, *remotes: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        load(folder, *remotes)
    return str(caught.value)


def refusal_of(folder: Path, rule: Any, *remotes: str) -> str:
    write(folder, "contacts", rule)
    return refusal(folder, *remotes)


def test_shipped_suite_for_a_mapping_without_rules_of_its_own_judges_only_the_identity():
    suite = load_suites(SHIPPED, "no_such_mapping", ())
    assert set(suite.columns) == {"id", "email", "customer_id"}
    assert not suite.needs_whole_table
    severities = {rule.name: rule.severity for rule in suite.rules}
    assert severities["email: match_regex"] == "critical"
    assert severities["email: unique"] == "warning"


def test_suite_of_a_mapping_beside_the_default_adds_its_rules(tmp_path):
    write(tmp_path, "contacts", NOT_NULL)
    write(tmp_path, "customers", {**NOT_NULL, "kwargs": {"column": "firstname"}, "severity": "warning"}, NOT_NULL)
    suite = load(tmp_path, "firstname")
    assert [(rule.name, rule.file.name, rule.index, rule.severity) for rule in suite.rules] == [
        ("email: not_null", "contacts.json", 1, "critical"),
        ("firstname: not_null", "customers.json", 1, "warning"),
        ("email: not_null 2", "customers.json", 2, "critical"),
    ]


def test_folder_without_suites_gives_no_rules(tmp_path):
    assert load(tmp_path).rules == ()


def test_mapping_called_contacts_reads_the_default_once(tmp_path):
    write(tmp_path, "contacts", NOT_NULL)
    assert len(load_suites(tmp_path, "contacts", ()).rules) == 1


def test_missing_folder_is_refused_with_the_setting_that_names_it(tmp_path):
    message = refusal(tmp_path / "gone")
    assert "gone" in message
    assert "expectations_folder" in message


def test_suite_files_that_no_mapping_reads_are_listed(tmp_path):
    for name in ("contacts", "customers", "custmers"):
        write(tmp_path, name)
    assert [file.name for file in stray_suites(tmp_path, ["customers"])] == ["custmers.json"]


def test_suite_written_by_great_expectations_is_read(tmp_path):
    """Its own export holds ids, notes, meta and a version."""
    exported = {**NOT_NULL, "id": None, "meta": {"by": "data"}, "notes": "n", "severity": "info", "description": "d"}
    write(tmp_path, "contacts", exported, id=None, notes=None, meta={"great_expectations_version": "1.24.1"})
    assert [rule.severity for rule in load(tmp_path).rules] == ["info"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"name": "x",\n  "expectations": [,]}', "line 2, column 20", id="a stray comma"),
        pytest.param("", "line 1, column 1", id="an empty file"),
        pytest.param('{"name": "x"', "line 1, column 13", id="cut off"),
        pytest.param("[]", "a suite is an object", id="not an object"),
        pytest.param('{"name": "x"}', "has no expectations", id="no expectations"),
        pytest.param('{"expectations": {}}', "must be a list", id="expectations not a list"),
        pytest.param('{"expectations": [], "expectations": []}', "stands twice", id="a key twice"),
        pytest.param('{"expectations": [], "x": NaN}', "NaN is not JSON", id="NaN"),
        pytest.param('{"expectatons": []}', "did you mean expectations?", id="a misspelt key"),
        pytest.param('{"expectation_suite_name": "x", "expectations": []}', "before Great Expectations 1.0", id="old"),
        pytest.param('{"suite_parameters": {"a": 1}, "expectations": []}', "not supported", id="parameters"),
    ],
)
def test_broken_suite_is_refused_with_place_and_cause(tmp_path, text, expected):
    (tmp_path / "contacts.json").write_text(text)
    message = refusal(tmp_path)
    assert str(tmp_path / "contacts.json") in message
    assert expected in message


def test_broken_json_is_shown_with_a_caret(tmp_path):
    (tmp_path / "contacts.json").write_text('{"name": "x",\n  "expectations": [,]}')
    assert refusal(tmp_path).splitlines()[1:] == ['      "expectations": [,]}', " " * 4 + " " * 19 + "^"]


def test_suite_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "contacts.json").write_bytes('{"name": "Müller"}'.encode("latin-1"))
    assert "not UTF-8 text at byte 11" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param("x", "must be an object", id="not an object"),
        pytest.param({"kwargs": {}}, "has no type", id="no type"),
        pytest.param(
            {"type": "expect_column_values_to_not_be_nul", "kwargs": {}},
            "did you mean expect_column_values_to_not_be_null?",
            id="a misspelt type",
        ),
        pytest.param(
            {"type": "match_regex"}, "did you mean expect_column_values_to_match_regex?", id="a shortened type"
        ),
        pytest.param({**NOT_NULL, "serverity": "info"}, "did you mean severity?", id="a misspelt key"),
        pytest.param({**NOT_NULL, "severity": "error"}, "one of critical, warning, info", id="an unknown severity"),
        pytest.param({"expectation_type": "x"}, "write type in place of expectation_type", id="the old format"),
        pytest.param({**NOT_NULL, "kwargs": []}, "kwargs must be an object", id="kwargs not an object"),
        pytest.param({**NOT_NULL, "kwargs": {}}, "lacks the kwarg 'column'", id="a missing kwarg"),
        pytest.param(
            {**NOT_NULL, "kwargs": {"colum": "id", "column": "id"}}, "did you mean column?", id="a misspelt kwarg"
        ),
        pytest.param({**NOT_NULL, "kwargs": {"column": 3}}, "write a remote field", id="a column that is no text"),
        pytest.param({**NOT_NULL, "kwargs": {"column": "id", "mostly": 95}}, "from 0 to 1", id="mostly in percent"),
        pytest.param(
            {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "id", "regex": "("}},
            "not a regular expression: missing )",
            id="a broken regex",
        ),
        pytest.param(
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "id", "min_value": "1900-01-01"}},
            "dates and times are text",
            id="a bound that is a date",
        ),
        pytest.param(
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "id", "max_value": 10**18}},
            "beyond 2^53",
            id="a bound that would be rounded",
        ),
        pytest.param(
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "id", "value_set": {"$PARAMETER": "x"}}},
            "write the value",
            id="a parameter",
        ),
        pytest.param(
            {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "select 1"}},
            "works on SQL databases only",
            id="a rule for SQL",
        ),
    ],
)
def test_broken_rule_is_refused_with_what_to_do(tmp_path, rule, expected):
    message = refusal_of(tmp_path, rule)
    assert "contacts.json: rule 1" in message
    assert expected in message


def test_rule_on_a_column_that_the_mapping_does_not_send_is_refused_with_file_rule_and_column(tmp_path):
    message = refusal_of(tmp_path, {**NOT_NULL, "kwargs": {"column": "firstnam"}}, "firstname")
    assert "contacts.json: rule 1 (expect_column_values_to_not_be_null)" in message
    assert "'firstnam'" in message
    assert "did you mean firstname?" in message
    assert "map that remote field, or take the rule out" in message


@pytest.mark.parametrize(
    ("rule_type", "kwargs"),
    [
        ("expect_column_pair_values_to_be_equal", {"column_A": "id", "column_B": "score"}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["id", "score"]}),
    ],
)
def test_rule_on_several_columns_with_one_not_sent_is_refused(tmp_path, rule_type, kwargs):
    assert "'score'" in refusal_of(tmp_path, {"type": rule_type, "kwargs": kwargs})
    assert load(tmp_path, "score").columns == ("id", "score")


def test_suite_with_several_mistakes_names_them_all(tmp_path):
    write(tmp_path, "contacts", {**NOT_NULL, "severity": "x"}, NOT_NULL, {**NOT_NULL, "kwargs": {"column": "y"}})
    lines = refusal(tmp_path).splitlines()
    assert len(lines) == 2
    assert "rule 1 " in lines[0]
    assert "rule 3 " in lines[1]


def test_digest_changes_with_what_is_asked_and_only_then(tmp_path):
    write(tmp_path, "contacts", NOT_NULL)
    plain = load(tmp_path).digest
    write(tmp_path, "contacts", {"severity": "critical", "notes": "why", **NOT_NULL})
    assert load(tmp_path).digest == plain
    write(tmp_path, "contacts", {**NOT_NULL, "severity": "warning"})
    assert load(tmp_path).digest != plain
    assert len(plain) == 16


def test_reading_a_suite_imports_neither_great_expectations_nor_pandas():
    code = (
        "import sys, pathlib; from ometria_provider.validation import run, suites;"
        f"suites.load_suites(pathlib.Path({str(SHIPPED)!r}), 'x', ());"
        "run.validate(suites.Suite((), b''), {'id': []});"
        "heavy = {'great_expectations', 'pandas', 'numpy', 'airflow', 'sqlalchemy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
