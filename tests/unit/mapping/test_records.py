from __future__ import annotations

import datetime
import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import RECORD_LIMIT, explain, map_customers

TODAY = datetime.date(2026, 1, 15)
FIELDS = [
    {"loyalty": "email", "remote": "email", "transform": ["strip", "lower"]},
    {"loyalty": "first_name", "remote": "firstname"},
    {"loyalty": "birth_date", "remote": "date_of_birth"},
    {"loyalty": "properties.pos", "remote": "extra_identifiers.pos"},
    {"loyalty": "properties.points", "remote": "points"},
    {"loyalty": "properties.store", "remote": "mm:store"},
    {"value": "antavo", "remote": "loyalty_source"},
]
ANN = {
    "_id": "280e",
    "email": " Ann@Example.com",
    "first_name": "Ann",
    "birth_date": "1980-02-29",
    "status": "active",
    "properties": {"pos": 77, "points": 500.0, "store": "Cork"},
}


def mapping(fields=FIELDS, **data):
    return Mapping.from_data("customers", {"list": 4821, "fields": fields, **data})


def map_all(made, *customers):
    projection = Projection(made)
    return map_customers(made, [projection.project(customer) for customer in customers], today=TODAY)


def record_of(made, customer):
    mapped = map_all(made, customer)
    assert mapped.outcomes == ["record"], mapped.rejections
    return mapped.records[0]


def test_record_in_legacy_mode_is_flat():
    assert record_of(mapping(), ANN) == {
        "@type": "contact",
        "@collection": "customers",
        "@merge": True,
        "id": "280e",
        "email": "ann@example.com",
        "customer_id": "280e",
        "date_of_birth": "1980-02-29",
        "firstname": "Ann",
        "loyalty_source": "antavo",
        "mm:store": "Cork",
        "points": 500,
        "extra_identifiers": {"pos": "77"},
        "@add_to_lists": [4821],
    }


def test_record_in_v2_mode_keeps_custom_fields_in_properties():
    assert record_of(mapping(mode="v2"), ANN) == {
        "@type": "contact",
        "@collection": "customers",
        "@merge": True,
        "id": "280e",
        "email": "ann@example.com",
        "customer_id": "280e",
        "date_of_birth": "1980-02-29",
        "firstname": "Ann",
        "extra_identifiers": {"pos": "77"},
        "@add_to_lists": [4821],
        "properties": {"loyalty_source": "antavo", "mm:store": "Cork", "points": 500},
    }


def test_record_of_the_files_page_example_is_what_it_shows():
    """The example of files.md, but for expiring points, which are not built yet."""
    made = mapping(
        [
            {"loyalty": "email", "remote": "email", "transform": ["strip", "lower"]},
            {"loyalty": "first_name", "remote": "firstname"},
            {"loyalty": "tiers.basic_structure.next.name", "remote": "next_tier"},
            {"loyalty": "accounts.prestige_balance.earned", "remote": "prestige_earned"},
            {"loyalty": "properties.newsletter", "remote": "marketing_optin"},
            {"value": "antavo", "remote": "loyalty_source"},
        ],
        mode="v2",
    )
    customer = {
        "_id": "280e",
        "email": "ann@example.com",
        "first_name": "Ann",
        "status": "active",
        "tiers": {"basic_structure": {"next": {"name": {"en": "Gold"}}}},
        "accounts": {"prestige_balance": {"earned": 40}},
        "properties": {"newsletter": True},
    }
    assert record_of(made, customer) == json.loads(
        '{"@type":"contact","@collection":"customers","@merge":true,"id":"280e","email":"ann@example.com",'
        '"customer_id":"280e","firstname":"Ann","marketing_optin":"EXPLICITLY_OPTEDIN","@add_to_lists":[4821],'
        '"properties":{"next_tier":"Gold","prestige_earned":40,"loyalty_source":"antavo"}}'
    )


def test_record_leaves_empty_fields_out_and_says_so_in_filled():
    made = mapping(mode="v2")
    customer = ANN | {"first_name": "", "properties": {"pos": [], "points": None}}
    mapped = map_all(made, customer, ANN)
    assert mapped.records[0].keys() == {
        "@type", "@collection", "@merge", "id", "email", "customer_id", "date_of_birth", "@add_to_lists", "properties",
    }  # fmt: skip
    assert mapped.records[0]["properties"] == {"loyalty_source": "antavo"}
    empty = {"firstname", "extra_identifiers.pos", "points", "mm:store"}
    assert mapped.filled.tolist() == [[remote not in empty for remote in made.remotes], [True] * len(made.remotes)]


