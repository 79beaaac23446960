from __future__ import annotations

from typing import Any

import pytest
from ometria_provider.sandbox.catalogue import CATALOGUE


def test_reward_is_flat_in_one_call_and_has_language_maps_in_the_other(desk: Any) -> None:
    named = [
        each for each in map(desk.sandbox.rewards.get, desk.sandbox.rewards.ids()) if isinstance(each["name"], dict)
    ]
    assert len(named) > 5
    shapes = set()
    for reward in named:
        status, flat = desk.ask("loyalty", f"/rewards/{reward['id']}")
        assert status == 200
        shapes.add(type(flat))
        (one,) = flat if isinstance(flat, list) else [flat]
        assert one.keys() == {"id", "name", "category", "price", "description", "image_url"}
        assert one["name"] in reward["name"].values()
        assert desk.ask("loyalty", f"/entities/rewards/reward/{reward['id']}") == (200, reward)
    assert shapes == {dict, list}


def test_catalogue_follows_the_seed(make_desk: Any) -> None:
    one, same, other = make_desk(seed=1), make_desk(seed=1), make_desk(seed=2)
    assert one.sandbox.rewards.ids() == same.sandbox.rewards.ids() != other.sandbox.rewards.ids()
    assert len(set(one.sandbox.rewards.ids())) == len(CATALOGUE)


def test_catalogue_holds_what_is_hard(desk: Any) -> None:
    texts = [reward[3] for reward in CATALOGUE]
    assert any(isinstance(text, dict) and len(text.get("en", "")) > 512 for text in texts)
    assert "" in texts
    assert any(isinstance(name, str) for _, _, name, _ in CATALOGUE)
    assert any(isinstance(name, dict) and "en" not in name for _, _, name, _ in CATALOGUE)


@pytest.mark.parametrize("path", ["/rewards/", "/entities/rewards/reward/"])
def test_deleted_or_unknown_reward_is_not_found_until_reset(desk: Any, path: str) -> None:
    reward_id = desk.sandbox.rewards.ids()[0]
    assert desk.sandbox.rewards.delete(reward_id)
    for missing in (reward_id, "nothing"):
        status, content = desk.ask("loyalty", path + missing)
        assert (status, content["error"]["type"]) == (404, "RewardNotFoundException")
        assert not desk.sandbox.rewards.delete(missing)
        assert not desk.sandbox.rewards.change(missing, {"name": "x"})
    desk.sandbox.reset({"members"})
    assert desk.ask("loyalty", path + reward_id)[0] == 200


def test_changed_reward_keeps_its_id_and_other_fields(desk: Any) -> None:
    reward_id = desk.sandbox.rewards.ids()[0]
    before = desk.sandbox.rewards.get(reward_id)
    assert desk.sandbox.rewards.change(reward_id, {"name": "New", "id": "other"})
    assert desk.sandbox.rewards.get(reward_id) == before | {"name": "New"}
