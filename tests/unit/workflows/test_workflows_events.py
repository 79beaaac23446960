from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.workflows.events import (
    LARGEST_EVENT,
    MOST_PROPERTIES,
    Event,
    UnreadableEvent,
    event_view,
    odd_event,
)

RAW = {
    "id": "e1",
    "action": "reward",
    "label": "Claiming a reward",
    "Customer": {"id": "c1"},
    "points": 50,
    "timestamp": "2022-12-25T18:28:49.000Z",
    "properties": [{"name": "reward", "label": "Reward", "value": "r1"}],
    "expdate": None,
}
MOMENT = datetime(2022, 12, 25, 18, 28, 49, tzinfo=UTC)


def test_event_view_of_the_contracts_event_is_canonical() -> None:
    assert event_view(RAW) == Event(
        id="e1",
        action="reward",
        customer_id="c1",
        timestamp=MOMENT,
        points=50,
        label="Claiming a reward",
        properties={"reward": "r1"},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"Customer": None, "customer": {"id": "c1"}},
        {"properties": {"reward": "r1"}},
        {"timestamp": "2022-12-25T18:28:49+00:00"},
        {"timestamp": 1671992929},
        {"points": "50"},
        {"unknown": {"more": 1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_event_view_of_another_shape_is_the_same_event(change: dict[str, Any]) -> None:
    assert event_view(RAW | change) == event_view(RAW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "`id`"),
        ({"id": ""}, "`id`"),
        ({"id": True}, "`id`"),
        ({"id": "x" * 251}, "longer than 250"),
        ({"id": "a\nb"}, "characters that no id has"),
        ({"id": "\ud800"}, "characters that no id has"),
        ({"action": None}, "`action`"),
    ],
)
def test_event_view_of_what_cannot_be_told_from_others_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableEvent, match=reason):
        event_view(RAW | change)


@pytest.mark.parametrize("raw", [None, [], "reward", 1])
def test_event_view_of_no_object_is_refused(raw: Any) -> None:
    with pytest.raises(UnreadableEvent, match="not an object"):
        event_view(raw)


@pytest.mark.parametrize("customer", [None, {}, {"id": None}, {"id": ""}, ""])
def test_event_view_without_a_customer_names_none(customer: Any) -> None:
    assert event_view(RAW | {"Customer": customer}).customer_id is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": "yesterday"}, "timestamp is not an ISO 8601 date or time, nor unix seconds"),
        ({"properties": {str(n): n for n in range(100_000)}}, "the event has more than 1,000 properties"),
        (
            {"properties": [{"name": str(n), "value": n} for n in range(100_000)]},
            "the event has more than 1,000 properties",
        ),
        ({"properties": {"a": "x" * LARGEST_EVENT}}, "the event is larger than 256 KB"),
        ({"properties": {"a": "\ud800"}}, "the event holds broken Unicode"),
    ],
    ids=["no time", "no such time", "properties", "properties as a list", "large", "Unicode"],
)
def test_event_view_of_an_event_that_cannot_be_mailed_keeps_it_small(change: dict[str, Any], problem: str) -> None:
    event = event_view(RAW | change)
    assert (event.id, event.action, event.customer_id, event.problem) == ("e1", "reward", "c1", problem)
    assert event.properties == {}
    assert len(event.encode()) < 300
    assert event.timestamp == (None if "timestamp" in change else MOMENT)


@pytest.mark.parametrize("customer", [{"id": {}}, {"id": 1.5}, {"id": "x" * 251}, {"id": "a\nb"}, ["c1"], True])
def test_event_view_of_a_customer_without_a_usable_id_is_an_event_that_names_none(customer: Any) -> None:
    event = event_view(RAW | {"Customer": customer})
    assert (event.id, event.customer_id) == ("e1", None)
    assert "`customer.id` of the event" in (event.problem or "")


def test_event_view_of_endless_nesting_is_an_event_that_says_so() -> None:
    inner: dict[str, Any] = {}
    for _ in range(5_000):
        inner = {"a": inner}
    event = event_view(RAW | {"properties": inner})
    assert (event.id, event.customer_id, event.problem) == ("e1", "c1", "the event is nested too deeply")
    assert Event.decode(event.encode()) == event


def test_event_view_of_the_most_properties_keeps_them() -> None:
    event = event_view(RAW | {"properties": {str(n): n for n in range(MOST_PROPERTIES)}})
    assert (len(event.properties), event.problem) == (MOST_PROPERTIES, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(list(RAW)), JSON | st.dictionaries(st.text(), JSON, max_size=3)))
def test_event_view_of_anything_is_an_event_or_refused_and_survives_the_inbox(change: dict[str, Any]) -> None:
    try:
        event = event_view(RAW | change)
    except UnreadableEvent:
        return
    again = Event.decode(event.encode())
    assert again.encode() == event.encode()
    assert (again.problem is None) == (again.timestamp is not None) or again.problem


def test_odd_event_is_known_again_by_its_content_and_holds_none_of_it() -> None:
    row = {"action": "reward", "Customer": {"id": "c1"}, "email": "ann@example.com \ud800"}
    odd = odd_event(row, "`id` of the event is missing, or no text")
    assert odd == odd_event(dict(row), odd.problem or "")
    assert odd != odd_event(row | {"points": 1}, odd.problem or "")
    assert (odd.action, b"ann@" in odd.encode()) == ("reward", False)


def test_odd_event_of_anything_else_has_an_action_of_its_own() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert {odd_event(row, "why").action for row in (None, "gone", {"action": 7.5}, nested)} == {"unreadable"}