def test_record_in_v2_mode_without_custom_values_has_no_properties():
    made = mapping([{"loyalty": "properties.points", "remote": "points"}], mode="v2")
    assert "properties" not in record_of(made, {"_id": "1", "status": "active"})


def test_member_outside_where_is_filtered_with_the_first_rule():
    made = mapping(where={"country": {"in": ["GB"]}})
    rows = [ANN | {"country": "GB"}, ANN | {"status": "banned"}, ANN | {"country": "FR", "birth_date": "bad"}]
    mapped = map_all(made, *rows)
    assert mapped.outcomes == ["record", "filtered", "filtered"]
    assert mapped.reasons == [None, "where: status in [active, inactive]", "where: country in [GB]"]
    assert mapped.rejections == []
    assert mapped.contact_ids == ["280e"] * 3
    assert mapped.records[1:] == [None, None]
    assert not mapped.filled[1:].any()


def test_value_that_cannot_be_converted_rejects_that_customer_alone():
    mapped = map_all(
        mapping(), ANN, ANN | {"_id": "2", "birth_date": "2027-01-01", "properties": {"store": {}, "points": {"a": 1}}}
    )
    assert mapped.outcomes == ["record", "rejected"]
    assert mapped.rejections == [
        (1, "date_of_birth", "lies in the future"),
        (1, "points", "is an object: map one of its members"),
    ]
    assert mapped.contact_ids[1] == "2"
    assert mapped.records[1] is None
    assert not mapped.filled[1].any()


def test_birthday_is_judged_by_the_day_given():
    made, born = mapping(), ANN | {"birth_date": "2026-01-16"}
    rows = [Projection(made).project(born)]
    assert map_customers(made, rows, today=datetime.date(2026, 1, 15)).outcomes == ["rejected"]
    assert map_customers(made, rows, today=datetime.date(2026, 1, 16)).outcomes == ["record"]


def test_member_without_email_goes_by_customer_id():
    record = record_of(mapping(), ANN | {"email": None})
    assert "email" not in record
    assert record["customer_id"] == "280e"


@pytest.mark.parametrize(
    ("identity", "customer", "field"),
    [
        ({"customer_id": "external_ids.crm"}, {"email": ""}, "email"),
        ({"customer_id": None}, {"email": "  "}, "email"),
        ({"email": None, "customer_id": "external_ids.crm"}, {}, "customer_id"),
        ({"id": "external_ids.crm"}, {}, "id"),
    ],
)
def test_member_whom_ometria_could_not_know_is_rejected(identity, customer, field):
    fields = [] if identity.get("email", "") is None else FIELDS
    mapped = map_all(mapping(fields, identity=identity), ANN | customer)
    assert mapped.outcomes == ["rejected"]
    assert [rejection.field for rejection in mapped.rejections] == [field]
    assert "is empty" in mapped.rejections[0].reason


def test_member_without_a_usable_id_has_no_contact_id():
    mapped = map_all(mapping(), ANN | {"_id": {"a": 1}}, ANN | {"_id": None}, ANN | {"_id": None, "status": "banned"})
    assert mapped.contact_ids == ["", "", ""]
    assert mapped.outcomes == ["rejected", "rejected", "filtered"]
    assert {(rejection.row, rejection.field) for rejection in mapped.rejections} >= {(0, "id"), (1, "id")}


