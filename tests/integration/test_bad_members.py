"""Members whose data is wrong: each costs itself and nobody else, and is a rejection that somebody can see."""

from __future__ import annotations

from typing import Any

import pytest
from ometria_provider.exceptions import Halted
from ometria_provider.operators.antavo import ExtractOperator
from sync import FIELDS, Sync
from work import Outcome

TIER = {"loyalty": "tiers.basic_structure.next.name", "remote": "next_tier"}


def rejected_alone(run: Outcome, contact_id: str, stage: str, field: str | None) -> str:
    """The run is green, this member is its only rejection; return the reason."""
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["rejected"] == 1
    (rejection,) = run.rejections
    assert (rejection["contact_id"], rejection["stage"], rejection["field"]) == (contact_id, stage, field)
    return str(rejection["reason"])


def test_antavo_empty_halts_and_sends_nothing(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    run = sync.run()
    assert run.state == "failed"
    assert run.row["state"] == "halted"
    assert isinstance(run.errors["gate"], Halted)
    for part in ("no customers at all", "antavo_default", "read_api_url", "start a new run"):
        assert part in run.row["reason"]
    assert sync.received()["received"] == 0


def test_member_without_email_is_sent_by_customer_id(sync: Sync) -> None:
    sync.mapping()
    without = sync.member(email=None), sync.member(email="")
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    for member in without:
        contact = sync.contact(member)
        assert contact["customer_id"] == member
        assert contact["firstname"] == "Ann"
        assert "email" not in contact


def test_member_without_email_and_customer_id_is_rejected(sync: Sync) -> None:
    sync.mapping(identity={"customer_id": "properties.crm_id"})
    sync.nobody()
    good = [sync.member(**{"properties.crm_id": f"c{n}"}) for n in range(3)]
    by_email = sync.member(**{"properties.crm_id": None})
    neither = sync.member(email=None, **{"properties.crm_id": None})
    run = sync.run()
    reason = rejected_alone(run, neither, "mapping", run.rejections[0]["field"])
    assert "email" in f"{run.rejections[0]['field']} {reason}"
    assert "customer_id" in f"{run.rejections[0]['field']} {reason}"
    assert sync.received()["stored"] == run.row["accepted"] == len([*good, by_email])


def test_member_whose_id_cannot_be_read_is_rejected_under_antavos_own(sync: Sync) -> None:
    sync.mapping(identity={"id": "properties.crm_id"})
    sync.nobody()
    sync.member(**{"properties.crm_id": "c1"})
    lost = sync.member(**{"properties.crm_id": None})
    rejected_alone(sync.run(), f"antavo:{lost}", "mapping", "id")
    assert sync.received()["stored"] == 1
    assert sync.run().green


def test_text_that_is_no_unicode_rejects_that_member_alone(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    ids = [sync.member(first_name="Ann") for _ in range(3)]
    sync.fault("broken_text", field="first_name", api="read", path="/v1/customers", skip=1)
    run = sync.run()
    rejected_alone(run, run.rejections[0]["contact_id"], "mapping", "firstname")
    assert run.rejections[0]["contact_id"] in ids
    assert "broken Unicode" in run.rejections[0]["reason"]
    assert sync.received()["stored"] == 2


def test_record_of_61_kilobytes_is_rejected_alone(sync: Sync) -> None:
    sync.mapping(fields=[*FIELDS, {"loyalty": "properties.essay", "remote": "essay"}])
    big = sync.member(**{"properties.essay": "x" * 62_000})
    fits = sync.member(**{"properties.essay": "y" * 60_000})
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert [rejection["contact_id"] for rejection in run.rejections] == [big]
    assert "large" in run.rejections[0]["reason"] or "61,440" in run.rejections[0]["reason"]
    assert sync.contact(fits)["properties"]["essay"] == "y" * 60_000
    assert sync.received()["stored"] == run.row["accepted"]


def test_tier_that_vanished_is_cleared(sync: Sync) -> None:
    sync.mapping(on_empty="clear")
    sync.nobody()
    member = sync.member(**{"tiers.basic_structure.next": {"name": "Gold"}})
    sync.member()
    assert sync.run().green
    assert sync.contact(member)["properties"]["next_tier"] == "Gold"
    sync.change(member, **{"tiers.basic_structure.next": {}})
    run = sync.run()
    assert run.green, run.text
    assert run.row["sent"] == 1
    contact = sync.contact(member)
    assert "next_tier" not in contact["properties"]
    assert contact["properties"]["points"] == 10
    again = sync.run()
    assert again.green
    assert again.row["sent"] == 0


def test_tier_that_vanished_is_kept_when_the_mapping_says_so(sync: Sync) -> None:
    sync.mapping(on_empty="keep")
    sync.nobody()
    member = sync.member(**{"tiers.basic_structure.next": {"name": "Gold"}})
    assert sync.run().green
    sync.change(member, **{"tiers.basic_structure.next": {}, "score": 11})
    run = sync.run()
    assert run.green, run.text
    assert sync.contact(member)["properties"] == {
        **sync.contact(member)["properties"],
        "next_tier": "Gold",
        "points": 11,
    }


def test_tier_that_came_back_is_sent_again(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    member = sync.member(**{"tiers.basic_structure.next": {"name": "Gold"}})
    for name in ({}, {"name": "Gold"}, {}, {"name": "Silver"}):
        sync.change(member, **{"tiers.basic_structure.next": name})
        assert sync.run().green
        assert sync.contact(member)["properties"].get("next_tier") == (name.get("name") if name else None)


def test_members_with_one_email_are_both_sent_with_a_warning(sync: Sync) -> None:
    sync.mapping()
    sync.suite(
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "email"}, "severity": "warning"},
    )
    pair = sync.member(email="two@example.com"), sync.member(email="TWO@example.com")
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert all(sync.contact(member)["email"] == "two@example.com" for member in pair)
    (result,) = sync.query("SELECT * FROM rule_result")
    assert result["severity"] == "warning"
    assert set(pair) <= set(_json(result["contact_ids"]))


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"loyalty": "birth_date", "remote": "date_of_birth"}, {"birth_date": "2999-01-01"}),
        ({"loyalty": "birth_date", "remote": "date_of_birth"}, {"birth_date": "0000-00-00"}),
        ({"loyalty": "mobile_phone", "remote": "phone_number"}, {"mobile_phone": "n/a"}),
        ({"loyalty": "properties.age", "remote": "age", "transform": ["integer"]}, {"properties.age": "12.5"}),
        ({"loyalty": "country", "remote": "country_id"}, {"country": "Atlantis"}),
    ],
    ids=["birthday in the future", "birthday of zeros", "phone", "integer", "country"],
)
def test_value_that_cannot_be_converted_rejects_that_member_alone(
    sync: Sync, row: dict[str, Any], value: dict[str, Any]
) -> None:
    sync.mapping(fields=[*FIELDS, row])
    sync.nobody()
    good = sync.member()
    bad = sync.member(**value)
    run = sync.run()
    reason = rejected_alone(run, bad, "mapping", row["remote"])
    assert str(next(iter(value.values()))) not in reason
    assert sync.contact(good)["firstname"] == "Ann"
    assert sync.received()["stored"] == 1


