from __future__ import annotations

import os
from pathlib import Path

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping import files, forms
from ometria_provider.mapping.files import MappingFileError, check_folder, load_mapping
from ometria_provider.mapping.source import read_source

HEAD = "list: 4821\n"
ROWS = "fields:\n  - {loyalty: first_name, remote: firstname}\n"


def problems_of(tmp_path, text, name="customers.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MappingFileError) as caught:
        load_mapping(path)
    return caught.value.problems


def row(text):
    return f"{HEAD}fields:\n  - {text}\n"


def test_load_mapping_of_the_least_file_fills_in_the_defaults(tmp_path):
    path = tmp_path / "customers.yaml"
    path.write_text(HEAD + ROWS)
    mapping = load_mapping(path)
    assert (mapping.name, mapping.collection, mapping.list, mapping.mode) == ("customers", "customers", 4821, "legacy")


def test_load_mapping_of_the_files_page_with_what_is_built(tmp_path):
    path = tmp_path / "members.yaml"
    path.write_text(
        """
description: Loyalty members to the newsletter list
schedule: "@hourly"
timezone: UTC
mode: v2
connections: {antavo: antavo_default, ometria: ometria_default}
list: 4821
collection: customers
identity: {id: id, email: email, customer_id: id}
where: {status: {in: [active, inactive]}}
fields:
  - {loyalty: email, remote: email, transform: [strip, lower]}
  - {loyalty: first_name, remote: firstname}
  - {loyalty: tiers.basic_structure.next.name, remote: next_tier}
  - {loyalty: accounts.prestige_balance.earned, remote: prestige_earned}
  - {loyalty: 'properties["a.b"]', remote: "mm:x", transform: [{e164: GB}, {join: "|"}, {round: 1}]}
  - {loyalty: properties.tier, remote: tier, transform: [{map: {gold: G, silver: S}, default: other}]}
  - {value: antavo, remote: loyalty_source}
language: en
on_empty: clear
strategy: full
retry_rejected: P1D
limits:
  max_rejected_share: 0.01
  max_outstanding_share: 0.1
  max_changed_share: null
  max_cleared_share: 0.2
  max_drop_share: 0.3
  min_count: 20
"""
    )
    mapping = load_mapping(path)
    assert mapping.collection == "customers"
    assert mapping.limits.max_changed_share is None


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        # unknown keys, on every level
        (f"descripton: x\n{HEAD}{ROWS}", (1, 1), "unknown key `descripton`", "did you mean `description`?"),
        (f"{HEAD}{ROWS}name: x\n", (4, 1), "unknown key `name`", "the file's name"),
        (f"{HEAD}connections: {{antavoo: x}}\n{ROWS}", (2, 15), "unknown key `antavoo`", "`antavo`"),
        (f"{HEAD}identity: {{emai: email}}\n{ROWS}", (2, 12), "unknown key `emai`", "`email`"),
        (f"{HEAD}limits: {{max_reject_share: 1}}\n{ROWS}", (2, 10), "unknown key", "`max_rejected_share`"),
        (row("{loyalty: score, remote: x, tranform: [strip]}"), (3, 33), "unknown key `tranform`", "`transform`"),
        (row("{loyalti: score, remote: x}"), (3, 6), "unknown key `loyalti`", "did you mean `loyalty`?"),
        (f"{HEAD}where: {{score: {{gtt: 1}}}}\n{ROWS}", (2, 17), "unknown operator `gtt`", "`gt`"),
        (f"{HEAD}strategy: incrementel\n{ROWS}", (2, 11), "`strategy` is 'full' or 'incremental'", ""),
        # consent
        (row("{loyalty: score, remote: channels.sms.allow_all}"), (3, 30), "no field of a contact", "`channels.sms"),
        (f"{HEAD}consent: {{force_optout: true}}\n{ROWS}", (2, 11), "unknown key `force_optout`", "`force_opt_out`"),
        (f"{HEAD}consent: {{force_opt_out: true}}\n{ROWS}", (2, 26), "needs a row for `market", "add the row"),
        (row("{value: maybe, remote: marketing_optin}"), (3, 13), "is none of EXPLICITLY_OPTEDIN", ""),
        # loyalty fields
        (row("{loyalty: frist_name, remote: x}"), (3, 15), "unknown loyalty field `frist_name`", "`first_name`"),
        (row("{loyalty: newsletter, remote: x}"), (3, 15), "unknown loyalty field", "`properties.newsletter`"),
        (row("{loyalty: tiers.basic.name, remote: x}"), (3, 15), "cannot be used in legacy mode", "mode: v2"),
        (row("{loyalty: accounts.a.earned, remote: x}"), (3, 15), "cannot be used in legacy mode", "mode: v2"),
        (row("{loyalty: extensions.expiring_points.total, remote: x}"), (3, 15), "legacy mode", "mode: v2"),
        (f"{HEAD}mode: v2\nidentity: {{email: extensions.expiring_points.id}}\n{ROWS}", (3, 19), "a detail", "own"),
        (f"{HEAD}where: {{tiers.a.name: Gold}}\n{ROWS}", (2, 9), "cannot be used in legacy mode", "mode: v2"),
        (f"{HEAD}where: {{newsletter: true}}\n{ROWS}", (2, 9), "unknown loyalty field", "`properties.newsletter`"),
        (f"{HEAD}identity: {{customer_id: accounts.a.name}}\n{ROWS}", (2, 25), "legacy mode", "mode: v2"),
        (f"{HEAD}identity: {{customer_id: crm}}\n{ROWS}", (2, 25), "unknown loyalty field", "`properties.crm`"),
        (row("{loyalty: 'properties[a]', remote: x}"), (3, 15), "not a loyalty field's name", 'properties["a.b"]'),
        # identity
        (f"{HEAD}identity: {{id: null}}\n{ROWS}", (2, 16), "must not be null", "write `id: id`"),
        (f"{HEAD}identity: {{email: null, customer_id: null}}\n{ROWS}", (2, 38), "must not both be null", "keep one"),
        (f"identity: {{email: null}}\n{row('{loyalty: email, remote: email}')}", (4, 30), "another loyalty", "one"),
        # remote fields
        (row("{loyalty: score, remote: '@merge'}"), (3, 30), "`@merge` is a directive", "remove the row"),
        (row("{loyalty: score, remote: my field}"), (3, 30), "has no spaces", "`my_field`"),
        (row("{loyalty: score, remote: properties.x}"), (3, 30), "`properties` is no remote field", "write `x`"),
        (
            row("{loyalty: score, remote: x}\n  - {value: 1, remote: x}"),
            (4, 24), "`x` is mapped twice, first in row 1", "remove one",
        ),
        # rows
        (row("{remote: x}"), (3, 5), "a row needs `loyalty` or `value`", ""),
        (row("{loyalty: score}"), (3, 5), "`remote` is missing", ""),
        (row("{loyalty: score, value: 1, remote: x}"), (3, 22), "either `loyalty` or `value`", "two rows"),
        (row("{value: null, remote: x}"), (3, 13), "never empty", ""),
        (row("{value: '', remote: x}"), (3, 13), "never empty", ""),
        (row("{value: [1], remote: x}"), (3, 13), "never empty", ""),
        (row("{value: 1, remote: x, transform: [strip]}"), (3, 27), "a constant takes no transform", ""),
        (row("{value: 1, remote: id}"), (3, 13), "cannot be a constant", "loyalty field"),
        (row("{value: Atlantis, remote: country_id}"), (3, 13), "is not a known country", ""),
        (row("first_name"), (3, 5), "keys with values", ""),
        # transforms
        (row("{loyalty: score, remote: x, transform: strip}"), (3, 44), "`transform` is a list", "[strip]"),
        (row("{loyalty: score, remote: x, transform: [stripp]}"), (3, 45), "unknown transform `stripp`", "`strip`"),
        (row("{loyalty: score, remote: x, transform: [join]}"), (3, 45), "`join` needs its option", '{join: "|"}'),
        (row("{loyalty: score, remote: x, transform: [{strip: 1}]}"), (3, 46), "takes no options", "`strip` alone"),
        (row("{loyalty: score, remote: x, transform: [{rond: 1}]}"), (3, 46), "unknown transform `rond`", "`round`"),
        (row("{loyalty: score, remote: x, transform: [{round: 1.5}]}"), (3, 53), "whole number", ""),
        (row("{loyalty: score, remote: x, transform: [{e164: UK}]}"), (3, 52), "two-letter code", "GB"),
        (row("{loyalty: score, remote: x, transform: [{map: {a: [1]}}]}"), (3, 55), "text is wanted", ""),
        (row("{loyalty: score, remote: x, transform: [{map: {a: b}, defualt: c}]}"), (3, 59), "has no option", ""),
        (row("{loyalty: score, remote: x, transform: [{map: {a: b}, round: 1}]}"), (3, 59), "no option", "its own"),
        (row("{loyalty: score, remote: x, transform: [{default: 1}]}"), (3, 46), "unknown transform `default`", ""),
        # where
        (f"{HEAD}where: {{status: [active]}}\n{ROWS}", (2, 17), "a rule is a value or operators", "{in: […]}"),
        (f"{HEAD}where: {{status: null}}\n{ROWS}", (2, 17), "a rule is a value or operators", "exists"),
        (f"{HEAD}where: {{status: {{}}}}\n{ROWS}", (2, 17), "the rule is empty", ""),
        (f"{HEAD}where: {{status: {{in: active}}}}\n{ROWS}", (2, 22), "`in` needs a list", "[active]"),
        (f"{HEAD}where: {{status: {{in: []}}}}\n{ROWS}", (2, 22), "`in` needs a list", ""),
        (f"{HEAD}where: {{status: {{eq: null}}}}\n{ROWS}", (2, 22), "needs a value", "exists"),
        (f"{HEAD}where: {{score: {{gt: true}}}}\n{ROWS}", (2, 21), "needs a number", ""),
        (f"{HEAD}where: {{score: {{exists: 1}}}}\n{ROWS}", (2, 25), "true or false", ""),
        (f"{HEAD}where: {{created_at: {{gt: soon}}}}\n{ROWS}", (2, 26), "is a time", "2026-01-31"),
        # types and values
        (f"list: '4821'\n{ROWS}", (1, 7), "whole number", "`list: 4821`"),
        (f"list: true\n{ROWS}", (1, 7), "whole number", "`list: 4821`"),
        (f"list: 0\n{ROWS}", (1, 7), "greater than or equal to 1", ""),
        (f"{HEAD}mode: v3\n{ROWS}", (2, 7), "`mode` is 'legacy' or 'v2'", ""),
        (f"{HEAD}on_empty: delete\n{ROWS}", (2, 11), "`on_empty` is 'clear' or 'keep'", ""),
        (f"{HEAD}limits: {{max_rejected_share: 5}}\n{ROWS}", (2, 30), "less than or equal to 1", "between 0 and 1"),
        (f"{HEAD}limits: {{min_count: 1.5}}\n{ROWS}", (2, 21), "whole number", ""),
        (f"{HEAD}retry_rejected: 1 day\n{ROWS}", (2, 17), "ISO 8601 duration", "P1D"),
        (f"{HEAD}full_every: weekly\n{ROWS}", (2, 13), "ISO 8601 duration", "P7D"),
        (f"{HEAD}details_max_age: a week\n{ROWS}", (2, 18), "ISO 8601 duration", "P7D"),
        (f"{HEAD}retry_rejected: 5\n{ROWS}", (2, 17), "ISO 8601 duration", "P1D"),
        (f"{HEAD}approve: sometimes\n{ROWS}", (2, 10), "'above_limits', 'changed_mapping'", ""),
        (f"{HEAD}approve_within: tonight\n{ROWS}", (2, 17), "ISO 8601 duration", "PT12H"),
        (f"{HEAD}approve_within: PT0S\n{ROWS}", (2, 17), "above nothing and at most P2D", "`approve: never`"),
        (f"{HEAD}approve_within: P3D\n{ROWS}", (2, 17), "above nothing and at most P2D", "PT12H"),
        (f"{HEAD}collection: my collection\n{ROWS}", (2, 13), "right form", "no spaces"),
        (f"{HEAD}language: english please\n{ROWS}", (2, 11), "right form", "`en`"),
        (f"{HEAD}schedule: 61 * * * *\n{ROWS}", (2, 11), "not a cron expression", "five fields"),
        (f"{HEAD}schedule: '@horly'\n{ROWS}", (2, 11), "unknown preset", "`@hourly`"),
        (f"{HEAD}timezone: Europe/Lundon\n{ROWS}", (2, 11), "unknown time zone", "`Europe/London`"),
        (f"{HEAD}description: 5\n{ROWS}", (2, 14), "text is wanted", ""),
        (f"{HEAD}where: 5\n{ROWS}", (2, 8), "keys with values", ""),
        (f"{HEAD}fields: {{a: b}}\n", (2, 9), "a list is wanted", "rows such as"),
        (f"{HEAD}fields:\n", (2, 1), "a list is wanted", "rows such as"),
        (ROWS, (1, 1), "`list` is missing", "4821"),
        (HEAD, (1, 1), "`fields` is missing", "rows such as"),
        # the file itself
        ("", (1, 1), "the file is empty", "`list:` and `fields:`"),
        ("# only a comment\n", (1, 1), "the file is empty", ""),
        ("- a\n", (1, 1), "keys with values", ""),
        (f"{HEAD}list: 1\n{ROWS}", (2, 1), "`list` stands here twice, first in line 1", "remove one"),
        (b"list: 1\n# caf\xe9\n", (2, 6), "not UTF-8", "UTF-8"),
        ("fields: @x\n", (1, 9), "this is not YAML", "quotes"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) and "\n" not in value else "",
)  # fmt: skip
def test_load_mapping_of_a_wrong_file_says_where_and_what_to_write(tmp_path, text, place, message, hint):
    problems = problems_of(tmp_path, text)
    assert len(problems) == 1, [problem.render() for problem in problems]
    [problem] = problems
    assert message in problem.message
    assert hint in problem.hint
    assert (problem.line, problem.column) == place
    if text:
        assert problem.source in str(MappingFileError(problems))
        assert f"customers.yaml:{place[0]}:{place[1]}: " in problem.render()


