from __future__ import annotations

from ometria_provider.sandbox.members import Generator
from ometria_provider.sandbox.shapes import loyalty_shape

READ_ONLY = {"_id", "handler", "created_at", "optout_at", "country", "membership_id", "external_ids", "group_id"}


def pair(index: int = 0, *fields: str) -> tuple[dict, dict]:
    read = Generator(2026, 500).member(index)
    return read, loyalty_shape(read, frozenset(fields))


def test_loyalty_shape_leaves_out_what_only_the_read_api_has() -> None:
    read, loyalty = pair()
    assert read.keys() >= READ_ONLY
    assert not READ_ONLY & loyalty.keys()
    assert not {"spendable", "nickname", "id", "expiring_points"} & read.keys()
    assert loyalty["id"] == read["_id"]
    assert loyalty["nickname"] == read["handler"]


def test_loyalty_shape_computes_spendable_and_unix_times() -> None:
    read, loyalty = pair()
    assert loyalty["spendable"] == read["score"] - read["spent"] - read["reserved"] - read["expired"]
    assert isinstance(loyalty["updated_at"], int)
    assert read["updated_at"].endswith("+00:00")


def test_loyalty_shape_turns_objects_of_accounts_and_tiers_into_arrays() -> None:
    read, loyalty = pair()
    assert [account["id"] for account in loyalty["accounts"]] == list(read["accounts"])
    account, kept = loyalty["accounts"][0], read["accounts"]["prestige_balance"]
    assert account["spendable"] == kept["earned"] - kept["spent"] - kept["reserved"] - kept["expired"]
    assert loyalty["tiers"][0]["structure"]["id"] == "basic_structure"
    assert loyalty["tiers"][0]["id"] == read["tiers"]["basic_structure"]["_id"]


def test_loyalty_shape_writes_points_to_next_tier_as_text() -> None:
    pairs = [pair(i) for i in range(50)]
    nexts = [(r["tiers"]["basic_structure"]["next"], p["tiers"][0]["next"]) for r, p in pairs]
    assert all(loyalty["points"] == str(read["points"]) for read, loyalty in nexts if read)
    assert {} in [loyalty for _, loyalty in nexts]


def test_loyalty_words_come_in_any_case() -> None:
    shaped = [pair(i)[1] for i in range(60)]
    assert {"Active", "active"} <= {row["status"] for row in shaped}
    assert {"Male", "male", "Female", "female", None} == {row["gender"] for row in shaped}


def test_loyalty_shape_adds_asked_fields_only() -> None:
    assert "groups" not in pair()[1]
    _, asked = pair(0, "groups", "purchases.ytd", "expiring_points")
    assert {"groups", "purchases"} <= asked.keys()
    assert asked["expiring_points"].keys() == {"total"}
    assert pair(0, "expiring_points.history")[1]["expiring_points"].keys() == {"total", "history"}
