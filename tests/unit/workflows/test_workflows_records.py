from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import RECORD_LIMIT
from ometria_provider.workflows.events import Event, event_view
from ometria_provider.workflows.model import Workflow
from ometria_provider.workflows.records import CustomEvent, Recipe, Refusal, custom_event_id

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
ROWS = [
    {"loyalty": "reward.name", "remote": "reward_name"},
    {"loyalty": "reward.description", "remote": "reward_description"},
    {"loyalty": "event.points", "remote": "points"},
    {"loyalty": "customer.score", "remote": "balance"},
]
CUSTOMER = {"_id": "c1", "email": "ann@example.com", "status": "active", "score": 120.0}
REWARD = {"id": "r1", "name": {"en": "Mug", "de": "Tasse"}, "description": "A mug", "price": 50}


def recipe(*rows: dict[str, Any], contacts: Mapping | None = None, **more: Any) -> Recipe:
    data = {
        "trigger": {"event": "reward"},
        "action": {"event_type": "reward_claimed", "payload": list(rows or ROWS)},
        "reward_id": "event.properties.reward",
    }
    return Recipe(Workflow.from_data("claimed", data | more), contacts)


def event(**changes: Any) -> Event:
    raw = {
        "id": "e1",
        "action": "reward",
        "Customer": {"id": "c1"},
        "points": 50,
        "timestamp": "2026-01-15T11:59:00Z",
        "expdate": "2026-12-31T02:00:00.000+02:00",
        "properties": [{"name": "reward", "value": "r1"}],
    }
    return event_view(raw | changes)


def sent(made: CustomEvent | Refusal) -> dict[str, Any]:
    assert isinstance(made, CustomEvent), made
    return dict(json.loads(made.body))


def payload(row: dict[str, Any], *, customer: Any = None, reward: Any = None, **changes: Any) -> Any:
    """Return what a row puts into the payload."""
    made = recipe(row).make(event(**changes), CUSTOMER | (customer or {}), reward or REWARD)
    return sent(made)["properties"]


def test_make_of_a_claim_is_the_custom_event_of_the_contract() -> None:
    made = recipe().make(event(), CUSTOMER, REWARD)
    assert sent(made) == {
        "@type": "custom_event",
        "id": custom_event_id("claimed", "e1"),
        "event_type": "reward_claimed",
        "timestamp": "2026-01-15T11:59:00+00:00",
        "identity_email": "ann@example.com",
        "identity_account_id": "c1",
        "properties": {"reward_name": "Mug", "reward_description": "A mug", "points": 50, "balance": 120},
    }
    assert b"120.0" not in made.body  # type: ignore[union-attr]


def test_make_of_a_customer_of_the_loyalty_api_is_the_same() -> None:
    loyalty = {key: value for key, value in CUSTOMER.items() if key != "_id"} | {"id": "c1"}
    assert recipe().make(event(), loyalty, REWARD) == recipe().make(event(), CUSTOMER, REWARD)


@pytest.mark.parametrize(
    ("row", "known", "value"),
    [
        ({"loyalty": "event.id"}, {}, "e1"),
        ({"loyalty": "event.action"}, {}, "reward"),
        ({"loyalty": "event.timestamp"}, {}, "2026-01-15T11:59:00+00:00"),
        ({"loyalty": "event.timestamp", "transform": ["date", "string"]}, {}, "2026-01-15"),
        ({"loyalty": "event.expdate"}, {"expdate": "2026-12-31T00:00:00.000Z"}, "2026-12-31T00:00:00+00:00"),
        ({"loyalty": "event.properties.reward"}, {}, "r1"),
        ({"loyalty": "event.properties.a.b"}, {"properties": {"a": {"b": 1.0}}}, 1),
        ({"loyalty": 'event.properties["a.b"]'}, {"properties": {"a.b": "x"}}, "x"),
        ({"loyalty": "reward.price"}, {}, 50),
        ({"loyalty": "customer.birth_date"}, {"customer": {"birth_date": "1990-01-31"}}, "1990-01-31T00:00:00+00:00"),
        ({"loyalty": "customer.tiers.t.name"}, {"customer": {"tiers": {"t": {"name": {"en": "Gold"}}}}}, "Gold"),
        ({"loyalty": "customer.accounts.a.spendable"}, {"customer": {"accounts": {"a": {"earned": 9}}}}, 9),
        (
            {"loyalty": "customer.extensions.expiring_points.total"},
            {"customer": {"extensions": {"expiring_points": {"total": 7}}}},
            7,
        ),
        ({"loyalty": "customer.properties.x"}, {"customer": {"properties": {"x": [1, None, "b"]}}}, [1, "b"]),
        (
            {"loyalty": "customer.first_name", "transform": ["strip", "title"]},
            {"customer": {"first_name": " ann "}},
            "Ann",
        ),
        ({"value": 7}, {}, 7),
    ],
    ids=lambda part: part.get("loyalty", "") if isinstance(part, dict) else "",
)
def test_make_reads_every_kind_of_field(row: dict[str, Any], known: dict[str, Any], value: Any) -> None:
    assert payload(row | {"remote": "x"}, **known) == {"x": value}


