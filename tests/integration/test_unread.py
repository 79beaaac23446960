"""One customer of whom Antavo does not tell costs that customer, whichever way a run asks for single ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ometria_provider.exceptions import LookupFailed, Misconfigured
from ometria_provider.ledger.contacts import ANSWERED, LOOK_AGAIN
from sync import FIELDS, Sync
from work import Outcome

EXPIRING = {"loyalty": "extensions.expiring_points.total", "remote": "points_expiring"}
NEWSLETTER = {"loyalty": "properties.newsletter", "remote": "marketing_optin"}
IN, OUT = "EXPLICITLY_OPTEDIN", "EXPLICITLY_OPTEDOUT"
#: A lookup that is refused, and one that fails however often it is asked.
FAULTS: list[Any] = [
    pytest.param({"kind": "refused", "status": status}, f"refuses to give the {{}}: {status}", id=f"refused {status}")
    for status in (400, 413, 422)
] + [pytest.param({"kind": "500"}, "fails to give the {}: 500", id="fails")]


def withhold(sync: Sync, member: str, fault: dict[str, Any]) -> None:
    """Let Antavo tell nothing of a member who is asked for by id."""
    sync.fault(api="read", path=f"/v1/customers/{member}", **fault)


def withhold_details(sync: Sync, member: str, **fault: Any) -> None:
    sync.fault(api="loyalty", path=f"/customers/{member}", **{"kind": "refused", **fault})


def named(fault: dict[str, Any]) -> str:
    return str(fault.get("status", fault["kind"]))


def green(outcome: Outcome) -> Outcome:
    assert outcome.green, outcome.text
    outcome.assert_balanced()
    return outcome


def rejected(outcome: Outcome) -> dict[str, tuple[str, str, str]]:
    return {row["contact_id"]: (row["stage"], row["field"], row["reason"]) for row in outcome.rejections}


@pytest.fixture
def three(sync: Sync) -> list[str]:
    """Three members, and nobody else."""
    sync.nobody()
    return [sync.member(properties={"newsletter": IN}) for _ in range(3)]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_incremental_run_rejects_whom_antavo_does_not_tell_of_and_asks_again_next_time(
    sync: Sync, three: list[str], proof: Any, fault: dict[str, Any], reason: str
) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run())
    sync.change(*three, score=77)
    withhold(sync, three[1], fault)
    run = green(sync.run())
    assert run.books == {"read": 3, "rejected": 1, "sent": 2, "accepted": 2}
    [(stage, field, why)] = rejected(run).values()
    assert (stage, field) == ("mapping", "id")
    assert why.startswith(f"Antavo {reason.format('customer')}")
    assert [sync.contact(member)["properties"]["points"] for member in three] == [77, 10, 77]
    assert sync.state(three[1])["source_digest"] == LOOK_AGAIN
    # The search does not find it any more, and no day has passed.
    sync.execute("UPDATE cursor SET at = :at WHERE name = 'customers'", at="2027-01-01 00:00:00")
    quiet = green(sync.run())
    assert (quiet.books, quiet.rejections) == ({}, [])
    assert "1 changed customer, each by its id" in quiet.row["plan"]
    sync.mend()
    assert green(sync.run()).books == {"read": 1, "sent": 1, "accepted": 1}
    assert sync.contact(three[1])["properties"]["points"] == 77
    assert green(sync.run()).books == {}
    seen = "2 of 3 members delivered, that one rejected; delivered by the next run after it was mended"
    proof(f"one customer alone, asked for by its id: {named(fault)}", "Antavo", seen)


def test_unread_customer_is_rejected_anew_when_its_rejection_is_due(sync: Sync, three: list[str]) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run())
    sync.change(*three, score=77)
    withhold(sync, three[1], {"kind": "refused"})
    green(sync.run())
    sync.change(three[0], score=78)
    sync.execute("UPDATE cursor SET at = :at WHERE name = 'customers'", at="2027-01-01 00:00:00")
    sync.execute("UPDATE contact_state SET changed_at = datetime(changed_at, '-2 days') WHERE state = 'rejected'")
    run = sync.run()
    assert rejected(run).keys() == {three[1]}
    assert not run.green, "everything that it read was rejected"


def test_customer_of_whom_antavo_does_not_tell_has_not_left(sync: Sync, three: list[str]) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run())
    withhold(sync, three[1], {"kind": "refused"})
    for _ in range(3):
        sync.change(*three, score=77)
        green(sync.run())
    assert sync.on_list() == set(three)
    assert sync.state(three[1])["absent_run_id"] is None


def test_customer_who_leaves_after_antavo_did_not_tell_of_it_is_taken_off_the_list(
    sync: Sync, three: list[str]
) -> None:
    sync.mapping(strategy="incremental", limits={"max_departed_share": None})
    green(sync.run())
    sync.change(*three, score=77)
    withhold(sync, three[1], {"kind": "refused"})
    green(sync.run())
    sync.leave(three[1], silently=True)
    sync.mend()
    for _ in range(2):
        assert sync.on_list() == set(three)
        green(sync.run(strategy="full"))
    assert sync.on_list() == {three[0], three[2]}


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_details_that_antavo_does_not_give_cost_that_customer_alone(
    sync: Sync, three: list[str], proof: Any, fault: dict[str, Any], reason: str
) -> None:
    sync.mapping(fields=[*FIELDS, EXPIRING])
    withhold_details(sync, three[1], **fault)
    run = green(sync.run())
    assert run.books == {"read": 3, "rejected": 1, "sent": 2, "accepted": 2}
    [(stage, field, why)] = rejected(run).values()
    assert (stage, field) == ("mapping", "points_expiring")
    assert why.startswith(f"Antavo {reason.format('details')}")
    assert sync.received()["contacts"] == 2
    again = green(sync.run())
    assert again.books == {"read": 3, "unchanged": 2, "rejected": 1}
    assert again.rejections == [], "it is remembered"
    sync.mend()
    assert green(sync.run()).books == {"read": 3, "unchanged": 2, "sent": 1, "accepted": 1}
    assert sync.contact(three[1])["properties"]["points_expiring"] == 1
    seen = "2 of 3 members delivered, that one rejected; delivered by the next run after it was mended"
    proof(f"one customer alone, asked for its details: {named(fault)}", "Antavo", seen)


def test_incremental_run_tries_details_again_that_were_refused(sync: Sync, three: list[str]) -> None:
    sync.mapping(strategy="incremental", fields=[*FIELDS, EXPIRING])
    green(sync.run())
    sync.change(*three, score=770)
    withhold_details(sync, three[1])
    assert green(sync.run()).books == {"read": 3, "rejected": 1, "sent": 2, "accepted": 2}
    sync.execute("UPDATE cursor SET at = :at WHERE name = 'customers'", at="2027-01-01 00:00:00")
    quiet = green(sync.run())
    assert (quiet.books, quiet.rejections) == ({}, [])
    sync.mend()
    assert green(sync.run()).books == {"read": 1, "sent": 1, "accepted": 1}
    assert sync.contact(three[1])["properties"]["points_expiring"] == 77


def test_opt_out_of_whom_details_are_refused_goes_alone(sync: Sync, three: list[str]) -> None:
    sync.mapping(fields=[*FIELDS, EXPIRING, NEWSLETTER])
    green(sync.run())
    sync.change(three[1], properties={"newsletter": OUT}, first_name="Zoë")
    withhold_details(sync, three[1])
    run = green(sync.run())
    assert run.books == {"read": 3, "unchanged": 2, "rejected": 1}
    contact = sync.contact(three[1])
    assert (contact["marketing_optin"], contact["firstname"]) == (OUT, "Ann")
    assert sync.on_list() == set(three)
    # Refused again, and remembered: its opt-in does not go, a second opt-out has nothing to say.
    before = sync.received()["received"]
    green(sync.run())
    assert sync.received()["received"] == before
    sync.mend()
    assert green(sync.run()).books == {"read": 3, "unchanged": 2, "sent": 1, "accepted": 1}
    assert sync.contact(three[1])["firstname"] == "Zoë"
    assert sync.contact(three[1])["marketing_optin"] == OUT


def test_details_that_where_reads_are_not_taken_for_empty(sync: Sync, three: list[str]) -> None:
    """Whether the member is outside `where` is not known, unless what is known of it says so."""
    sync.mapping(fields=FIELDS, where={"extensions.expiring_points.total": {"gte": 1}})
    green(sync.run())
    sync.change(*three, first_name="Zoë")
    sync.change(three[2], status="banned")
    for member in three[1:]:
        withhold_details(sync, member)
    run = sync.run()
    assert run.books == {"read": 3, "filtered": 1, "rejected": 1, "sent": 1, "accepted": 1}
    assert rejected(run).keys() == {three[1]}
    assert [field for _, field, _ in rejected(run).values()] == ["extensions.expiring_points.total"]
    assert sync.on_list() == set(three[:2])


def test_chosen_customer_of_whom_antavo_does_not_tell_is_not_called_unknown(sync: Sync, three: list[str]) -> None:
    sync.mapping()
    withhold(sync, three[1], {"kind": "refused"})
    run = green(sync.run(customer_ids=three))
    assert run.books == {"read": 3, "rejected": 1, "sent": 2, "accepted": 2}
    assert "unknown_ids" not in run.facts("gate")
    assert sync.received()["contacts"] == 2


def test_constant_consent_is_not_sent_of_whom_nothing_is_known(sync: Sync, three: list[str]) -> None:
    sync.mapping(fields=[*FIELDS, {"value": OUT, "remote": "marketing_optin"}])
    withhold(sync, three[1], {"kind": "refused"})
    green(sync.run(customer_ids=three))
    assert sync.received()["contacts"] == 2


def test_only_chosen_customer_that_is_refused_makes_the_run_red(sync: Sync, three: list[str]) -> None:
    sync.mapping()
    withhold(sync, three[1], {"kind": "refused"})
    run = sync.run(customer_ids=[three[1]])
    assert not run.green
    run.assert_balanced()
    assert rejected(run).keys() == {three[1]}


def test_server_that_fails_over_everybody_blames_nobody(sync: Sync, three: list[str]) -> None:
    sync.mapping()
    sync.fault("500", api="read", path="/v1/customers/*")
    run = sync.run(customer_ids=three)
    assert isinstance(run.errors["extract[0]"], LookupFailed)
    assert run.rejections == []
    sync.mend()
    assert green(sync.run(again=run, customer_ids=three)).books == {"read": 3, "sent": 3, "accepted": 3}


def test_server_that_refuses_everybody_blames_nobody(sync: Sync) -> None:
    sync.mapping(fields=[*FIELDS, EXPIRING])
    sync.fault("refused", api="loyalty", path="/customers/*")
    run = sync.run()
    assert isinstance(run.errors["extract[0]"], Misconfigured)
    assert "the fault is not in what was asked for" in run.text
    assert run.rejections == []


def test_retry_delivers_whom_antavo_tells_of_again(sync: Sync, three: list[str]) -> None:
    sync.mapping()
    withhold(sync, three[1], {"kind": "refused"})
    first = green(sync.run(customer_ids=three))
    vain = sync.run(retry_run=first.row["id"])
    assert vain.books == {"read": 1, "rejected": 1}
    sync.mend()
    assert green(sync.run(retry_run=first.row["id"])).books == {"read": 1, "sent": 1, "accepted": 1}
    assert sync.contact(three[1])
    assert green(sync.run(retry_run=first.row["id"])).books == {}


def test_reasons_hold_none_of_the_member_and_staging_no_answer(sync: Sync, three: list[str]) -> None:
    sync.mapping()
    withhold(sync, three[1], {"kind": "refused"})
    run = green(sync.run(customer_ids=three))
    manifest = next(sync.staging.rglob("extract.json")).read_text()
    for said in (json.dumps(run.rejections), manifest):
        assert "ann@example.com" not in said


def test_opt_out_event_of_whom_antavo_does_not_tell_wins(sync: Sync, three: list[str]) -> None:
    sync.mapping(strategy="incremental", limits={"max_departed_share": None})
    green(sync.run())
    sync.change(*three, score=77)
    withhold(sync, three[1], {"kind": "refused"})
    sync.leave(three[1])
    run = green(sync.run())
    assert run.row["departed"] == 1
    assert sync.on_list() == {three[0], three[2]}
    assert sync.state(three[1])["state"] == "departed"


def test_customer_with_another_contact_id_is_asked_for_again_until_antavo_tells(sync: Sync, three: list[str]) -> None:
    sync.mapping(strategy="incremental", identity={"id": "properties.member_number"})
    for number, member in enumerate(three):
        sync.change(member, **{"properties.member_number": f"n{number}"})
    green(sync.run())
    sync.change(*three, score=77)
    withhold(sync, three[1], {"kind": "refused"})
    run = green(sync.run())
    assert rejected(run).keys() == {f"antavo:{three[1]}"}
    sync.execute("UPDATE cursor SET at = :at WHERE name = 'customers'", at="2027-01-01 00:00:00")
    assert green(sync.run()).books == {}
    assert sync.state(f"antavo:{three[1]}")["state"] == "rejected", "asked for in vain"
    sync.mend()
    assert green(sync.run()).books == {"read": 1, "sent": 1, "accepted": 1}
    assert sync.contact("n1")["properties"]["points"] == 77
    assert sync.state(f"antavo:{three[1]}")["reason"] == ANSWERED
    assert green(sync.run()).books == {}
    assert green(sync.run(retry_run=run.row["id"])).books == {}


def test_customer_who_is_gone_before_antavo_told_is_asked_for_no_more(sync: Sync, three: list[str]) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run())
    newcomer = sync.member()
    withhold(sync, newcomer, {"kind": "refused"})
    sync.change(three[0], score=78)
    assert rejected(green(sync.run())).keys() == {newcomer}
    sync.mend()
    sync.leave(newcomer)
    green(sync.run())
    assert sync.state(newcomer)["state"] == "filtered"


def test_retry_scans_for_whom_antavo_did_not_tell_of_by_another_contact_id(sync: Sync, three: list[str]) -> None:
    sync.mapping(identity={"id": "properties.member_number"})
    for number, member in enumerate(three):
        sync.change(member, **{"properties.member_number": f"n{number}"})
    withhold(sync, three[1], {"kind": "refused"})
    run = green(sync.run(customer_ids=three))
    assert green(sync.run(retry_run=run.row["id"])).books == {"read": 1, "sent": 1, "accepted": 1}
    assert sync.contact("n1")
    assert green(sync.run(retry_run=run.row["id"])).books == {}
