"""Records in both modes become the same columns, for the validation rules to name."""

import msgspec
import pytest
from ometria_provider.operators.mapping import flat_columns

LEGACY = {"@type": "contact", "id": "1", "email": "a@example.org", "shoe:size": 42, "tags": ["x"]}
V2 = {"@type": "contact", "id": "2", "properties": {"shoe:size": 0, "tags": [], "active": False}}
NESTED = {"id": "3", "channels": {"sms": {"marketing_optin": "OPTED_IN"}}, "extra_identifiers": {"erp": "7"}}


def columns(*names: str) -> dict[str, list[object]]:
    return flat_columns([msgspec.json.encode(record) for record in (LEGACY, V2, NESTED)], names)


def test_flat_columns_finds_fields_on_top_and_in_properties() -> None:
    found = columns("id", "email", "shoe:size", "tags", "active", "absent")
    assert found == {
        "id": ["1", "2", "3"],
        "email": ["a@example.org", None, None],
        "shoe:size": [42, 0, None],
        "tags": [["x"], [], None],
        "active": [None, False, None],
        "absent": [None, None, None],
    }


@pytest.mark.parametrize("name", ["channels.sms.marketing_optin", "extra_identifiers.erp"])
def test_flat_columns_finds_parts_of_objects_beside_all_others(name: str) -> None:
    found = columns("id", name, "shoe:size")
    assert found["id"] == ["1", "2", "3"]
    assert found["shoe:size"] == [42, 0, None]
    assert found[name][:2] == [None, None] and found[name][2]


def test_flat_columns_keeps_numbers_of_any_length_exact() -> None:
    body = b'{"id":"1","properties":{"number":1234567890123456789}}'
    assert flat_columns([body], ["number"]) == {"number": [1234567890123456789]}