def test_record_over_the_limit_is_rejected_naming_its_largest_field():
    large = "é" * (RECORD_LIMIT // 2)
    mapped = map_all(mapping(), ANN, ANN | {"_id": "2", "properties": {"store": large, "points": 1}})
    assert mapped.outcomes == ["record", "rejected"]
    assert mapped.records[1] is None
    assert not mapped.filled[1].any()
    [(row, field, reason)] = mapped.rejections
    assert (row, field) == (1, "mm:store")
    assert "larger than 61440 bytes" in reason


@pytest.mark.parametrize("spare", [0, 1])
def test_record_at_the_limit_is_measured_exactly(spare):
    made = mapping()
    bare = len(msgspec.json.encode(record_of(made, ANN | {"properties": {"store": "x"}}))) - 1
    mapped = map_all(made, ANN | {"properties": {"store": "x" * (RECORD_LIMIT - bare + spare)}})
    assert mapped.outcomes == ["rejected" if spare else "record"]


def test_map_customers_of_nobody_is_empty():
    made = mapping()
    mapped = map_customers(made, [], today=TODAY)
    assert (mapped.contact_ids, mapped.outcomes, mapped.records, mapped.rejections) == ([], [], [], [])
    assert mapped.filled.shape == (0, len(made.remotes))


def test_explain_follows_each_value_to_its_remote_field():
    made = mapping(FIELDS[:3])
    traces = {trace.remote: trace for trace in explain(made, ANN | {"birth_date": "2027-01-01"}, today=TODAY)}
    assert list(traces) == list(made.remotes)
    email = traces["email"]
    assert (email.loyalty, email.value, email.final, email.problem) == (
        "email",
        " Ann@Example.com",
        "ann@example.com",
        None,
    )
    assert email.steps == (("strip", "Ann@Example.com"), ("lower", "ann@example.com"))
    assert (traces["date_of_birth"].final, traces["date_of_birth"].problem) == (None, "lies in the future")


def test_explain_of_a_constant_and_of_a_missing_id():
    made = mapping([{"value": 5, "remote": "x"}])
    traces = {trace.remote: trace for trace in explain(made, {}, today=TODAY)}
    assert (traces["x"].loyalty, traces["x"].value, traces["x"].final) == (None, 5, 5)
    assert traces["id"].problem == "is empty: a contact needs an id"


# ---- properties that hold for any customers

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["", " ", "None", "nan", "male", "GB", "2024-01-31", "+447400123456", 1, 1.0, True, "1"])
    | st.lists(st.none() | st.integers() | st.floats() | st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
)
REMOTES = (
    "firstname",
    "gender",
    "country_id",
    "date_of_birth",
    "timestamp_acquired",
    "phone_number",
    "store_ids",
    "a",
    "b",
)
CHAINS = (
    [],
    ["strip", "lower"],
    ["number"],
    ["string"],
    ["first"],
    [{"map": {"1": "one"}, "default": None}],
    [{"join": ","}],
)
PLANS = st.lists(st.sampled_from(CHAINS), min_size=len(REMOTES), max_size=len(REMOTES))
CUSTOMERS = st.lists(st.fixed_dictionaries(dict.fromkeys(REMOTES, VALUES)), min_size=1, max_size=6)


def plan(chains, mode="v2"):
    rows = zip(REMOTES, chains, strict=True)
    fields = [{"loyalty": f"properties.{remote}", "remote": remote, "transform": chain} for remote, chain in rows]
    return mapping(fields, mode=mode)


def members(properties):
    return [{"_id": str(n), "status": "active", "properties": held} for n, held in enumerate(properties)]


def leaves(value):
    if isinstance(value, dict):
        return list(itertools.chain.from_iterable(map(leaves, value.values())))
    return list(itertools.chain.from_iterable(map(leaves, value))) if isinstance(value, list) else [value]


@given(PLANS, CUSTOMERS)
def test_any_record_is_plain_json_without_nulls_noise_or_python(chains, properties):
    mapped = map_all(plan(chains), *members(properties))
    came = set(map(str, leaves(properties)))
    for record in filter(None, mapped.records):
        text = msgspec.json.encode(record)
        assert len(text) <= RECORD_LIMIT
        for leaf in leaves(json.loads(text)):
            assert leaf is not None
            assert leaf != ""
            if isinstance(leaf, float):
                assert leaf == leaf
                assert not leaf.is_integer()
            if leaf in ("None", "nan", "NaN", "inf"):
                assert leaf in came - {"None", "nan"} or any(leaf == value for value in leaves(properties))


@given(PLANS, CUSTOMERS)
def test_any_chunk_gives_each_member_what_it_would_get_alone(chains, properties):
    made, customers = plan(chains), members(properties)
    together = map_all(made, *customers)
    for row, customer in enumerate(customers):
        alone = map_all(made, customer)
        assert alone.outcomes[0] == together.outcomes[row]
        assert json.dumps(alone.records[0]) == json.dumps(together.records[row])
        assert alone.filled[0].tolist() == together.filled[row].tolist()
        mine = [(field, reason) for at, field, reason in together.rejections if at == row]
        assert [(field, reason) for _, field, reason in alone.rejections] == mine


