"""What is sent, in which shape, and what is not sent again."""

from __future__ import annotations

from typing import Any

import pytest
from sync import FIELDS, Sync


def test_run_with_nothing_known_sends_everybody_and_balances(sync: Sync) -> None:
    sync.mapping()
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["read"] == 300
    assert run.row["accepted"] == sync.received()["stored"] == len(sync.members_to_send()) == 300 - run.row["filtered"]
    assert sync.received()["most_for_one"] == 1
    assert sync.sandbox.control("contacts")["lists"]["4821"] == run.row["accepted"]


def test_run_with_nothing_changed_sends_nothing(sync: Sync) -> None:
    sync.mapping()
    first = sync.run()
    before = sync.received()
    second = sync.run()
    assert second.green, second.text
    second.assert_balanced()
    assert second.books == {"read": 300, "unchanged": first.row["accepted"], "filtered": first.row["filtered"]}
    assert sync.received() == before
    assert "requests" not in second.facts("push"), "Ometria is not even asked"


def test_run_scheduled_by_airflow_ends_as_its_steps_do(sync: Sync, airflow_database: None) -> None:
    sync.mapping()
    run = sync.run_dag()
    assert run.green, run.text
    run.assert_balanced()
    assert run.tasks == dict.fromkeys(run.tasks, "success")
    assert [*run.tasks] == ["plan", "extract[0]", "map[0]", "validate[0]", "gate", "push[0]", "reconcile", "report"]


def test_one_percent_changed_sends_exactly_those(crowd: Sync) -> None:
    crowd.mapping()
    assert crowd.run().green
    changed = crowd.members_to_send()[::97][:20]
    crowd.change(*changed, score=123_456)
    crowd.sandbox.control("reset", {"what": ["stats"]})
    run = crowd.run()
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["sent"] == run.row["accepted"] == crowd.received()["received"] == 20
    assert all(crowd.contact(member)["properties"]["points"] == 123_456 for member in changed)
    assert all(crowd.sandbox.control(f"stats?contact=members/{member}")["received"] == 1 for member in changed)


def test_change_in_a_field_that_is_not_mapped_sends_nothing(sync: Sync) -> None:
    sync.mapping()
    sync.run()
    sync.change(*sync.ids()[:50], nickname="new", **{"properties.shoe_size": 99})
    assert sync.run().row["sent"] == 0


