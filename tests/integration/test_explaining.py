"""One customer, explained now: what Antavo holds, what it became, what Ometria holds, and what the next run does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from ometria_provider.cli.app import app
from ometria_provider.mapping.files import load_mapping
from ometria_provider.operators.explaining import Explained, Explainer
from sync import FIELDS, VALID, Sync
from typer.testing import CliRunner


def explained(sync: Sync, customer: str, name: str = "members") -> Explained:
    mapping = load_mapping(sync.mappings / f"{name}.yaml")
    (found,) = Explainer(sync.ledger, customer, sync.suites).explain([mapping])
    return found


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def member(sync: Sync) -> str:
    """A member whom a run has delivered."""
    sync.mapping()
    added: dict[str, Any] = sync.sandbox.control("members", {"add": [{**VALID, "first_name": "Ann"}]})
    (customer,) = added["added"]
    assert sync.run().green
    return str(customer)


def test_delivered_member_agrees_in_every_field_and_is_unchanged(sync: Sync, member: str) -> None:
    found = explained(sync, member)
    assert (found.fate, found.in_antavo, found.in_ometria) == ("unchanged", True, True)
    assert {row.agrees for row in found.fields} == {True}
    (name,) = [row for row in found.fields if row.remote == "firstname"]
    assert (name.value, name.final, name.held) == ("Ann", "Ann", "Ann")


def test_changed_member_differs_in_that_field_and_goes_next(sync: Sync, member: str) -> None:
    sync.sandbox.control("members", {"change": [member], "set": {"first_name": "Anna"}})
    found = explained(sync, member)
    assert (found.fate, found.differs) == ("send", ("firstname",))
    assert found.reasons == ("The record differs from the one that Ometria acknowledged last.",)
    assert sync.run().books["accepted"] == 1
    assert explained(sync, member).fate == "unchanged"


def test_filtered_and_rejected_members_say_why(sync: Sync, member: str) -> None:
    sync.sandbox.control("members", {"change": [member], "set": {"status": "banned"}})
    found = explained(sync, member)
    assert found.fate == "filtered"
    assert "status" in found.reasons[0]
    sync.sandbox.control("members", {"change": [member], "set": {"status": "active", "mobile_phone": "nonsense"}})
    sync.mapping(fields=[*FIELDS, {"loyalty": "mobile_phone", "remote": "phone_number", "transform": [{"e164": "GB"}]}])
    found = explained(sync, member)
    assert found.fate == "rejected"
    assert found.reasons[0].startswith("phone_number: ")
    sync.run()
    assert explained(sync, member).fate == "remembered"


@pytest.mark.usefixtures("member")
def test_member_whom_ometria_lacks_says_why_at_the_guilty_field_alone(sync: Sync) -> None:
    new = sync.member(mobile_phone="nonsense")
    sync.mapping(fields=[*FIELDS, {"loyalty": "mobile_phone", "remote": "phone_number", "transform": [{"e164": "GB"}]}])
    found = explained(sync, new)
    assert not found.in_ometria
    assert found.in_ometria is False
    assert [row.remote for row in found.fields if row.why] == ["phone_number"]


def test_opt_in_that_is_held_back_says_so_beside_the_field(sync: Sync, member: str) -> None:
    consent = {"loyalty": "properties.newsletter", "remote": "marketing_optin", "transform": ["consent"]}
    sync.mapping(fields=[*FIELDS, consent])
    sync.sandbox.control("members", {"change": [member], "set": {"properties.newsletter": False}})
    assert sync.run().green
    sync.sandbox.control("members", {"change": [member], "set": {"properties.newsletter": True}})
    found = explained(sync, member)
    (row,) = [row for row in found.fields if row.remote == "marketing_optin"]
    assert (row.final, row.held, row.agrees) == ("EXPLICITLY_OPTEDIN", "EXPLICITLY_OPTEDOUT", False)
    assert row.why is not None
    assert "held back" in row.why
    assert any("held back" in reason for reason in found.reasons)


def test_details_are_asked_for_and_the_member_is_unchanged_all_the_same(sync: Sync, member: str) -> None:
    sync.mapping(fields=[*FIELDS, {"loyalty": "extensions.expiring_points.total", "remote": "expiring"}])
    sync.run()
    found = explained(sync, member)
    assert found.fate == "unchanged"
    assert "expiring" in {row.remote for row in found.fields}


def test_member_who_left_antavo_shows_what_ometria_still_holds(sync: Sync, member: str) -> None:
    sync.sandbox.control("members", {"remove": [member]})
    found = explained(sync, member)
    assert (found.fate, found.in_antavo, found.in_ometria) == ("absent", False, True)
    assert "Ann" in [row.held for row in found.fields]


def test_values_are_gone_from_what_others_may_see(sync: Sync, member: str) -> None:
    sync.sandbox.control("members", {"change": [member], "set": {"first_name": "Anna"}})
    seen = explained(sync, member).without_values()
    assert "Ann" not in str(seen)
    assert "ann@" not in str(seen)
    assert seen.differs == ("firstname",)


def test_dead_system_spoils_only_its_own_mapping(sync: Sync, member: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_OMETRIA_DEAD", '{"conn_type": "ometria", "host": "http://127.0.0.1:1", "password": "key"}'
    )
    sync.mapping("others", connections={"ometria": "ometria_dead"})
    result = command("trace", member, "--now", "-o", "json")
    assert result.exit_code == 1
    now = {one["mapping"]: one for one in json.loads(result.stdout)["now"]}
    assert now["members"]["fate"] == "unchanged"
    assert now["others"]["fate"] == "unknown"
    assert "ometria_dead" in now["others"]["problem"]


def test_trace_now_shows_each_field_with_what_ometria_holds(sync: Sync, member: str) -> None:
    sync.sandbox.control("members", {"change": [member], "set": {"first_name": "Anna"}})
    result = command("trace", member, "--now", "--mapping", "members")
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.strip().startswith("first_name")]
    assert line.split()[:5] == ["first_name", '"Anna"', "firstname", '"Ann"', "NO"]
    assert "Now, under members: the next run sends it" in result.stdout


def test_trace_now_of_nobody_is_wrong_and_of_an_unknown_mapping_is_misuse(sync: Sync, member: str) -> None:
    result = command("trace", "nobody", "--now")
    assert result.exit_code == 1
    assert "Antavo knows no customer with this id" in result.stdout
    assert command("trace", member, "--now", "--mapping", "member").exit_code == 2


def test_opt_out_alone_is_sent_and_said_to_be(sync: Sync, member: str) -> None:
    consent = {"loyalty": "properties.newsletter", "remote": "marketing_optin", "transform": ["consent"]}
    sync.mapping(fields=[*FIELDS, consent])
    sync.sandbox.control("members", {"change": [member], "set": {"properties.newsletter": True}})
    assert sync.run().green
    sync.sandbox.control("members", {"change": [member], "set": {"properties.newsletter": False}})
    found = explained(sync, member)
    assert (found.fate, found.reasons) == ("send", ("Its consent differs from what Ometria acknowledged last.",))