@given(PLANS, CUSTOMERS)
def test_explain_agrees_with_the_record(chains, properties):
    made, customers = plan(chains, "legacy"), members(properties)
    mapped = map_all(made, *customers)
    for row, customer in enumerate(customers):
        traces = explain(made, customer, today=TODAY)
        problems = [(trace.remote, trace.problem) for trace in traces if trace.problem]
        assert sorted(problems) == [(field, reason) for at, field, reason in mapped.rejections if at == row]
        if not problems:
            final = {trace.remote: trace.final for trace in traces if trace.final is not None}
            assert {k: v for k, v in mapped.records[row].items() if not k.startswith("@")} == final


@given(PLANS, CUSTOMERS, st.randoms())
def test_equal_members_encode_to_equal_bytes_in_any_order(chains, properties, random):
    made, customers = plan(chains), members(properties)
    shuffled = random.sample(customers, len(customers))
    one, other = map_all(made, *customers), map_all(made, *shuffled)
    bodies = dict(zip(one.contact_ids, one.bodies, strict=True))
    assert bodies == dict(zip(other.contact_ids, other.bodies, strict=True))


@given(CUSTOMERS)
def test_rejections_never_hold_values(properties):
    marked = [{key: f"secret {value}" for key, value in held.items()} for held in properties]
    mapped = map_all(plan([[]] * len(REMOTES)), *members(marked))
    assert mapped.rejections
    assert not any("secret" in str(rejection) for rejection in mapped.rejections)


CONSENT = [
    *FIELDS,
    {"loyalty": "properties.newsletter", "remote": "marketing_optin"},
    {"loyalty": "properties.since", "remote": "timestamp_subscribed"},
    {"loyalty": "properties.sms", "remote": "channels.sms.allow_marketing"},
]


def opted(newsletter, **properties):
    return ANN | {"properties": {"newsletter": newsletter, **properties}}


@pytest.mark.parametrize("mode", ["legacy", "v2"])
def test_consent_group_is_made_apart_from_the_record(mode):
    customers = [opted("no", sms=True, since="2024-01-01"), opted(None, sms="", since=None), opted("YES")]
    mapped = map_all(mapping(CONSENT, mode=mode), *customers)
    assert mapped.consents == [
        b'{"channels":{"sms":{"allow_marketing":true}},"marketing_optin":"EXPLICITLY_OPTEDOUT",'
        b'"timestamp_subscribed":"2024-01-01T00:00:00+00:00"}',
        None,
        b'{"marketing_optin":"EXPLICITLY_OPTEDIN"}',
    ]
    assert mapped.bodies[0] == mapped.bodies[1] == mapped.bodies[2]
    assert mapped.records[2]["marketing_optin"] == "EXPLICITLY_OPTEDIN"
    assert mapped.people["email"] == ["ann@example.com"] * 3


def test_consent_group_of_a_mapping_without_consent_costs_nothing():
    assert map_all(mapping(), ANN).consents is None


def test_consent_force_is_in_the_group_of_an_opt_out_only():
    mapped = map_all(mapping(CONSENT, consent={"force_opt_out": True}), opted(True), opted(False))
    assert [b"@force_optin" in group for group in mapped.consents] == [False, True]


def test_identities_are_of_rejected_customers_whose_opt_out_may_go_alone():
    made = mapping(CONSENT)
    bad = opted(False) | {"birth_date": "0000-00-00", "email": {}}
    mapped = map_all(made, opted(False), bad, bad | {"_id": None}, opted(None) | {"birth_date": "soon"})
    assert {row: json.loads(body) for row, body in mapped.identities.items()} == {
        1: {"@type": "contact", "@collection": "customers", "@merge": True, "id": "280e", "customer_id": "280e"}
    }


def test_record_that_is_too_large_with_its_consent_group_is_rejected():
    made = mapping(CONSENT)
    room = RECORD_LIMIT - len(map_all(made, opted(False) | {"first_name": "x"}).bodies[0])
    fits, not_ = (map_all(made, opted(value) | {"first_name": "x" * room}) for value in (None, False))
    assert (fits.outcomes, not_.outcomes) == (["record"], ["rejected"])
