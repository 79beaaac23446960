"""Whatever event, customer and reward: a custom event within Ometria's limits, or one refusal without a value in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.records import RECORD_LIMIT
from ometria_provider.workflows.events import UnreadableEvent, event_view
from ometria_provider.workflows.model import Workflow
from ometria_provider.workflows.records import CustomEvent, Recipe

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
SECRET = "zq9secret"

TEXTS = st.sampled_from(
    [SECRET, f"{SECRET} " * 100, f" {SECRET}@example.com ", "", "2026-01-31", "1", "yes", "é" * 600]
)
SCALARS = st.none() | TEXTS | st.text(max_size=5) | st.integers() | st.floats() | st.booleans()
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from(["en", "de"]), SCALARS)

ROWS: list[dict[str, Any]] = [
    {"loyalty": "reward.name", "remote": "reward_name"},
    {"loyalty": "reward.description", "remote": "reward_description"},
    {"loyalty": "event.points", "remote": "points"},
    {"loyalty": "event.expdate", "remote": "until"},
    {"loyalty": "event.label", "remote": "label", "transform": ["first"]},
    {"loyalty": "customer.birth_date", "remote": "born"},
    {"loyalty": "customer.score", "remote": "balance", "transform": ["integer"]},
    {"loyalty": "customer.membership_id", "remote": "cards"},
    {"loyalty": "customer.properties.a", "remote": "a", "transform": ["datetime"]},
    {"loyalty": "customer.properties.b", "remote": "b", "transform": [{"map": {"yes": 1}, "default": None}]},
    {"loyalty": "event.properties.c", "remote": "c"},
    {"value": "antavo", "remote": "source"},
]

EVENTS = st.fixed_dictionaries(
    {"id": st.text(max_size=4) | st.integers(), "action": st.just("reward"), "timestamp": st.just("2026-01-15T11:59Z")},
    optional={
        "Customer": st.fixed_dictionaries({"id": SCALARS}),
        "properties": st.dictionaries(st.sampled_from(["reward", "c"]), VALUES)
        | st.lists(st.fixed_dictionaries({"name": st.sampled_from(["reward", "c"]), "value": VALUES})),
        **dict.fromkeys(("points", "label", "expdate"), VALUES),
    },
)
CUSTOMERS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("_id", "id", "email", "birth_date", "score", "membership_id", "tiers"), VALUES),
        "properties": st.dictionaries(st.sampled_from("ab"), VALUES),
    },
)
REWARDS = st.none() | st.dictionaries(st.sampled_from(["id", "name", "description"]), VALUES)


@given(
    st.lists(st.sampled_from(ROWS), unique_by=lambda row: row["remote"]),
    st.sampled_from(["cut", "reject"]),
    EVENTS,
    CUSTOMERS,
    REWARDS,
)
def test_custom_event_of_anything_keeps_to_the_limits(
    rows: list[dict[str, Any]], long_text: str, raw: dict[str, Any], customer: Any, reward: Any
) -> None:
    action = {"event_type": "reward_claimed", "payload": rows}
    data = {"trigger": {"event": "reward"}, "action": action, "reward_id": "event.properties.reward"}
    recipe = Recipe(Workflow.from_data("claimed", data | {"long_text": long_text}))
    try:
        event = event_view(raw)
    except UnreadableEvent as error:
        assert SECRET not in str(error)
        return
    made = recipe.refusal(event, now=NOW) or recipe.make(event, customer, reward)
    list(recipe.explain(event, customer, reward))
    if not isinstance(made, CustomEvent):
        assert made.reason
        assert SECRET not in made.reason
        return
    assert len(made.body) <= RECORD_LIMIT
    record = json.loads(made.body, parse_constant=lambda word: 1 / 0)
    assert {"identity_email", "identity_account_id"} & record.keys()
    assert datetime.fromisoformat(record["timestamp"]).utcoffset() is not None
    for name, value in record["properties"].items():
        items = value if isinstance(value, list) else [value]
        assert items, name
        assert all(isinstance(item, (str, int, float)) for item in items)
        assert all(len(item) <= 512 for item in items if isinstance(item, str))
        assert all(not item.is_integer() for item in items if isinstance(item, float))
    for name in {"born", "until", "a"} & record["properties"].keys():
        value = record["properties"][name]
        for item in value if isinstance(value, list) else [value]:
            assert datetime.fromisoformat(item).utcoffset() is not None