@pytest.mark.parametrize(("language", "name"), [("de", "Tasse"), ("fr", "Mug"), ("en", "Mug")])
def test_make_resolves_language_maps_by_the_workflows_language(language: str, name: str) -> None:
    assert sent(recipe(language=language).make(event(), CUSTOMER, REWARD))["properties"]["reward_name"] == name


def test_make_leaves_empty_fields_out() -> None:
    made = sent(recipe().make(event(points=None), CUSTOMER, {"id": "r1", "name": "", "description": {}}))
    assert made["properties"] == {"balance": 120}


def test_make_cuts_long_text_or_rejects_it() -> None:
    long = REWARD | {"description": "word " * 200}
    cut = sent(recipe().make(event(), CUSTOMER, long))["properties"]["reward_description"]
    assert (len(cut), cut[-5:]) == (510, "word…")
    refused = recipe(long_text="reject").make(event(), CUSTOMER, long)
    assert refused == Refusal("rejected", "reward_description: is longer than 512 characters")


def test_make_of_a_value_that_does_not_convert_is_rejected_without_the_value() -> None:
    row = {"loyalty": "event.properties.reward", "remote": "x", "transform": ["integer"]}
    assert recipe(row).make(event(), CUSTOMER, None) == Refusal("rejected", "x: integer: is not a whole number")


def test_make_of_a_record_that_is_too_large_is_rejected() -> None:
    rows = [{"loyalty": "event.properties.a", "remote": f"x{n}"} for n in range(99)]
    big = event(properties={"a": "é" * 512})
    refused = recipe(*rows).make(big, CUSTOMER, None)
    assert refused == Refusal("rejected", f"x0: the record is larger than {RECORD_LIMIT} bytes, most of it here")


@pytest.mark.parametrize(
    ("customer", "reward", "refusal"),
    [
        (None, REWARD, Refusal("skipped", "Antavo does not know the customer")),
        (CUSTOMER, None, Refusal("skipped", "Antavo does not know the reward")),
        (
            {"_id": "", "email": ""},
            REWARD,
            Refusal("rejected", "identity_email: is empty, as customer.email and customer.id are: nobody is named"),
        ),
    ],
    ids=["customer", "reward", "identity"],
)
def test_make_without_what_it_needs_says_why(customer: Any, reward: Any, refusal: Refusal) -> None:
    assert recipe().make(event(), customer, reward) == refusal


def test_make_of_an_event_without_its_reward_is_skipped() -> None:
    nobody = event(properties={})
    assert recipe().reward_id(nobody) is None
    refusal = recipe().make(nobody, CUSTOMER, None)
    assert refusal == Refusal("skipped", "the event names no reward: event.properties.reward is empty")


def test_make_with_half_an_identity_sends_that() -> None:
    made = sent(recipe().make(event(), {"_id": "c1", "email": None}, REWARD))
    assert ("identity_email" in made, made["identity_account_id"]) == (False, "c1")


def test_reward_id_is_asked_for_only_by_workflows_that_read_the_reward() -> None:
    assert recipe().reward_id(event()) == "r1"
    assert recipe().reward_id(event(properties={"reward": 17})) == "17"
    assert recipe().reward_id(event(properties={"reward": [1]})) is None
    assert recipe({"loyalty": "event.points", "remote": "points"}).reward_id(event()) is None
    assert recipe({"value": 1, "remote": "x"}, where={"reward.price": {"gt": 1}}).reward_id(event()) == "r1"


@pytest.mark.parametrize("id_", ["a\x00b", "a\nb", "x" * 251, "a/b", "..", {"id": "r1"}])
def test_reward_id_that_nobody_can_ask_for_names_no_reward(id_: Any) -> None:
    odd = event(properties={"reward": id_})
    assert recipe().reward_id(odd) is None
    refusal = recipe().make(odd, CUSTOMER, None)
    assert refusal == Refusal("skipped", "the event names no reward: event.properties.reward holds no id")


