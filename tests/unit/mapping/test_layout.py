"""Records in both modes become columns, for the validation rules to name, and columns become records."""

from __future__ import annotations

import json

import msgspec
import pytest
from ometria_provider.mapping.layout import clear_fields, decode_columns, encode_records, path, tree

LEGACY = {"@type": "contact", "id": "1", "email": "a@example.org", "shoe:size": 42, "tags": ["x"]}
V2 = {"@type": "contact", "id": "2", "properties": {"shoe:size": 0, "tags": [], "active": False}}
NESTED = {"id": "3", "extra_identifiers": {"erp.old": "7"}, "properties": {"tags": None}}


def columns(record: dict[str, object], mode: str, *names: str) -> dict[str, list[object]]:
    return decode_columns([msgspec.json.encode(record)], names, mode)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("remote", "legacy", "v2"),
    [
        ("firstname", ("firstname",), ("firstname",)),
        ("mm:store", ("mm:store",), ("properties", "mm:store")),
        ("a.b", ("a.b",), ("properties", "a.b")),
        ("marketing_optin", ("marketing_optin",), ("marketing_optin",)),
        (
            "channels.sms.allow_marketing",
            ("channels", "sms", "allow_marketing"),
            ("channels", "sms", "allow_marketing"),
        ),
        ("extra_identifiers.erp.old", ("extra_identifiers", "erp.old"), ("extra_identifiers", "erp.old")),
    ],
)
def test_path_leads_to_where_the_contract_puts_a_field(remote: str, legacy: tuple[str], v2: tuple[str]) -> None:
    assert (path(remote, "legacy"), path(remote, "v2")) == (legacy, v2)


def test_decode_columns_finds_fields_where_their_mode_puts_them() -> None:
    names = ("id", "email", "shoe:size", "tags", "active")
    assert columns(LEGACY, "legacy", *names) == {
        "id": ["1"], "email": ["a@example.org"], "shoe:size": [42], "tags": [["x"]], "active": [None],
    }  # fmt: skip
    assert columns(V2, "v2", *names) == {
        "id": ["2"], "email": [None], "shoe:size": [0], "tags": [[]], "active": [False],
    }  # fmt: skip
    assert columns(LEGACY, "v2", "shoe:size") == {"shoe:size": [None]}


def test_decode_columns_finds_parts_of_objects_beside_all_others() -> None:
    found = columns(NESTED, "v2", "id", "extra_identifiers.erp.old", "tags")
    assert found == {"id": ["3"], "extra_identifiers.erp.old": ["7"], "tags": [None]}


def test_decode_columns_keeps_numbers_of_any_length_exact() -> None:
    body = b'{"id":"1","properties":{"number":1234567890123456789}}'
    assert decode_columns([body], ["number"], "v2") == {"number": [1234567890123456789]}


def test_encode_records_sorts_keys_and_leaves_out_what_is_empty() -> None:
    given = {"id": ["1", "2"], "zip": [None, 0], "firstname": [None, "Ann"], "extra_identifiers.pos": [None, "7"]}
    one, two = encode_records(tree(given, "v2"), given, [True, True])
    assert one == b'{"id":"1"}'
    assert two == b'{"extra_identifiers":{"pos":"7"},"firstname":"Ann","id":"2","properties":{"zip":0}}'


def test_encode_records_leaves_out_whoever_is_not_wanted() -> None:
    assert encode_records({"id": "id"}, {"id": ["1", "2"]}, [False, True]) == [None, b'{"id":"2"}']


def test_columns_come_back_from_the_records_that_they_made() -> None:
    given = {"id": ["1", "2"], "a": [1.5, None], "b": [["x", "y"], False], "extra_identifiers.c": ["7", None]}
    bodies = [body for body in encode_records(tree(given, "v2"), given, [True, True]) if body]
    assert decode_columns(bodies, given, "v2") == given


@pytest.mark.parametrize("mode", ["legacy", "v2"])
def test_clear_fields_puts_null_where_the_value_would_stand(mode: str) -> None:
    shape = {"id": "1", "email": "a@example.com", "extra_identifiers": {"till": "7"}}
    custom = {"loyalty_source": "antavo"}
    record = {**shape, **(custom if mode == "legacy" else {"properties": custom})}
    before = json.dumps(record)
    cleared = clear_fields(record, ["points", "firstname", "extra_identifiers.pos", "email"], mode)  # type: ignore[arg-type]
    assert json.dumps(record) == before
    assert cleared["firstname"] is None
    assert cleared["extra_identifiers"] == {"pos": None, "till": "7"}
    assert cleared["email"] == "a@example.com"
    home = cleared["properties"] if mode == "v2" else cleared
    assert home["points"] is None
    assert home["loyalty_source"] == "antavo"


def test_clear_fields_of_nothing_is_the_same_record() -> None:
    assert clear_fields(V2, [], "v2") == V2