def test_rejection_is_remembered_not_sent_and_counted_until_it_changes(sync: Sync) -> None:
    sync.mapping(fields=[*FIELDS, {"loyalty": "birth_date", "remote": "date_of_birth"}])
    sync.nobody()
    sync.member()
    bad = sync.member(birth_date="2999-01-01")
    assert sync.run().row["rejected"] == 1
    second = sync.run()
    assert second.green, second.text
    second.assert_balanced()
    assert second.row["rejected"] == 1
    assert second.rejections == []
    assert second.facts("map")["remembered"] == 1
    sync.change(bad, birth_date="1990-05-01")
    third = sync.run()
    assert third.green, third.text
    assert third.row["rejected"] == 0
    assert third.row["sent"] == 1
    assert sync.contact(bad)["date_of_birth"] == "1990-05-01"


def test_rejection_is_tried_again_after_retry_rejected(sync: Sync) -> None:
    sync.mapping(retry_rejected="PT1H")
    sync.nobody()
    good, bad = sync.member(), sync.member()
    sync.fault("poison", contacts=[bad])
    first = sync.run()
    assert rejected_alone(first, bad, "push", None)
    sync.mend()
    assert sync.run().row["sent"] == 0
    sync.execute("UPDATE contact_state SET changed_at = datetime(changed_at, '-61 minutes') WHERE state='rejected'")
    third = sync.run()
    assert third.green, third.text
    third.assert_balanced()
    assert (third.row["sent"], third.row["rejected"]) == (1, 0)
    assert sync.contact(bad)["firstname"] == "Ann"
    assert sync.stats()["contacts"]["members"]["most_for_one"] == 1
    assert sync.contact(good)["firstname"] == "Ann"


def test_rejection_is_never_tried_again_without_retry_rejected(sync: Sync) -> None:
    sync.mapping(retry_rejected=None)
    sync.nobody()
    sync.member()
    bad = sync.member()
    sync.fault("poison", contacts=[bad])
    assert sync.run().row["rejected"] == 1
    sync.mend()
    sync.execute("UPDATE contact_state SET changed_at = datetime(changed_at, '-400 days') WHERE state='rejected'")
    run = sync.run()
    assert (run.row["sent"], run.row["rejected"]) == (0, 1)


def test_everything_rejected_is_red_now_and_later(sync: Sync) -> None:
    sync.mapping(fields=[*FIELDS, {"loyalty": "birth_date", "remote": "date_of_birth"}])
    sync.nobody()
    for _ in range(5):
        sync.member(birth_date="2999-01-01")
    first = sync.run()
    assert first.state == "failed"
    first.assert_balanced()
    assert "Nothing arrived" in first.row["reason"]
    second = sync.run()
    assert second.state == "failed", "nobody has looked at it, and nothing arrives"
    second.assert_balanced()


def test_member_who_leaves_and_joins_while_the_scan_runs_costs_nobody(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.mapping()
    ids = sync.ids()
    left = [ids[0], ids[80], ids[299]]
    moved = _while_reading(sync, monkeypatch, {"remove": left[:2], "add": 2})
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    wanted = [one for one in ids if one not in left]
    stored = {one for one in wanted if sync.sandbox.control(f"contacts/members/{one}")["received"]}
    filtered = {row["contact_id"] for row in sync.query("SELECT contact_id FROM contact_state WHERE state='filtered'")}
    assert set(wanted) <= stored | filtered
    assert moved
    assert sync.stats()["contacts"]["members"]["most_for_one"] == 1


def _while_reading(sync: Sync, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]) -> list[dict[str, Any]]:
    """Read pages of 50, and change the membership after the second."""
    from ometria_provider.hooks import antavo

    monkeypatch.setattr(antavo, "PAGE_SIZE", 50)
    pages, changes = [0], []
    original = antavo.AntavoHook._page

    def page(self: antavo.AntavoHook, **options: Any) -> Any:
        rows = original(self, **options)
        pages[0] += len(rows) == 50
        if pages[0] == 2 and not changes:
            changes.append(sync.sandbox.control("members", change))
        return rows

    monkeypatch.setattr(antavo.AntavoHook, "_page", page)
    assert ExtractOperator.step == "extract"
    return changes


def _json(value: Any) -> Any:
    import json

    return json.loads(value) if isinstance(value, str) else value
