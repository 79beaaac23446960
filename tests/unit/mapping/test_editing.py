from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.editing import Edit, RowEdit, difference, edit_text
from ometria_provider.mapping.source import parse_source
from ometria_provider.mapping.splicing import CannotEdit, same

SHIPPED = Path(__file__).parents[3] / "include" / "mappings"
TEXT = """\
# head
description: Members   # of the programme
mode: legacy
list: 4821 # newsletter

where:
  status: {in: [active, inactive]}
  # only there
  country: GB
fields:
  # these are the rows
  - {loyalty: email, remote: email, transform: [strip, lower]}  # tidied

  # Profile
  - {loyalty: first_name,  remote: firstname}
  - {loyalty: last_name,   remote: lastname}   # family
  # where they buy
  - loyalty: properties.store
    remote: store   # custom
    # as text
    transform: [string]

  # Constants
  - {value: antavo, remote: source}

# the end
limits: {max_rejected_share: 0.01}
"""


def edited(text: str = TEXT, *, rows=None, **keys):
    return edit_text(text, Edit(keys=keys, rows=rows))


def keep(*origins: int) -> list[RowEdit]:
    return [RowEdit(origin) for origin in origins]


def test_edit_of_nothing_returns_the_text_itself() -> None:
    assert edited() == TEXT
    assert edited(rows=keep(0, 1, 2, 3, 4)) == TEXT


