from __future__ import annotations

import time
from typing import Any

import pytest


def page(desk: Any, **query: Any) -> Any:
    status, content = desk.ask("loyalty", "/customers/-/events", **query)
    assert status == 200, content
    return content


def test_page_holds_at_most_what_the_setting_says_and_total_tells_the_rest(make_desk: Any) -> None:
    desk = make_desk(most_events=3)
    ids = [desk.sandbox.events.record("reward", "c1") for _ in range(7)]
    pages = [page(desk, limit=100, offset=offset) for offset in (0, 3, 6, 9)]
    assert [len(each["data"]) for each in pages] == [3, 3, 1, 0]
    assert {each["total"] for each in pages} == {7}
    assert [event["id"] for each in pages for event in each["data"]] == ids


@pytest.mark.parametrize(("word", "found"), [("gt", ["3"]), ("gte", ["2", "3"]), ("lt", ["1"]), ("lte", ["1", "2"])])
def test_time_filter_is_exact(desk: Any, word: str, found: list[str]) -> None:
    for second in range(3):
        desk.sandbox.events.record("reward", "c1", {"timestamp": f"2026-01-01T10:00:0{second}.500Z"})
    content = page(desk, **{f"timestamp__{word}": "2026-01-01T10:00:01.500Z"})
    assert [event["id"] for event in content["data"]] == found
    assert content["total"] == len(found)


def test_backdated_event_stands_at_its_time(desk: Any) -> None:
    desk.sandbox.events.record("reward", "c1")
    late = desk.sandbox.events.record("reward", "c1", {"timestamp": "2026-01-01T10:00:00Z"})
    assert page(desk)["data"][0]["id"] == late


@pytest.mark.parametrize("given", [None, "yesterday", {}])
def test_event_without_a_readable_time_is_shown_as_it_is_at_the_time_it_came(desk: Any, given: Any) -> None:
    before = time.time() - 1
    desk.sandbox.events.record("reward", "c1", {"timestamp": given})
    (event,) = page(desk, timestamp__gte=before, timestamp__lte=time.time() + 1)["data"]
    assert event.get("timestamp") == given
    assert ("timestamp" in event) == (given is not None)


def test_events_of_one_customer_are_found_by_action_whichever_name_the_customer_has(desk: Any) -> None:
    events = desk.sandbox.events
    wanted = [events.record("reward", "c1"), events.record("reward", "c1", {"customer": {"id": "c1"}})]
    events.record("opt_in", "c1")
    events.record("reward", "c2")
    content = desk.ask("loyalty", "/customers/c1/events", **{"action.in": "reward,checkout"})[1]
    assert [event["id"] for event in content["data"]] == wanted
    assert [("Customer" in event, "customer" in event) for event in content["data"]] == [(True, False), (False, True)]


def test_references_name_the_reward_of_either_shape(desk: Any) -> None:
    reward_id = desk.sandbox.rewards.ids()[0]
    name = desk.sandbox.rewards.get(reward_id)["name"]
    rows = [{"name": "reward", "label": "Reward", "value": reward_id}]
    for properties in ({"reward": reward_id}, rows, {"reward": "gone"}, []):
        desk.sandbox.events.record("reward", "c1", {"properties": properties})
    data = desk.ask("loyalty", "/customers/c1/events", references="true")[1]["data"]
    one = [{"type": "reward", "id": reward_id, "name": name}]
    assert [event["references"] for event in data] == [one, one, [], []]
    assert "references" not in desk.ask("loyalty", "/customers/c1/events")[1]["data"][0]


@pytest.mark.parametrize("query", [{"timestamp__like": "2026"}, {"timestamp__gte": "soon"}, {"limit": -1}])
def test_parameter_without_sense_is_refused_with_the_bare_error(desk: Any, query: dict[str, Any]) -> None:
    status, content = desk.ask("loyalty", "/customers/-/events", **query)
    assert status == 400
    assert content.keys() == {"type", "code", "message"}


def test_events_are_paged_through_an_index(desk: Any) -> None:
    plan = desk.sandbox.database.execute(
        "explain query plan select id, body from loyalty_event where timestamp >= 0 order by timestamp, id limit 10"
    ).fetchall()
    assert all("USING INDEX loyalty_event_time" in str(step) for step in plan)