def test_load_mapping_reports_every_problem_of_a_file_by_line(tmp_path):
    text = "mode: v3\nverifi: full\nlist: x\nfields:\n  - {loyalty: frist_name, remote: a b}\n  - {loyalty: email}\n"
    problems = problems_of(tmp_path, text)
    assert [(problem.line, problem.column) for problem in problems] == [
        (1, 7),
        (2, 1),
        (3, 7),
        (5, 15),
        (5, 35),
        (6, 5),
    ]


@pytest.mark.parametrize("verify", ["suspects", "sample", "full", "off"])
def test_load_mapping_takes_each_word_for_verify_bare(tmp_path, verify):
    path = tmp_path / "customers.yaml"
    path.write_text(f"verify: {verify}\n{HEAD}{ROWS}")
    assert load_mapping(path).verify == verify


@pytest.mark.parametrize("schedule", ["@hourly", "*/15 4-6 * * mon-fri", "0 0 1 1 *", "@quarterly"])
def test_load_mapping_with_a_schedule_that_airflow_takes_passes(tmp_path, schedule):
    path = tmp_path / "customers.yaml"
    path.write_text(f'schedule: "{schedule}"\ntimezone: Europe/London\n{HEAD}{ROWS}')
    assert load_mapping(path).schedule == schedule