@pytest.mark.parametrize(
    ("keys", "old", "new"),
    [
        ({"list": 17}, "list: 4821 # newsletter", "list: 17 # newsletter"),
        ({"mode": "v2"}, "mode: legacy", "mode: v2"),
        ({"description": "a: b"}, "Members   #", '"a: b"   #'),
        ({"schedule": "@daily"}, "programme\n", 'programme\nschedule: "@daily"\n'),
        ({"where": {"status": {"in": ["active"]}, "country": "GB"}}, "[active, inactive]", "[active]"),
        ({"where": {"status": {"in": ["active", "inactive"]}}}, "  country: GB\n", ""),
        ({"limits": {"max_rejected_share": None}}, "0.01}", "null}"),
        (
            {"limits": {"max_rejected_share": 0.01, "min_count": 5}},
            "{max_rejected_share: 0.01}",
            "{max_rejected_share: 0.01, min_count: 5}",
        ),
        ({"verify": "full"}, "limits:", "limits:"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_edit_of_a_key_changes_its_value_alone(keys, old, new) -> None:
    text = edited(**keys)
    assert parse_source(text, "").data == parse_source(TEXT, "").data | keys
    assert old in TEXT
    if old != new:
        assert text == TEXT.replace(old, new)


def test_edit_that_removes_a_key_takes_its_lines_and_leaves_the_comments_around() -> None:
    text = edit_text(TEXT, Edit(removed=frozenset({"where", "mode"})))
    assert "where:" not in text
    assert "mode:" not in text
    assert "# head" in text
    assert parse_source(text, "").data.keys() == {"description", "list", "fields", "limits"}


def test_edit_of_a_row_leaves_all_other_lines() -> None:
    rows = keep(0, 1, 2, 3, 4)
    rows[2] = RowEdit(2, {"loyalty": "last_name", "remote": "surname", "transform": ["strip"]})
    rows[3] = RowEdit(3, {"loyalty": "properties.store", "remote": "store"})
    text = edited(rows=rows)
    gone = "  - {loyalty: last_name,   remote: lastname}   # family\n"
    new = "  - {loyalty: last_name, remote: surname, transform: [strip]}   # family\n"
    assert text == TEXT.replace(gone, new).replace("    transform: [string]\n", "")


def test_edit_that_makes_a_row_a_constant_writes_it_as_one() -> None:
    rows = keep(0, 1, 2, 3, 4)
    rows[1] = RowEdit(1, {"value": "Ann", "remote": "firstname"})
    rows[3] = RowEdit(3, {"value": 7, "remote": "store"})
    text = edited(rows=rows)
    assert "  - {value: Ann, remote: firstname}\n" in text
    assert "  - value: 7\n    remote: store   # custom\n" in text


def test_edit_that_adds_rows_puts_them_behind_the_row_before() -> None:
    row = {"loyalty": "score", "remote": "points"}
    text = edited(rows=[RowEdit(0), RowEdit(1), RowEdit(None, row), *keep(2, 3, 4)])
    place = "firstname}\n"
    assert text == TEXT.replace(place, f"{place}  - {{loyalty: score, remote: points}}\n")
    first = edited(rows=[RowEdit(None, row), *keep(0, 1, 2, 3, 4)])
    assert "fields:\n  - {loyalty: score, remote: points}\n  # these are the rows\n" in first


def test_edit_that_removes_a_row_leaves_the_comments_above_it() -> None:
    text = edited(rows=keep(0, 1, 3))
    lost = Counter(comments(TEXT)) - Counter(comments(text))
    assert lost == Counter(["# family"])
    assert edited(rows=[]).count("fields: []") == 1
    assert "# Profile" in edited(rows=[])


def test_edit_that_moves_a_row_takes_the_comment_along_that_is_its_own() -> None:
    lines = edited(rows=keep(0, 3, 1, 2, 4)).splitlines()
    assert lines.index("  # where they buy") + 1 == lines.index("  - loyalty: properties.store")
    assert lines.index("  - loyalty: properties.store") < lines.index("  # Profile")
    assert lines.index("  # Profile") + 1 == lines.index("  - {loyalty: first_name,  remote: firstname}")


def test_edit_of_rows_in_brackets_writes_a_row_a_line() -> None:
    text = edited("list: 1\nfields: [{loyalty: email, remote: email}]  # all\n", rows=[RowEdit(0), *keep(0)])
    assert text == (
        "list: 1\nfields:\n  - {loyalty: email, remote: email}\n  - {loyalty: email, remote: email}  # all\n"
    )


def test_edit_of_a_file_in_brackets_stays_in_brackets() -> None:
    text = '{"list": 1, "fields": [{"loyalty": "email", "remote": "email"}]}'
    new = edited(text, rows=[RowEdit(0), RowEdit(None, {"value": 1, "remote": "x"})], mode="v2")
    rows = "[{loyalty: email, remote: email}, {value: 1, remote: x}]"
    assert new == f'{{mode: v2, "list": 1, "fields": {rows}}}'


@pytest.mark.parametrize("text", ["list: 1", "list: 1\n", "list: 1\nfields:", "list: 1\nfields: []\n", "list: 1\r\n"])
def test_edit_of_a_file_without_rows_writes_the_first(text: str) -> None:
    new = edited(text, rows=[RowEdit(None, {"loyalty": "email", "remote": "email"})], mode="v2")
    assert parse_source(new, "").data == {
        "list": 1, "mode": "v2", "fields": [{"loyalty": "email", "remote": "email"}]
    }  # fmt: skip
    assert ("\r\n" in text) == ("\r\n  - {loyalty" in new)


def test_edit_keeps_the_mark_of_byte_order_and_the_missing_last_line_break() -> None:
    assert edited("\ufefflist: 1", list=2) == "\ufefflist: 2"


@pytest.mark.parametrize(
    "text",
    ["", "just text", "a: [", "list: &a 1\nmin: *a\n", "list: 1\nlist: 2\n", "fields:\n  -\n    loyalty: email\n"],
)
def test_edit_of_what_cannot_be_changed_safely_is_refused(text: str) -> None:
    with pytest.raises(CannotEdit):
        edited(text, list=3, rows=[RowEdit(None, {"value": 1, "remote": "x"})])


def test_edit_of_a_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(CannotEdit):
        edited(rows=keep(5))


def test_difference_names_both_states_and_shows_the_lines() -> None:
    shown = difference("a: 1\nb: 2", "a: 1\nb: 3\n", "x.yaml")
    assert shown.startswith("--- x.yaml (saved)\n+++ x.yaml (edited)\n")
    assert "-b: 2\n\\ No newline at end of file\n+b: 3\n" in shown
    assert difference(TEXT, TEXT, "x.yaml") == ""


# ---- any edit of any file


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]


names = st.sampled_from(["email", "first_name", "score", "properties.a", 'properties["b.c"]', "mm:x", "no", "a b"])
scalars = st.integers(-5, 10**20) | st.booleans() | st.sampled_from([0.5, 1.0, "x", "@y", "", "10"])
transforms = st.lists(
    st.sampled_from(["strip", "lower"]) | st.fixed_dictionaries({"map": st.dictionaries(names, scalars, min_size=1)}),
    min_size=1,
    max_size=3,
)
rows = st.fixed_dictionaries({"loyalty": names, "remote": names}, optional={"transform": transforms}) | (
    st.fixed_dictionaries({"value": scalars, "remote": names})
)
keys = st.fixed_dictionaries(
    {},
    optional={
        "description": st.text(st.characters(blacklist_categories=["Cs"]), max_size=8),
        "list": st.integers(1, 99),
        "mode": st.sampled_from(["legacy", "v2"]),
        "schedule": st.none() | st.sampled_from(["@daily", "15 4 * * *"]),
        "where": st.dictionaries(names, scalars | st.fixed_dictionaries({"in": st.lists(scalars, min_size=1)})),
        "limits": st.dictionaries(st.sampled_from(["min_count", "max_drop_share"]), st.none() | st.integers(0, 9)),
    },
)


def block(value, indent: str, draw) -> str:
    """Write a value below its key, as a person may."""
    from ometria_provider.mapping.flow import flow

    if not isinstance(value, dict) or not value or draw(st.booleans()):
        return f" {flow(value)}{draw(st.sampled_from(['', '  # note']))}\n"
    lines = [f"{indent}  {flow(key)}:{block(inner, indent + '  ', draw)}" for key, inner in value.items()]
    return draw(st.sampled_from(["", "  # below"])) + "\n" + "".join(lines)


@st.composite
def files(draw) -> str:
    from ometria_provider.mapping.flow import flow

    gaps = st.sampled_from(["", "", "\n", "# heading\n", "\n# one\n# two\n"])
    parts = []
    for key, value in draw(keys).items():
        parts.append(draw(gaps) + f"{key}:{block(value, '', draw)}")
    lines = f"{draw(gaps)}fields:\n"
    indent = draw(st.sampled_from(["", "  "]))
    for row in draw(st.lists(rows, min_size=1, max_size=6)):
        gap = "".join(indent + line for line in draw(gaps).splitlines(keepends=True))
        if draw(st.booleans()):
            lines += f"{gap}{indent}- {flow(row)}{draw(st.sampled_from(['', '   # note']))}\n"
        else:
            inner = [f"{flow(key)}:{block(value, indent + '  ', draw)}" for key, value in row.items()]
            lines += f"{gap}{indent}- " + f"{indent}  ".join(inner)
    parts.insert(draw(st.integers(0, len(parts))), lines)
    text = "".join(parts) + draw(gaps)
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@st.composite
def edits(draw, count: int) -> Edit:
    edit = Edit(
        keys=draw(keys), removed=draw(st.frozensets(st.sampled_from(["mode", "where", "schedule"]), max_size=2))
    )
    if draw(st.booleans()):
        return edit
    kept = draw(st.lists(st.integers(0, count - 1), unique=True))
    if draw(st.booleans()):
        kept.sort()
    asked = [RowEdit(origin, draw(st.none() | rows)) for origin in kept]
    for row in draw(st.lists(rows, max_size=2)):
        asked.insert(draw(st.integers(0, len(asked))), RowEdit(None, row))
    return Edit(edit.keys, edit.removed, asked)


@given(files())
def test_edit_of_nothing_returns_any_text_byte_for_byte(text: str) -> None:
    data = parse_source(text, "").data
    again = {key: value for key, value in copy.deepcopy(data).items() if key != "fields"}
    same_rows = [RowEdit(index, row) for index, row in enumerate(data["fields"])]
    assert edit_text(text, Edit(keys=again, rows=same_rows)) == text


@given(st.data())
def test_any_edit_gives_the_file_that_was_asked_for_and_keeps_its_comments(data) -> None:
    text = data.draw(files())
    before = parse_source(text, "").data
    edit = data.draw(edits(len(before["fields"])))
    new = edit_text(text, edit)
    wanted = {
        key: value for key, value in (before | dict(edit.keys)).items() if key not in edit.removed - set(edit.keys)
    }
    if edit.rows is not None:
        wanted["fields"] = [before["fields"][row.origin] if row.row is None else row.row for row in edit.rows]
    assert same(parse_source(new, "").data, wanted)
    whole = Counter(line.strip() for line in text.splitlines() if line.strip().startswith("#"))
    there = Counter(line.strip() for line in new.splitlines() if line.strip().startswith("#"))
    assert whole <= there


@given(st.data(), st.sampled_from(sorted(path.name for path in SHIPPED.glob("*.yaml"))))
def test_any_edit_of_the_shipped_files_touches_only_lines_that_change(data, name: str) -> None:
    text = (SHIPPED / name).read_text()
    count = len(parse_source(text, "").data["fields"])
    row = data.draw(st.integers(0, count - 1))
    asked = [RowEdit(index) for index in range(count)]
    asked[row] = RowEdit(row, data.draw(rows))
    new = edit_text(text, Edit(rows=asked))
    changed = [pair for pair in zip(text.splitlines(), new.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(changed) <= 1
