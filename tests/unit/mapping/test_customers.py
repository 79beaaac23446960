from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.customers import (
    Projection,
    canonical_time,
    from_loyalty_api,
    resolve_language,
    with_details,
)
from ometria_provider.mapping.fields import LOYALTY_FIELDS
from ometria_provider.mapping.model import Mapping

CUSTOMER = {
    "_id": "280e",
    "handler": "ann_1",
    "first_name": "Ann",
    "last_name": "Ó Sé",
    "email": "ann@example.com",
    "gender": "female",
    "status": "active",
    "score": 1000,
    "spent": 100,
    "reserved": 10,
    "expired": 5,
    "pending": 0,
    "created_at": "2023-01-15T10:00:00+00:00",
    "updated_at": "2024-01-15T11:00:00+01:00",
    "last_login_at": None,
    "membership_id": ["LM-1"],
    "external_ids": {"pos": "77"},
    "group_id": ["vip"],
    "purchase_last_date": "2024-01-15",
    "accounts": {
        "prestige_balance": {
            "name": {"de": "Prestigepunkte", "en": "Prestige"},
            "type": "point",
            "earned": 100.3,
            "spent": 50.1,
            "pending": 0,
            "reserved": 0,
            "expired": 0,
        }
    },
    "tiers": {
        "basic_structure": {
            "_id": "gold",
            "name": {"de": "Gold (de)", "en": "Gold"},
            "since": "2023-06-01T00:00:00+00:00",
            "expdate": None,
            "threshold": 500,
            "points": 1000,
            "next": {"id": "platinum", "name": "Platinum", "points": 200},
        }
    },
    "properties": {"newsletter": True, "a.b": 1, "address": {"city": "Cork"}, "member_number": 4069661762487632335},
}


SCORE = {"loyalty": "score", "remote": "score"}


def project(customer, *fields, language="en"):
    mapping = Mapping.from_data(
        "m",
        {
            "mode": "v2",
            "list": 1,
            "language": language,
            "fields": [{"loyalty": field, "remote": f"f{n}"} for n, field in enumerate(fields)],
        },
    )
    projection = Projection(mapping)
    values = dict(zip(projection.paths, projection.project(customer), strict=True))
    picked = {key: value for key, value in customer.items() if key in projection.keys}
    assert projection.project(picked) == list(values.values()), "a key that is looked at is not among the keys"
    return [values[field] for field in fields]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "280e"),
        ("nickname", "ann_1"),
        ("groups", ["vip"]),
        ("external_ids.pos", "77"),
        ("created_at", "2023-01-15T10:00:00+00:00"),
        ("updated_at", "2024-01-15T10:00:00+00:00"),
        ("last_login_at", None),
        ("purchase_last_date", "2024-01-15"),
        ("purchase_total", None),
        ("spendable", 885),
        ("accounts.prestige_balance.spendable", 50.2),
        ("accounts.prestige_balance.earned", 100.3),
        ("accounts.prestige_balance.name", "Prestige"),
        ("accounts.gone.spendable", None),
        ("tiers.basic_structure.id", "gold"),
        ("tiers.basic_structure.name", "Gold"),
        ("tiers.basic_structure.since", "2023-06-01T00:00:00+00:00"),
        ("tiers.basic_structure.next.id", "platinum"),
        ("tiers.basic_structure.next.name", "Platinum"),
        ("tiers.basic_structure.next.points", 200),
        ("tiers.vanished.name", None),
        ("properties.newsletter", True),
        ('properties["a.b"]', 1),
        ("properties.address.city", "Cork"),
        ("properties.member_number", 4069661762487632335),
    ],
)
def test_projection_of_a_read_api_customer_finds_each_field(field, value):
    assert project(CUSTOMER, field) == [value]


def test_projection_at_the_top_tier_has_no_next():
    customer = copy.deepcopy(CUSTOMER)
    customer["tiers"]["basic_structure"]["next"] = {}
    assert project(customer, "tiers.basic_structure.next.name", "tiers.basic_structure.next.points") == [None, None]