@pytest.mark.parametrize("name", ["my mapping.yaml", "ümlaut.yaml", "a:b.yaml"])
def test_load_mapping_with_a_name_that_is_no_dag_id_is_refused(tmp_path, name):
    [problem] = problems_of(tmp_path, HEAD + ROWS, name)
    assert "cannot name a mapping" in problem.message


def test_load_mapping_with_more_custom_fields_than_ometria_holds_is_refused(tmp_path):
    rows = "".join(f"  - {{value: 1, remote: f{n}}}\n" for n in range(102))
    [problem] = problems_of(tmp_path, f"{HEAD}fields:\n{rows}")
    assert "at most 100 custom fields" in problem.message
    assert problem.line == 103


def test_load_mapping_of_no_file_is_misconfigured(tmp_path):
    with pytest.raises(Misconfigured, match="cannot be read"):
        load_mapping(tmp_path / "gone.yaml")


def test_check_folder_keeps_the_sound_files_and_reports_the_broken_ones(tmp_path):
    (tmp_path / "good.yaml").write_text(HEAD + ROWS)
    (tmp_path / "bad.yaml").write_text("lists: 1\n")
    (tmp_path / "mapping.schema.json").write_text("{}")
    (tmp_path / ".hidden.yaml").write_text("x")
    (tmp_path / "other.yml").write_text(HEAD + ROWS)
    mappings, problems = check_folder(tmp_path)
    assert [mapping.name for mapping in mappings] == ["good"]
    assert {problem.file.rpartition("/")[2] for problem in problems} == {"bad.yaml", "other.yml"}


