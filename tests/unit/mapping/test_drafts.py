from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.drafts import Draft, RowDraft, check_draft, show_file
from ometria_provider.mapping.source import parse_source

TEXT = """\
# head
list: 4821
schedule: null
fields:
  - {loyalty: email, remote: email, transform: [strip, {map: {a: 1}, default: null}]}
  - {value: 1234567890123456789, remote: number}  # all digits
  - {value: "12", remote: text}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "customers.yaml"
    path.write_text(TEXT)
    return path


def loaded() -> list[RowDraft]:
    return show_file(TEXT)[1]


def test_file_is_shown_as_texts() -> None:
    keys, rows = show_file(TEXT)
    assert keys == {"list": "4821", "schedule": "null"}
    assert rows == [
        RowDraft("email", "email", "strip, {map: {a: 1}, default: null}", origin=0),
        RowDraft("number", value="1234567890123456789", constant=True, origin=1),
        RowDraft("text", value='"12"', constant=True, origin=2),
    ]


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "fields: 7\n", "fields: [7, {remote: 5, loyalty: [a]}]\n"])
def test_broken_file_is_shown_as_far_as_it_goes(text: str) -> None:
    keys, rows = show_file(text)
    assert keys == {}
    assert [row.remote for row in rows] in ([], ["", "5"])


def test_draft_that_says_what_the_file_says_leaves_the_text_alone(path: Path) -> None:
    keys, rows = show_file(TEXT)
    checked = check_draft(path, TEXT, Draft(keys, rows))
    assert (checked.text, checked.difference, checked.findings) == (TEXT, "", [])
    assert checked.mapping is not None


@given(
    st.text() | st.sampled_from(["@home", "50%: x", "[a", "{a: 1}", "null", "yes", "12", '"12"', "'a'", "#a", "a\nb"])
)
def test_constant_of_any_text_goes_into_the_file_as_a_scalar(text: str) -> None:
    rows = [*loaded()[:2], replace(loaded()[2], value=text)]
    checked = check_draft(Path("customers.yaml").absolute(), TEXT, Draft(rows=rows))
    assert checked.text is not None
    value = parse_source(checked.text, "").data["fields"][2]["value"]
    assert not isinstance(value, (list, dict))
    again = show_file(checked.text)[1]
    assert check_draft(Path("customers.yaml").absolute(), checked.text, Draft(rows=again)).text == checked.text


def test_draft_of_keys_changes_them_and_an_empty_text_takes_one_out(path: Path) -> None:
    draft = Draft({"list": "17", "schedule": "", "where": "{country: GB}", "retry_rejected": "null", "mode": "v2"})
    checked = check_draft(path, TEXT, draft)
    assert checked.findings == []
    assert checked.mapping is not None
    assert (checked.mapping.list, checked.mapping.mode, checked.mapping.retry_rejected) == (17, "v2", None)
    assert checked.text is not None
    assert "schedule" not in checked.text
    assert checked.difference.startswith("--- customers.yaml (saved)\n")


def test_problems_name_the_row_of_the_form_and_its_key(path: Path) -> None:
    rows = [RowDraft("firstname", "frist_name"), *loaded(), RowDraft("a b", "score", "stripp")]
    findings = check_draft(path, TEXT, Draft({"list": "many"}, rows)).findings
    assert {(one.row, one.key) for one in findings} == {
        (None, "list"),
        (0, "loyalty"),
        (4, "remote"),
        (4, "transform"),
    }
    assert "did you mean `first_name`?" in next(one.hint for one in findings if one.row == 0)
    assert all(one.line for one in findings)


@pytest.mark.parametrize("transform", ["strip, {e164", "strip]", "a: b: c", "{a: 1} #"])
def test_transforms_that_cannot_be_read_are_a_problem_of_their_row(path: Path, transform: str) -> None:
    checked = check_draft(path, TEXT, Draft(rows=[*loaded(), RowDraft("x", "score", transform)]))
    assert checked.text is None
    assert {(one.row, one.key) for one in checked.findings} == {(3, "transform")}
    assert "separate transforms by commas" in checked.findings[0].hint


def test_collection_that_another_file_owns_is_a_problem(path: Path) -> None:
    (path.parent / "other.yaml").write_text("list: 1\nfields: []\n")
    findings = check_draft(path, TEXT, Draft({"collection": "other"})).findings
    assert [(one.key, one.row) for one in findings] == [("collection", None)]
    assert "owned by" in findings[0].message


def test_collection_taken_from_another_file_is_that_file_s_problem(path: Path) -> None:
    (path.parent / "other.yaml").write_text("list: 1\ncollection: customers\nfields: []\n")
    findings = check_draft(path, TEXT, Draft()).findings
    assert [one.file for one in findings] == ["other.yaml"]


def test_unknown_key_of_a_form_is_refused(path: Path) -> None:
    assert check_draft(path, TEXT, Draft({"fields": "[]"})).text is None


def test_file_that_cannot_be_edited_safely_says_so(path: Path) -> None:
    checked = check_draft(path, "list: &a 1\nfields: []\n", Draft({"list": "2"}))
    assert checked.text is None
    assert "anchors" in checked.findings[0].message


def test_row_that_the_form_did_not_touch_keeps_what_the_form_cannot_show(path: Path) -> None:
    text = TEXT.replace("remote: email,", "remote: email, remark: by Ann,")
    rows = show_file(text)[1]
    checked = check_draft(path, text, Draft(rows=[rows[0], replace(rows[1], remote="digits"), rows[2]]))
    assert checked.text == text.replace("remote: number", "remote: digits")
    assert [(one.row, one.key) for one in checked.findings] == [(0, "remark")]
