from __future__ import annotations

import datetime
import itertools
import unicodedata

import phonenumbers
import pytest
from ometria_provider.sandbox.members import Generator, expiring_points

COUNT = 2000


@pytest.fixture(scope="module")
def members() -> list[dict]:
    generator = Generator(2026, COUNT)
    return [generator.member(i) for i in range(COUNT)]


def test_member_with_same_seed_is_the_same_in_any_order() -> None:
    forward, other = Generator(7, 500), Generator(8, 500)
    backward = [Generator(7, 500).member(i) for i in reversed(range(500))][::-1]
    assert backward == [forward.member(i) for i in range(500)]
    assert not {m["_id"] for m in backward} & {other.member(i)["_id"] for i in range(500)}


def test_id_leads_back_to_its_index_and_to_no_other() -> None:
    generator = Generator(3, 1_000_000)
    for index in (0, 1, 499_999, 999_999):
        assert generator.index(generator.id(index)) == index
    assert generator.index(generator.id(1_000_000)) is None
    assert generator.index(generator.id(5).upper() + "0") is None
    assert generator.index("nobody") is None


@pytest.mark.parametrize("count", [0, 1, 7, 2000, 100_000])
def test_joined_never_falls_as_the_index_grows(count: int) -> None:
    generator = Generator(1, count)
    times = [generator.joined(i) for i in range(count)]
    assert times == sorted(times)


def test_bulk_import_shares_one_created_at() -> None:
    generator = Generator(1, COUNT, bulk=250)
    sizes = [len(list(group)) for _, group in itertools.groupby(generator.joined(i) for i in range(COUNT))]
    assert max(sizes) >= 250
    assert sizes.count(2) > 20


def test_columns_agree_with_whole_members(members: list[dict]) -> None:
    generator = Generator(2026, COUNT)
    for index in range(0, COUNT, 17):
        assert members[index]["status"] == generator.status(index)
        assert datetime.datetime.fromisoformat(members[index]["updated_at"]).timestamp() == generator.updated(index)


def test_dirty_values_stay_under_one_percent(members: list[dict]) -> None:
    phones = [m for m in members if m["mobile_phone"] and not m["mobile_phone"].startswith("+")]
    born = [m for m in members if m["birth_date"] and not "1900" < m["birth_date"] < "2026"]
    mails = [m for m in members if m["email"] and "@" not in m["email"]]
    assert (len(phones), len(born), len(mails)) == (5, 3, 1)


def test_other_mobile_numbers_are_valid(members: list[dict]) -> None:
    numbers = [m["mobile_phone"] for m in members if (m["mobile_phone"] or "").startswith("+")]
    assert len(numbers) > 1500
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(number)) for number in numbers)


def test_members_hold_the_values_that_break_careless_code(members: list[dict]) -> None:
    mails = [m["email"] for m in members if m["email"]]
    assert any(m["email"] is None for m in members) and any(m["email"] == "" for m in members)
    assert any(mail != mail.strip() and mail != mail.lower() for mail in mails)
    assert len(mails) - len(set(mails)) >= 4
    assert all(10**18 < m["properties"]["member_number"] < 2**63 for m in members)
    assert all(int(m["external_ids"]["pos"]) == m["properties"]["member_number"] for m in members)
    scripts = {unicodedata.name(m["first_name"][0]).split()[0] for m in members if m["first_name"]}
    assert {"LATIN", "GREEK", "CJK", "ARABIC"} <= scripts
    assert {m["status"] for m in members} == {"active", "inactive", "pending", "suspended", "banned", "merged"}
    assert any("purchase_total" not in m for m in members)
    assert any(m.get("purchase_total", 0) is None for m in members)


def test_tiers_have_language_maps_and_an_empty_next_at_the_top(members: list[dict]) -> None:
    tiers = [m["tiers"]["basic_structure"] for m in members]
    assert all((tier["next"] == {}) == (tier["_id"] == "tier_platinum") for tier in tiers)
    assert {type(tier["name"]) for tier in tiers} == {str, dict}
    assert all(tier["points"] + tier["next"]["points"] > tier["threshold"] for tier in tiers if tier["next"])


def test_expiring_points_history_adds_up_to_total(members: list[dict]) -> None:
    for member in members[:50]:
        points = expiring_points(member)
        assert sum(entry["points"] for entry in points["history"]) == points["total"]