def test_check_folder_with_two_owners_of_a_collection_keeps_the_one_named_after_it(tmp_path):
    (tmp_path / "a.yaml").write_text(f"collection: customers\n{HEAD}{ROWS}")
    (tmp_path / "customers.yaml").write_text(HEAD + ROWS)
    (tmp_path / "elsewhere.yaml").write_text(f"collection: customers\nconnections: {{ometria: uk}}\n{HEAD}{ROWS}")
    mappings, problems = check_folder(tmp_path)
    assert [mapping.name for mapping in mappings] == ["customers", "elsewhere"]
    [problem] = problems
    assert problem.file.endswith("a.yaml")
    assert (problem.line, problem.column) == (1, 13)
    assert "is owned by" in problem.message
    assert "customers.yaml" in problem.message


def test_check_folder_of_an_empty_folder_is_nothing(tmp_path):
    assert check_folder(tmp_path) == ([], [])


def test_check_folder_that_is_missing_is_misconfigured(tmp_path):
    with pytest.raises(Misconfigured, match="mappings_folder"):
        check_folder(tmp_path / "gone")


BROKEN = "list: 1\nfields: []\nschedule: {schedule}\ntimezone: {timezone}\nnonsense: 1\n"


@pytest.mark.parametrize(
    ("schedule", "timezone", "expected"),
    [
        ('"@hourly"', "UTC", ("@hourly", "UTC")),
        ('"15 4 * * *"', "Europe/London", ("15 4 * * *", "Europe/London")),
        ('"15 4 * *"', "UTC", None),
        ('"@hourly"', "Mars/Base", None),
        ("null", "UTC", None),
    ],
    ids=["preset", "cron", "bad cron", "bad time zone", "by hand"],
)
def test_schedule_of_a_file_that_is_broken_elsewhere(
    tmp_path: Path, schedule: str, timezone: str, expected: tuple[str, str] | None
) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN.format(schedule=schedule, timezone=timezone))
    assert files.schedule_of(tmp_path / "broken.yaml") == expected


