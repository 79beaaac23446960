from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]


def test_scan_pages_everybody_once_in_order_of_created_at(desk: Any) -> None:
    rows = [row for offset in range(0, 320, 40) for row in desk.scan(limit=40, offset=offset)]
    assert len({row["_id"] for row in rows}) == len(rows) == 300
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)


def test_scan_envelope_and_default_limit(desk: Any) -> None:
    status, content = desk.ask("read", "/v1/customers")
    assert (status, content["status"]) == (200, "success")
    assert content["metadata"]["pagination"].keys() == {"next", "previous"}
    assert len(content["payload"]["customers"]) == 20


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x"])
def test_scan_with_wrong_limit_is_refused_with_resendable(desk: Any, limit: str) -> None:
    status, content = desk.ask("read", "/v1/customers", limit=limit)
    assert status == 400
    assert content["error"].keys() == {"message", "code", "resendable"}
    assert content["error"]["resendable"] is False


def test_scan_filters_on_created_at_exactly(desk: Any) -> None:
    everybody = desk.scan(limit=1000)
    edge = everybody[100]["created_at"]
    counts = {name: sum(test(row["created_at"]) for row in everybody) for name, test in {
        "gte": lambda t: t >= edge, "gt": lambda t: t > edge, "lte": lambda t: t <= edge, "lt": lambda t: t < edge,
    }.items()}  # fmt: skip
    zulu = edge.replace("+00:00", "Z")
    assert {name: len(desk.scan(limit=1000, **{f"created_at__{name}": zulu})) for name in counts} == counts
    assert counts["gt"] < counts["gte"]


def test_scan_descending_is_the_mirror(desk: Any) -> None:
    up = [row["_id"] for row in desk.scan(limit=1000)]
    down = [row["_id"] for n in range(0, 400, 90) for row in desk.scan(limit=90, offset=n, direction="desc")]
    assert down == up[::-1]


def test_scan_filters_and_sorts_by_status(desk: Any) -> None:
    everybody = desk.scan(limit=1000)
    inactive = [row["_id"] for row in everybody if row["status"] == "inactive"]
    assert [row["_id"] for row in desk.scan(limit=1000, status="inactive")] == inactive != []
    statuses = [row["status"] for row in desk.scan(limit=1000, sort="status")]
    assert statuses == sorted(statuses)
    assert len(statuses) == 300
    assert desk.scan(status="nothing") == []


def test_offset_pages_drift_when_a_member_leaves_during_a_scan(desk: Any) -> None:
    before = [row["_id"] for row in desk.scan(limit=1000)]
    first = [row["_id"] for row in desk.scan(limit=100)]
    desk.sandbox.directory.remove(first[0])
    second = [row["_id"] for row in desk.scan(limit=100, offset=100)]
    assert set(before) - set(first) - set(second) - set(before[200:]) == {before[100]}  # lost by careless paging


def test_scan_during_which_somebody_joins_ends_with_the_joiner(desk: Any) -> None:
    desk.scan(limit=100)
    joined = desk.sandbox.directory.add()
    assert desk.scan(limit=1000)[-1]["_id"] == joined


def test_one_customer_answers_on_both_apis_in_their_shapes(desk: Any) -> None:
    customer_id = desk.scan()[0]["_id"]
    read = desk.ask("read", f"/v1/customers/{customer_id}")[1]["payload"]["customer"]
    loyalty = desk.ask("loyalty", f"/customers/{customer_id}", fields="groups,expiring_points")[1]
    assert (read["_id"], loyalty["id"]) == (customer_id, customer_id)
    assert {"groups", "expiring_points"} <= loyalty.keys()


def test_opted_out_customer_vanishes_from_both_apis(desk: Any) -> None:
    customer_id = desk.scan()[0]["_id"]
    desk.sandbox.directory.remove(customer_id)
    read, loyalty = desk.ask("read", f"/v1/customers/{customer_id}"), desk.ask("loyalty", f"/customers/{customer_id}")
    assert (read[0], read[1]["error"]["code"]) == (404, 160212)
    assert (loyalty[0], loyalty[1]["error"]["code"]) == (404, 160212)
    assert customer_id not in [row["_id"] for row in desk.scan(limit=1000)]


def test_count_is_of_active_members(desk: Any) -> None:
    active = [row for row in desk.scan(limit=1000) if row["status"] == "active"]
    assert desk.ask("loyalty", "/customers/-/count")[1] == {"active": len(active)}


def test_search_without_criteria_errs_with_the_bare_shape(desk: Any) -> None:
    status, content = desk.ask("loyalty", "/customers", limit=5)
    assert (status, content["code"]) == (400, 160211)
    assert content.keys() == {"type", "code", "message"}


def test_search_by_updated_at_follows_changes(desk: Any) -> None:
    before = {row["id"] for row in desk.ask("loyalty", "/customers", updated_at__gt="2026-06-01T00:00:00Z")[1]["data"]}
    customer_id = desk.scan()[3]["_id"]
    desk.sandbox.directory.change(customer_id, {"first_name": "Bea"})
    found = desk.ask("loyalty", "/customers", updated_at__gt="2026-06-01T00:00:00Z", fields="first_name")[1]["data"]
    assert before == set()
    assert found == [{"id": customer_id, "first_name": "Bea"}]


def test_search_pages_through_all_and_ends_without_next(desk: Any) -> None:
    seen, offset = [], 0
    while True:
        page = desk.ask("loyalty", "/customers", updated_at__gte="2019-01-01T00:00:00", offset=offset)[1]
        seen += [row["id"] for row in page["data"]]
        offset += 100
        if not page["next"]:
            break
    assert len(set(seen)) == len(seen) == 300


def test_search_by_other_attributes(desk: Any) -> None:
    one, two = (row["_id"] for row in desk.scan(limit=2))
    assert [row["id"] for row in desk.ask("loyalty", "/customers", id__in=f"{one},{two}")[1]["data"]] == [one, two]
    assert desk.ask("loyalty", "/customers", first_name__like="A")[0] == 400


def test_events_are_paged_filtered_and_ordered(desk: Any) -> None:
    events = desk.sandbox.events
    for day in (3, 1, 2):
        events.record("point_add", "c1", {"timestamp": f"2026-01-0{day}T10:00:00.000Z", "points": day})
    events.record("opt_in", "c2", {"timestamp": "2026-01-05T10:00:00.000Z"})
    content = desk.ask("loyalty", "/customers/-/events", timestamp__gte="2026-01-02T00:00:00Z", order="desc")[1]
    assert content["total"] == 3
    assert [event["points"] for event in content["data"]] == [0, 3, 2]
    assert content["data"][0]["Customer"] == {"id": "c2"}
    assert content["data"][0]["timestamp"].endswith("Z")
    page = desk.ask("loyalty", "/customers/-/events", limit=1, offset=1)[1]
    assert (page["total"], [event["points"] for event in page["data"]]) == (4, [2])
    own = desk.ask("loyalty", "/customers/c1/events", **{"action.in": "point_add,checkout"})[1]
    assert own["total"] == 3


def test_empty_programme_answers_empty_pages(make_desk: Make) -> None:
    desk = make_desk(members=0)
    assert desk.scan() == []
    assert desk.ask("loyalty", "/customers/-/count")[1] == {"active": 0}


def test_unknown_path_answers_in_the_shape_of_its_api(desk: Any) -> None:
    assert desk.ask("read", "/v1/tiers") == (404, {"error": {"message": "Not found", "code": 404, "resendable": False}})
    assert desk.ask("loyalty", "/nothing")[1]["error"].keys() == {"type", "code", "message"}
