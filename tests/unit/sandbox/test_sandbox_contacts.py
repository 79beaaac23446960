from __future__ import annotations

from ometria_provider.sandbox.contacts import merge

STORED = {
    "@type": "contact",
    "id": "c",
    "firstname": "Ann",
    "properties": {"a": 1, "b": 2},
    "channels": {"sms": {"x": True}},
}


def test_merge_keeps_unnamed_fields_and_merges_objects_in_depth() -> None:
    record = {"@merge": True, "id": "c", "lastname": "Bee", "properties": {"b": 3}, "channels": {"sms": {"y": False}}}
    assert merge(STORED, record) == STORED | {
        "lastname": "Bee",
        "properties": {"a": 1, "b": 3},
        "channels": {"sms": {"x": True, "y": False}},
    }


def test_merge_with_null_clears_at_any_depth() -> None:
    record = {"@merge": True, "id": "c", "firstname": None, "properties": {"a": None}}
    merged = merge(STORED, record)
    assert "firstname" not in merged
    assert merged["properties"] == {"b": 2}
    assert "properties" not in merge(STORED, {"@merge": True, "properties": None})


def test_without_merge_the_record_replaces_the_contact() -> None:
    assert merge(STORED, {"@type": "contact", "id": "c", "properties": {"z": 1}}) == {
        "@type": "contact",
        "id": "c",
        "properties": {"z": 1},
    }


def test_directives_leave_no_trace() -> None:
    record = {
        "@type": "contact",
        "@collection": "k",
        "@merge": True,
        "@add_to_lists": [1],
        "@force_optin": True,
        "id": "c",
    }
    assert merge(None, record) == {"@type": "contact", "@collection": "k", "id": "c"}


def test_merge_changes_neither_side() -> None:
    before = {"id": "c", "properties": {"a": {"b": 1}}}
    merge(before, {"@merge": True, "properties": {"a": {"c": 2}}})
    assert before == {"id": "c", "properties": {"a": {"b": 1}}}
