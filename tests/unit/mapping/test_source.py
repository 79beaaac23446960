from __future__ import annotations

import pytest
from ometria_provider.mapping.source import Problem, read_source


def read(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_source(path)


def test_read_source_knows_where_everything_stands(tmp_path):
    source = read(tmp_path, "a: 1\nb:\n  - {c: x}\n")
    assert source.data == {"a": 1, "b": [{"c": "x"}]}
    assert source.keys[("b", 0, "c")] == (3, 6)
    assert source.values[("b", 0, "c")] == (3, 9)
    assert source.problems == []


def test_read_source_takes_yaml_1_2_and_leaves_dates_as_text(tmp_path):
    text = (
        "a: no\nb: 2024-01-31\nc: 0x1F\nd: 1_000\ne: ~\nf: true\ng: 010\nh: 1.5\ni: '5'\nj: 0o17\n1: one\ntrue: yes\n"
    )
    assert read(tmp_path, text).data == {
        "a": "no", "b": "2024-01-31", "c": 31, "d": 1000, "e": None, "f": True, "g": 10, "h": 1.5, "i": "5", "j": 15,
        "1": "one", "true": "yes",
    }  # fmt: skip


def test_read_source_takes_a_byte_order_mark_and_aliases(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfa: &x [1]\nb: *x\n").data == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (b"a: 1\nb: \xe9\n", (2, 4), "not UTF-8"),
        ("a: 1\na: 2\n", (2, 1), "`a` stands here twice, first in line 1"),
        ("a: {b: 1, b: 2}\n", (1, 11), "`b` stands here twice"),
        ("a:\n\t- b\n", (2, 1), "this is not YAML"),
        ("a: @b\n", (1, 4), "this is not YAML"),
        ("a: b: c\n", (1, 5), "this is not YAML"),
        ("a: [1\n", (2, 1), "this is not YAML"),
        ("a: 1\n---\nb: 2\n", (2, 1), "another document"),
        ("a: !x 1\n", (1, 4), "tag"),
        ("a: !!python/name:os.system x\n", (1, 4), "tag"),
        ("a: .inf\n", (1, 4), "finite"),
        ("a: &x [*x]\n", (1, 4), "aliases"),
        ("? [a]\n: 1\n", (1, 3), "a key must be plain text"),
        ("a: \x07\n", (1, 1), "this is not YAML"),
    ],
    ids=repr,
)
def test_read_source_of_a_broken_file_points_at_the_place(tmp_path, text, place, words):
    problem = read(tmp_path, text).problems[0]
    assert words in problem.message
    assert (problem.line, problem.column) == place


def test_read_source_of_a_billion_laughs_stops(tmp_path):
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases" in read(tmp_path, "\n".join(levels)).problems[0].message


@pytest.mark.parametrize("value", ["!!int abc", "!!float abc", "9" * 5_000])
def test_read_source_of_a_number_that_cannot_be_read_points_at_it(tmp_path, value):
    (problem,) = read(tmp_path, f"a: 1\nb: {value}").problems
    assert (problem.line, problem.message) == (2, "this is no number that can be read")


def test_read_source_of_a_file_nested_beyond_measure_says_so(tmp_path):
    assert "nested too deeply" in read(tmp_path, "[" * 700).problems[0].message


def test_read_source_of_a_folder_or_nothing_says_it_cannot(tmp_path):
    assert "cannot be read" in read_source(tmp_path).problems[0].message
    assert "cannot be read" in read_source(tmp_path / "gone.yaml").problems[0].message


def test_problem_renders_the_line_with_a_caret_and_a_hint():
    problem = Problem(
        "m/x.yaml",
        7,
        14,
        "unknown loyalty field `frist_name`",
        "did you mean `first_name`?",
        "  - {loyalty: frist_name}",
    )
    assert problem.render() == (
        "m/x.yaml:7:14: unknown loyalty field `frist_name`\n"
        "      - {loyalty: frist_name}\n"
        "                 ^\n"
        "    did you mean `first_name`?"
    )