def test_projection_with_a_spendable_given_takes_it():
    customer = CUSTOMER | {"spendable": 7, "accounts": {"a": {"earned": 5, "spendable": 3}}}
    assert project(customer, "spendable", "accounts.a.spendable") == [7, 3]


def test_projection_reads_the_where_fields_and_each_path_once():
    mapping = Mapping.from_data(
        "m",
        {
            "list": 1,
            "where": {"country": "GB"},
            "fields": [{"loyalty": "email", "remote": "email"}, {"loyalty": "email", "remote": "copy"}],
        },
    )
    assert Projection(mapping).paths == ("id", "email", "status", "country")


WRONG = [
    None,
    [],
    "x",
    5,
    {},
    [1],
    {"basic_structure": None},
    {"basic_structure": [1]},
    {"basic_structure": {"next": []}},
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_projection_of_wrong_shapes_reads_as_empty(wrong):
    customer = {"_id": "1", "tiers": wrong, "accounts": wrong, "properties": wrong, "external_ids": wrong}
    fields = ["tiers.basic_structure.next.name", "tiers.basic_structure.name", "tiers.basic_structure.since"]
    fields += ["accounts.basic_structure.spendable", "properties.x", "external_ids.pos", "spendable"]
    assert project(customer, *fields) == [None] * len(fields)


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "next", "name", "points", "earned", "since", "en"]), inner, max_size=3)
    ),
    max_leaves=8,
)
ROOTS = sorted({"_id", "handler", "group_id", *(field.name.partition(".")[0] for field in LOYALTY_FIELDS)})
EVERY_FIELD = [
    field.name.replace(f"<{name}>", "a")
    for field in LOYALTY_FIELDS
    for name in [field.name.partition("<")[2].partition(">")[0]]
]


@given(st.dictionaries(st.sampled_from(ROOTS), SHAPES))
def test_projection_of_any_customer_never_fails_and_is_json(customer):
    json.dumps(project(customer, *EVERY_FIELD))


@pytest.mark.parametrize(
    ("value", "language", "wanted"),
    [
        ({"en": "Gold", "de": "Güld"}, "de", "Güld"),
        ({"en": "Gold", "de": "Güld"}, "fr", "Gold"),
        ({"hu": "Arany", "de": "Güld"}, "fr", "Güld"),
        ({"de": "", "en": None, "hu": "Arany"}, "de", "Arany"),
        ({"de": ""}, "de", None),
        ({}, "de", None),
        ("Gold", "de", "Gold"),
        (None, "de", None),
    ],
)
def test_resolve_language_takes_this_one_else_english_else_the_first(value, language, wanted):
    assert resolve_language(value, language) == wanted


def test_projection_resolves_language_maps_by_the_mappings_language():
    assert project(CUSTOMER, "tiers.basic_structure.name", language="de") == ["Gold (de)"]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1_700_000_000, "2023-11-14T22:13:20+00:00"),
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20+00:00"),
        ("2023-11-14", "2023-11-14"),
        ("soon", "soon"),
        ("", ""),
        (None, None),
        ([1], [1]),
    ],
)
def test_canonical_time_of_what_antavo_holds_is_utc_text(value, wanted):
    assert canonical_time(value) == wanted


LOYALTY = {
    "id": "280e",
    "nickname": "ann_1",
    "first_name": "Ann",
    "last_name": "Ó Sé",
    "email": "ann@example.com",
    "gender": "Female",
    "status": "ACTIVE",
    "score": 1000,
    "spent": 100,
    "reserved": 10,
    "expired": 5,
    "pending": 0,
    "spendable": 885,
    "updated_at": 1705312800,
    "last_login_at": None,
    "groups": [{"id": "vip", "name": "VIP", "external_id": None}],
    "accounts": [
        {
            "id": "prestige_balance",
            "name": {"de": "Prestigepunkte", "en": "Prestige"},
            "earned": 100.3,
            "spent": 50.1,
            "pending": 0,
            "reserved": 0,
            "expired": 0,
            "spendable": 50.2,
        }
    ],
    "tiers": [
        {
            "id": "gold",
            "name": {"de": "Gold (de)", "en": "Gold"},
            "since": 1685577600,
            "expdate": None,
            "threshold": 500,
            "points": 1000,
            "structure": {"id": "basic_structure", "name": "Basic"},
            "next": {"id": "platinum", "name": "Platinum", "points": "200"},
        }
    ],
    "properties": CUSTOMER["properties"],
}