def test_schedule_of_a_file_that_is_no_yaml_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("list: [\n")
    assert files.schedule_of(tmp_path / "broken.yaml") is None


def test_load_owner_refuses_a_collection_that_another_file_owns(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("list: 1\nfields: []\ncollection: b\n")
    (tmp_path / "b.yaml").write_text("list: 1\nfields: []\n")
    assert files.load_owner(tmp_path / "b.yaml").name == "b"
    with pytest.raises(files.MappingFileError, match="owned by"):
        files.load_owner(tmp_path / "a.yaml")


BOTH = "`a b.yaml` and `a_b.yaml` make the same DAG id, `contact_sync__a_b`"


def test_check_folder_refuses_files_whose_names_make_one_dag_id(tmp_path: Path) -> None:
    for name in ("a b", "a_b", "other", ".a~b"):
        (tmp_path / f"{name}.yaml").write_text(HEAD + ROWS)
    mappings, problems = check_folder(tmp_path)
    assert [mapping.name for mapping in mappings] == ["other"]
    named = [Path(problem.file).name for problem in problems if BOTH in problem.message and not problem.warning]
    assert named == ["a b.yaml", "a_b.yaml"]


@pytest.mark.parametrize("name", ["a b", "a_b"])
def test_load_owner_refuses_a_file_whose_name_makes_the_dag_id_of_another(tmp_path: Path, name: str) -> None:
    for each in ("a b", "a_b", "other"):
        (tmp_path / f"{each}.yaml").write_text(HEAD + ROWS)
    with pytest.raises(MappingFileError, match=BOTH):
        files.load_owner(tmp_path / f"{name}.yaml")
    assert files.load_owner(tmp_path / "other.yaml").name == "other"


def test_check_text_refuses_a_name_that_makes_the_dag_id_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "a b.yaml").write_text(HEAD + ROWS)
    mapping, problems = files.check_text(tmp_path / "a_b.yaml", HEAD + ROWS)
    assert mapping is None
    assert [(Path(problem.file).name, BOTH in problem.message) for problem in problems] == [("a_b.yaml", True)]


def test_folder_that_is_read_again_knows_what_changed(tmp_path, monkeypatch):
    path = tmp_path / "customers.yaml"
    path.write_text(HEAD + ROWS)
    os.utime(path, (1, 1))
    read = []
    monkeypatch.setattr(forms, "read_source", lambda path: read.append(path) or read_source(path))
    assert [check_folder(tmp_path)[0][0].list for _ in range(3)] == [4821] * 3
    assert len(read) == 1, "a file that did not change is read once"
    path.write_text(f"list: 4822\n{ROWS}")  # of the same size, and changed just now
    assert check_folder(tmp_path)[0][0].list == 4822
    path.write_text(f"list: 4823\n{ROWS}")
    assert check_folder(tmp_path)[0][0].list == 4823
