from __future__ import annotations

from typing import Any

import pytest
from ometria_provider.sandbox.checks import check_contact, check_event

GOOD: dict[str, Any] = {
    "@type": "contact",
    "@collection": "customers",
    "@merge": True,
    "@add_to_lists": [4821],
    "@remove_from_lists": [],
    "id": "280e",
    "email": "ann@example.com",
    "customer_id": "280e",
    "phone_number": "+447400123456",
    "firstname": "Ann",
    "gender": "f",
    "date_of_birth": "1980-02-29",
    "country_id": "GB",
    "timestamp_acquired": "2026-01-01T00:00:00+00:00",
    "timestamp_subscribed": "2026-01-01T00:00:00Z",
    "marketing_optin": "EXPLICITLY_OPTEDIN",
    "@force_optin": True,
    "store_ids": ["a"],
    "channels": {"sms": {"allow_marketing": True}},
    "extra_identifiers": {"pos": "1"},
    "properties": {"mm:share_link": "x", "sizes": [1, 2.5, None], "vip": True, "gone": None},
}


def problems(declared: frozenset[str] | None = None, strict: bool = False, **fields: Any) -> list[str]:
    record = GOOD | {name.replace("at_", "@", 1) if name.startswith("at_") else name: v for name, v in fields.items()}
    return [path for _, path in check_contact(record, declared=declared, strict=strict)]


def test_full_contact_passes() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gender", "female"),
        ("gender", "M"),
        ("date_of_birth", "1980-02-30"),
        ("date_of_birth", "19800229"),
        ("date_of_birth", "1980-02-29T00:00:00Z"),
        ("country_id", "UK"),
        ("country_id", "gb"),
        ("phone_number", "07400 123456"),
        ("phone_number", "+44 7400 123456"),
        ("email", "ann"),
        ("email", " ann@example.com"),
        ("marketing_optin", "EXPLICITLY_OPTED_OUT"),
        ("marketing_optin", True),
        ("timestamp_acquired", "2026-01-01T00:00:00"),
        ("timestamp_acquired", "2026-01-01"),
        ("timestamp_acquired", 1767225600),
        ("firstname", 5),
        ("customer_id", 280),
        ("store_ids", "a"),
        ("store_ids", [1]),
        ("channels", {"sms": {"allow_marketing": "yes"}}),
        ("extra_identifiers", [1]),
        ("properties", []),
    ],
)
def test_wrong_value_names_its_field(field: str, value: Any) -> None:
    assert problems(**{field: value}) == [f"root > {field}"]


def test_wrong_directives_name_themselves() -> None:
    assert problems(at_add_to_lists=["4821"]) == ["root > @add_to_lists"]
    assert problems(at_add_to_lists=[True]) == ["root > @add_to_lists"]
    assert problems(at_merge="true") == ["root > @merge"]
    assert problems(at_collection=None) == ["root > @collection"]
    assert problems(at_new=1) == ["root > @new"]


def test_null_clears_any_field_but_the_id() -> None:
    assert problems(email=None, gender=None, properties=None, channels=None) == []
    assert problems(id=None) == ["root > id"]


def test_force_without_optin_is_a_problem() -> None:
    record = {name: value for name, value in GOOD.items() if name != "marketing_optin"}
    assert check_contact(record, declared=None, strict=False) == [("requires marketing_optin", "root > @force_optin")]


def test_custom_field_with_space_or_nested_value_is_a_problem() -> None:
    bad = {"next tier": "Gold", "tier": {"name": "Gold"}, "tiers": [{"name": "Gold"}], "fine": 1}
    root = "root > properties > "
    assert problems(properties=bad) == [root + "next tier", root + "tier", root + "tiers"]


def test_unknown_top_level_field_is_taken_like_a_custom_one() -> None:
    assert problems(points=5) == []
    assert problems(points={"x": 1}) == ["root > points"]


def test_strict_account_refuses_undeclared_fields() -> None:
    declared = frozenset({"mm:share_link", "sizes", "vip", "gone"})
    assert problems(declared, strict=True) == []
    assert problems(declared, strict=True, points=1, properties={"other": 1}) == [
        "root > properties > other",
        "root > points",
    ]


def test_event_needs_id_type_time_and_person() -> None:
    good = {"@type": "custom_event", "id": "e1", "event_type": "reward", "timestamp": "2026-01-01T00:00:00Z"}
    assert check_event(good | {"identity_email": "ann@example.com"}) == []
    assert [path for _, path in check_event(good)] == ["root > identity_email"]
    bare = check_event({"profile_id": "p", "properties": {"text": "x" * 513}})
    assert [path for _, path in bare] == [
        "root > id",
        "root > event_type",
        "root > timestamp",
        "root > properties > text",
    ]