def test_detail_fields_are_asked_for_only_by_workflows_that_read_them() -> None:
    assert recipe().detail_fields == ()
    row = {"loyalty": "customer.extensions.expiring_points.total", "remote": "x"}
    assert recipe(row).detail_fields == ("expiring_points",)


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({}, None),
        ({"where": {"event.points": {"gte": 50}}}, None),
        ({"where": {"event.points": {"gte": 51}}}, Refusal("filtered", "where: event.points gte 51")),
        ({"where": {"event.properties.reward": "r2"}}, Refusal("filtered", "where: event.properties.reward eq r2")),
        (
            {"where": {"event.timestamp": {"lt": "2026-01-15T12:59:00+01:00"}}},
            Refusal("filtered", "where: event.timestamp lt 2026-01-15T12:59:00+01:00"),
        ),
        ({"where": {"event.expdate": {"exists": False}}}, Refusal("filtered", "where: event.expdate exists false")),
        (
            {"where": {"event.expdate": {"lt": "2026-12-31T00:00:00+00:00"}}},
            Refusal("filtered", "where: event.expdate lt 2026-12-31T00:00:00+00:00"),
        ),
        ({"where": {"event.expdate": {"lte": "2026-12-31T00:00:00+00:00"}}}, None),
        ({"where": {"customer.score": {"gt": 9999}}}, None),
        ({"start": "2026-01-15T11:59:00Z"}, None),
        ({"start": "2026-01-15T11:59:01Z"}, Refusal("filtered", "before the workflow's start, 2026-01-15 11:59:01Z")),
        ({"expires_after": "PT60S"}, None),
        ({"expires_after": "PT59S"}, Refusal("expired", "older than expires_after, 0:00:59")),
    ],
)
def test_refusal_decides_by_the_event_alone(more: dict[str, Any], refusal: Refusal | None) -> None:
    assert recipe(**more).refusal(event(), now=NOW) == refusal


def test_refusal_of_start_now_asks_for_the_first_collection() -> None:
    assert recipe().refusal(event(), now=NOW, start=NOW) == Refusal(
        "filtered", "before the workflow's start, 2026-01-15 12:00:00Z"
    )
    assert recipe().refusal(event(), now=NOW, start=NOW - timedelta(minutes=1)) is None


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"timestamp": None}, Refusal("rejected", "timestamp is missing")),
        ({"timestamp": "2026-01-15T12:04:59Z"}, None),
        ({"timestamp": "2026-01-15T12:05:01Z"}, Refusal("rejected", "timestamp lies in the future")),
        (
            {"properties": {str(n): n for n in range(100_000)}},
            Refusal("rejected", "the event has more than 1,000 properties"),
        ),
        ({"Customer": None}, Refusal("skipped", "the event names no customer")),
    ],
    ids=["no time", "clocks", "future", "properties", "customer"],
)
def test_refusal_of_an_odd_event_is_final_and_says_why(changes: dict[str, Any], refusal: Refusal | None) -> None:
    assert recipe().refusal(event(**changes), now=NOW) == refusal


def test_make_applies_where_of_customer_and_reward() -> None:
    made = recipe(where={"customer.score": {"gt": 9999}}).make(event(), CUSTOMER, REWARD)
    assert made == Refusal("filtered", "where: customer.score gt 9999")
    made = recipe(where={"reward.price": {"in": [1, 2]}}).make(event(), CUSTOMER, REWARD)
    assert made == Refusal("filtered", "where: reward.price in [1, 2]")


def test_custom_event_id_is_stable_and_tells_workflows_and_events_apart() -> None:
    assert custom_event_id("claimed", "e1") == "7508034374f1f76ea55889578019ab6f"
    assert len({custom_event_id(*pair) for pair in [("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("", "ab")]}) == 5


def test_explain_follows_each_value() -> None:
    rows = [{"loyalty": "customer.first_name", "remote": "firstname", "transform": ["strip", "title"]}, ROWS[0]]
    traces = {t.remote: t for t in recipe(*rows).explain(event(), CUSTOMER | {"first_name": " ann"}, REWARD)}
    assert list(traces) == ["identity_email", "identity_account_id", "firstname", "reward_name"]
    assert traces["firstname"].steps == (("strip", "ann"), ("title", "Ann"))
    assert (traces["reward_name"].value, traces["reward_name"].final) == ("Mug", "Mug")


LOWERED = {"loyalty": "email", "remote": "email", "transform": ["strip", "lower"]}


def contacts(*fields: dict[str, Any], **identity: str) -> Mapping:
    data = {"list": 1, "fields": [{"loyalty": "first_name", "remote": "firstname"}, *fields], "identity": identity}
    return Mapping.from_data("members", data)


@pytest.mark.parametrize(
    ("mapping", "email"),
    [
        (None, "Ann@Example.com"),
        (contacts(), "Ann@Example.com"),
        (contacts(LOWERED), "ann@example.com"),
        (contacts({"loyalty": "properties.mail", "remote": "email", "transform": ["lower"]}), "Ann@Example.com"),
    ],
    ids=["no mapping", "as it is", "lower case", "another field"],
)
def test_make_names_the_contact_as_the_contact_mapping_does(mapping: Mapping | None, email: str) -> None:
    made = sent(recipe(contacts=mapping).make(event(), CUSTOMER | {"email": " Ann@Example.com "}, REWARD))
    assert (made["identity_email"], made["identity_account_id"]) == (email, "c1")


def test_make_sends_another_address_than_the_mappings_as_it_is() -> None:
    identity = {"identity_email": "customer.properties.work", "identity_account_id": None}
    customer = CUSTOMER | {"properties": {"work": "Ann@Work.example"}}
    made = sent(recipe(contacts=contacts(LOWERED), identity=identity).make(event(), customer, REWARD))
    assert made["identity_email"] == "Ann@Work.example"