def test_change_that_makes_the_same_record_sends_nothing(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    member = sync.member(email="ann@example.com")
    sync.run()
    sync.change(member, email="  ANN@example.com ")
    run = sync.run()
    assert run.green, run.text
    assert (run.row["sent"], run.row["unchanged"]) == (0, 1)


def test_mapping_changed_sends_those_whose_record_differs(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    top = sync.member(**{"properties.shoe_size": None})
    sized = sync.member(**{"properties.shoe_size": 42.5})
    sync.run()
    sync.mapping(fields=[*FIELDS, {"loyalty": "properties.shoe_size", "remote": "shoe_size"}])
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert (run.row["sent"], run.row["unchanged"]) == (1, 1)
    assert sync.contact(sized)["properties"]["shoe_size"] == 42.5
    assert sync.received()["received"] == 3

    sync.mapping(fields=[*FIELDS, {"value": "antavo", "remote": "loyalty_source"}])
    run = sync.run()
    assert run.row["sent"] == 2
    assert sync.contact(top)["properties"]["loyalty_source"] == "antavo"


def test_mapping_description_changed_sends_nothing(sync: Sync) -> None:
    sync.mapping()
    sync.run()
    sync.mapping(description="Something else", limits={"max_cleared_share": 0.5}, schedule="@daily")
    run = sync.run()
    assert run.row["sent"] == 0
    assert len(run.steps) == 8


def test_member_who_left_the_where_and_came_back_is_sent_when_changed(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    member = sync.member()
    sync.run()
    sync.change(member, status="banned")
    gone = sync.run()
    assert (gone.row["filtered"], gone.row["sent"]) == (1, 0)
    sync.change(member, status="active", score=11)
    back = sync.run()
    assert back.green, back.text
    assert back.row["sent"] == 1
    assert sync.contact(member)["properties"]["points"] == 11


def test_dry_run_sends_nothing_changes_nothing_and_counts_right(sync: Sync) -> None:
    sync.mapping(fields=[*FIELDS, {"loyalty": "birth_date", "remote": "date_of_birth"}])
    sync.nobody()
    known = [sync.member() for _ in range(4)]
    assert sync.run().row["sent"] == 4
    sync.member(), sync.member()
    sync.member(birth_date="2999-01-01")
    sync.change(known[0], score=99)
    sync.change(known[1], last_name=None, birth_date=None)
    states = "SELECT contact_id, state, fingerprint, source_digest, changed_at FROM contact_state ORDER BY 1"
    before, received = sync.query(states), sync.received()

    dry = sync.run(dry_run=True)
    assert dry.green, dry.text
    assert dry.row["dry_run"]
    counted = dry.facts("map")
    assert (counted["created"], counted["changed"], counted["unchanged"], counted["rejected"]) == (2, 2, 2, 1)
    assert counted["cleared"] == {"lastname": 1, "date_of_birth": 1}
    assert dry.row["sent"] == dry.row["accepted"] == 0
    assert sync.query(states) == before
    assert sync.received() == received

    real = sync.run()
    assert real.green, real.text
    assert (real.row["sent"], real.row["unchanged"], real.row["rejected"]) == (4, 2, 1)


def test_dry_run_scheduled_by_airflow_sends_nothing(sync: Sync, airflow_database: None) -> None:
    sync.mapping()
    run = sync.run_dag(dry_run=True)
    assert run.green, run.text
    assert run.row["dry_run"]
    assert sync.received()["received"] == 0


MEMBER: dict[str, Any] = {
    "_id": "280e",
    "email": " Ann@Example.com ",
    "first_name": "Ann",
    "last_name": None,
    "tiers.basic_structure.next": {"id": "g", "name": {"en": "Gold", "de": "Gold DE"}},
    "accounts.prestige_balance.earned": 40,
}
ROWS = [
    {"loyalty": "email", "remote": "email", "transform": ["strip", "lower"]},
    {"loyalty": "first_name", "remote": "firstname"},
    {"loyalty": "last_name", "remote": "lastname"},
    {"value": "antavo", "remote": "loyalty_source"},
]
V2_ROWS = [
    *ROWS,
    {"loyalty": "tiers.basic_structure.next.name", "remote": "next_tier"},
    {"loyalty": "accounts.prestige_balance.earned", "remote": "prestige_earned"},
]
TOP = {
    "@type": "contact",
    "@collection": "members",
    "@merge": True,
    "@add_to_lists": [4821],
    "id": "280e",
    "email": "ann@example.com",
    "customer_id": "280e",
    "firstname": "Ann",
}


def test_record_in_v2_mode_has_the_documented_shape(sync: Sync, wire: list[dict[str, Any]]) -> None:
    sync.mapping(mode="v2", fields=V2_ROWS)
    sync.nobody()
    sync.member(**MEMBER)
    assert sync.run().green
    custom = {"next_tier": "Gold", "prestige_earned": 40, "loyalty_source": "antavo"}
    assert wire == [{**TOP, "properties": custom}]
    stored = sync.contact("280e")
    assert stored == {
        name: value for name, value in {**TOP, "properties": custom}.items() if name not in {"@merge", "@add_to_lists"}
    }
    assert sync.sandbox.control("lists/4821") == ["members/280e"]


def test_record_in_legacy_mode_has_the_documented_shape(sync: Sync, wire: list[dict[str, Any]]) -> None:
    sync.mapping(mode="legacy", fields=[*ROWS, {"loyalty": "score", "remote": "points"}])
    sync.nobody()
    sync.member(**MEMBER, score=120.0)
    assert sync.run().green
    assert wire == [{**TOP, "loyalty_source": "antavo", "points": 120}]
    assert sync.contact("280e")["points"] == 120
    assert "properties" not in sync.contact("280e")


def test_record_in_v2_mode_with_a_cleared_field_says_null_where_it_stood(
    sync: Sync, wire: list[dict[str, Any]]
) -> None:
    sync.mapping(mode="v2", fields=V2_ROWS)
    sync.nobody()
    sync.member(**MEMBER)
    sync.run()
    sync.change("280e", first_name=None, **{"tiers.basic_structure.next": {}})
    wire.clear()
    assert sync.run().green
    (record,) = wire
    assert record["firstname"] is None
    assert record["properties"] == {"next_tier": None, "prestige_earned": 40, "loyalty_source": "antavo"}
    assert "lastname" not in record, "it was never filled"


NUMBERS = [
    {"loyalty": "properties.big", "remote": "big"},
    {"loyalty": "properties.big_text", "remote": "big_text"},
    {"loyalty": "properties.share", "remote": "share"},
    {"loyalty": "properties.whole", "remote": "whole"},
    {"loyalty": "properties.flag", "remote": "flag"},
    {"loyalty": "optin_at", "remote": "member_since"},
    {"loyalty": "external_ids.pos", "remote": "pos_id"},
]


def test_numbers_ids_and_times_arrive_exact(sync: Sync) -> None:
    """One member has each value, the others have none of them: pandas must not make floats of whole columns."""
    sync.mapping(fields=NUMBERS)
    sync.nobody()
    for _ in range(3):
        sync.member(properties={}, external_ids={}, optin_at=None)
    exact = sync.member(
        external_ids={"pos": "4000000000000000123"},
        optin_at="2024-03-31T01:30:00+00:00",
        properties={
            "big": 9_223_372_036_854_775_807,
            "big_text": "4000000000000000001",
            "share": 0.1,
            "whole": 3.0,
            "flag": False,
        },
    )
    run = sync.run()
    assert run.green, run.text
    assert sync.contact(exact)["properties"] == {
        "big": 9_223_372_036_854_775_807,
        "big_text": "4000000000000000001",
        "share": 0.1,
        "whole": 3,
        "flag": False,
        "member_since": "2024-03-31T01:30:00+00:00",
        "pos_id": "4000000000000000123",
    }
    assert isinstance(sync.contact(exact)["properties"]["whole"], int)


@pytest.mark.parametrize("mode", ["legacy", "v2"])
def test_member_numbers_of_19_digits_arrive_exact_for_everybody(sync: Sync, mode: str) -> None:
    sync.mapping(mode=mode, fields=[{"loyalty": "properties.member_number", "remote": "member_number"}])
    assert sync.run().green
    from ometria_provider.hooks.antavo import AntavoHook

    for page in AntavoHook().scan():
        for customer in page[::20]:
            if customer["status"] in {"active", "inactive"} and "@" in (customer["email"] or "@").strip():
                record = sync.contact(customer["_id"]) or {}
                got = record.get("properties", record).get("member_number")
                if record:
                    assert got == customer["properties"]["member_number"]
                    assert len(str(got)) == 19


NAMES = ["Zoë", "Łukasz", "李小龍", "مريم", "O’Neil-Åß", "👩‍🚀 Sally", "Ame\u0301lie", "Ana\u200b", "\u2028sep", "नमस्ते"]


def test_unicode_survives(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    members = {sync.member(first_name=name, last_name=name[::-1]): name for name in NAMES}
    assert sync.run().green
    for member, name in members.items():
        assert sync.contact(member)["firstname"] == name
        assert sync.contact(member)["lastname"] == name[::-1]
    assert sync.run().row["sent"] == 0


def test_two_mappings_own_their_contacts_apart(sync: Sync) -> None:
    sync.mapping("one")
    sync.mapping("two", mode="legacy", fields=[ROWS[0], {"loyalty": "score", "remote": "points"}], list=4822)
    assert sync.run("one").green
    assert sync.run("two").green
    assert sync.received("one")["stored"] == sync.received("two")["stored"] > 0
    member = sync.members_to_send()[0]
    sync.change(member, score=5)
    assert sync.run("two").row["sent"] == 1
    assert sync.run("one").row["sent"] == 1


def test_run_counts_whom_the_where_leaves_out_by_its_rules_also_when_nothing_changed(sync: Sync) -> None:
    sync.nobody()
    kept, banned, gone = sync.member(), sync.member(status="banned"), sync.member(country="US")
    sync.mapping(where={"country": "GB"})
    for _ in range(2):
        run = sync.run()
        assert run.row["filtered"] == 2
        found = run.facts("map")["left_out"]
        assert {ids for one in found.values() for ids in one["first_ids"]} == {banned, gone}
        assert [one["members"] for one in found.values()] == [1, 1]
        assert {reason.split()[1] for reason in found} == {"status", "country"}
    text = sync.show(run)
    assert "Left out by the mapping's `where`" in text
    assert kept not in text
