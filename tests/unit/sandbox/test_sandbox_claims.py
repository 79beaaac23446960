from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from ometria_provider.sandbox.claims import Claim


def events(desk: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.ask("loyalty", "/customers/-/events", limit=500)[1]["data"]
    return found


def reward_of(event: dict[str, Any]) -> str:
    properties = event["properties"]
    if isinstance(properties, list):
        properties = {row["name"]: row["value"] for row in properties}
    return str(properties["reward"])


def customer_of(event: dict[str, Any]) -> str:
    return str((event.get("Customer") or event["customer"])["id"])


def test_claims_come_in_both_shapes_from_members_who_are_there(desk: Any) -> None:
    ids = desk.sandbox.claims.make(Claim(count=60, seed=7))
    found = events(desk)
    assert [event["id"] for event in found] == ids
    assert {event["action"] for event in found} == {"reward"}
    assert {type(event["properties"]) for event in found} == {list, dict}
    assert {"Customer" in event for event in found} == {True, False}
    assert {reward_of(event) for event in found} <= set(desk.sandbox.rewards.ids())
    customers = [customer_of(event) for event in found]
    assert len(set(customers)) == 60
    assert all(desk.sandbox.directory.get(each) for each in customers)
    assert all(event["points"] == desk.sandbox.rewards.get(reward_of(event))["price"] for event in found)


def test_claims_follow_the_seed(make_desk: Any) -> None:
    drawn = []
    for seed in (7, 7, 8):
        desk = make_desk()
        desk.sandbox.claims.make(Claim(count=20, seed=seed))
        drawn.append([(customer_of(event), reward_of(event)) for event in events(desk)])
    assert drawn[0] == drawn[1] != drawn[2]


def test_more_claims_than_members_come_from_members_by_turns(make_desk: Any) -> None:
    desk = make_desk(members=4)
    desk.sandbox.claims.make(Claim(count=10))
    customers = [customer_of(event) for event in events(desk)]
    assert sorted(map(customers.count, set(customers))) == [2, 2, 3, 3]


def test_chosen_customer_claims_a_chosen_reward_even_one_that_is_gone(desk: Any) -> None:
    desk.sandbox.claims.make(Claim.make({"customer": "c9", "reward": "gone", "count": 2}))
    assert [(customer_of(event), reward_of(event), event["points"]) for event in events(desk)] == [
        ("c9", "gone", 0)
    ] * 2


def test_claims_go_by_other_names_if_asked(desk: Any) -> None:
    desk.sandbox.claims.make(Claim(customers=("c1",), rewards=("r1",), action="coupon", named_in="coupon_id"))
    (event,) = events(desk)
    assert event["action"] == "coupon"
    assert "'coupon_id'" in str(event["properties"])
    assert "r1" in str(event["properties"])


def test_claims_within_an_hour_are_spread_over_it_in_order(desk: Any) -> None:
    desk.sandbox.claims.make(Claim(count=5, within=3600))
    ages = [time.time() - datetime.fromisoformat(event["timestamp"]).timestamp() for event in events(desk)]
    assert ages == sorted(ages, reverse=True)
    assert 3590 < ages[0] < 3610
    assert 710 < ages[-1] < 730


def test_claims_one_after_the_other_come_each_at_its_time_until_stopped(desk: Any) -> None:
    claims = desk.sandbox.claims
    assert claims.make(Claim(count=3, every=0.5)) == []
    counts = []
    for _ in range(4):
        assert all(seconds == 0.5 for seconds, _ in desk.waiting)
        counts.append((len(events(desk)), claims.to_come))
        desk.wind()
    assert counts == [(0, 3), (1, 2), (2, 1), (3, 0)]
    for made in (0, 1):
        claims.make(Claim(count=3, every=0.5))
        for _ in range(made):
            desk.wind()
        claims.stop()
        desk.wind()
        assert (len(events(desk)), claims.to_come) == (3 + made, 0)


def test_nobody_or_nothing_to_claim_is_an_error(make_desk: Any) -> None:
    with pytest.raises(ValueError, match="nobody to claim"):
        make_desk(members=0).sandbox.claims.make(Claim())


@pytest.mark.parametrize("content", [{"cuont": 1}, {"who": "x"}])
def test_unknown_setting_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        Claim.make(content)