def test_projection_of_one_customer_from_either_api_is_the_same():
    only_read = ("created_at", "optout_at", "country", "membership_id", "external_ids", "purchase_", "optin_at")
    only_read += ("accounts.<account>.type",)
    fields = [
        name.replace("<structure>", "basic_structure")
        .replace("<account>", "prestige_balance")
        .replace("<attribute>", "newsletter")
        for name in (field.name for field in LOYALTY_FIELDS)
        if not name.startswith(only_read)
    ]
    assert project(from_loyalty_api(LOYALTY), *fields) == project(CUSTOMER, *fields)


EXPIRING = {"total": 120, "history": [{"date": "2027-03-31", "points": 80}, {"date": "2028-03-31", "points": 40}]}


def test_projection_of_details_reads_total_members_and_positions():
    fields = [f"extensions.expiring_points.{name}" for name in ("total", "history.1.points", "history.9.points", "x.y")]
    customer = with_details(CUSTOMER, {"id": "280e", "expiring_points": EXPIRING})
    assert project(customer, *fields) == [120, 40, None, None]
    assert project(CUSTOMER, *fields) == [None] * 4
    for nothing in (None, [], "x"):
        assert project(with_details(CUSTOMER, {"expiring_points": nothing}), *fields) == [None] * 4


def test_projection_completes_values_with_details_as_if_they_had_come_together():
    rows = [
        {"loyalty": f"extensions.expiring_points.{name}", "remote": f"r{index}"}
        for index, name in enumerate(("total", "history.0.date"))
    ]
    projection = Projection(Mapping.from_data("x", {"mode": "v2", "list": 1, "fields": [*rows, SCORE]}))
    answer = {"id": "280e", "expiring_points": EXPIRING}
    whole = projection.project(with_details(CUSTOMER, answer))
    assert projection.complete(projection.project(CUSTOMER), projection.details(answer)) == whole
    assert projection.detail_fields == ("expiring_points", "expiring_points.history")


@pytest.mark.parametrize(
    ("rows", "where", "fields"),
    [
        ([], {}, ()),
        (["extensions.expiring_points.total"], {}, ("expiring_points",)),
        ([], {"extensions.expiring_points.total": 1}, ("expiring_points",)),
        (["extensions.expiring_points.history.0.date"], {}, ("expiring_points", "expiring_points.history")),
    ],
    ids=["none", "total", "where", "history"],
)
def test_projection_names_the_fields_of_the_detail_call_that_it_needs(rows, where, fields):
    named = [{"loyalty": name, "remote": name} for name in rows]
    mapping = Mapping.from_data("x", {"mode": "v2", "list": 1, "where": where, "fields": [*named, SCORE]})
    assert Projection(mapping).detail_fields == fields


@pytest.mark.parametrize(
    "wrong", [None, {}, "x", [None], [{"structure": None}], [{"structure": {}, "next": []}]], ids=repr
)
def test_from_loyalty_api_of_wrong_shapes_reads_as_empty(wrong):
    customer = from_loyalty_api({"id": "1", "tiers": wrong, "accounts": wrong, "groups": wrong})
    assert project(customer, "tiers.a.name", "accounts.a.earned") == [None, None]


def test_from_loyalty_api_without_a_field_leaves_it_out():
    assert from_loyalty_api({"id": "1"}) == {"_id": "1"}
