"""Opting out always wins: what of a member's consent Ometria gets, and when (docs/how-to/consent.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ometria_provider.cli.tracing import explain
from ometria_provider.delivery.consent import AFTER_OPT_OUT, AFTER_UNSUBSCRIBE, UNSURE
from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.ledger.trace import trace
from ometria_provider.mapping.files import load_mapping
from ometria_provider.operators.previewing import preview_members
from ometria_provider.report import run_report
from ometria_provider.report_text import render
from sync import FIELDS, Sync
from work import Outcome

IN, OUT = "EXPLICITLY_OPTEDIN", "EXPLICITLY_OPTEDOUT"
ROWS: list[dict[str, Any]] = [
    *FIELDS,
    {"loyalty": "birth_date", "remote": "date_of_birth"},
    {"loyalty": "properties.newsletter", "remote": "marketing_optin"},
    {"loyalty": "properties.newsletter_at", "remote": "timestamp_subscribed"},
]
GROUP = {"marketing_optin", "timestamp_subscribed", "timestamp_unsubscribed", "channels", "@force_optin"}


@pytest.fixture
def sync(sync: Sync) -> Sync:
    """A mapping with consent, and nobody there yet."""
    sync.mapping(fields=ROWS)
    sync.nobody()
    return sync


def join(sync: Sync, newsletter: Any, at: str | None = None, **fields: Any) -> str:
    return sync.member(**{"properties.newsletter": newsletter, "properties.newsletter_at": at}, **fields)


def green(sync: Sync) -> Outcome:
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    return run


def now(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def unsubscribe(sync: Sync, email: str) -> None:
    sync.sandbox.control("unsubscribes", {"email": email})


def state(sync: Sync, member: str) -> dict[str, Any]:
    return sync.query("SELECT * FROM contact_state WHERE contact_id=:id", id=member)[0]


def test_consent_unchanged_record_goes_without_the_group(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member = join(sync, True, "2020-01-01T00:00:00Z")
    green(sync)
    assert wire[-1]["marketing_optin"] == IN
    assert wire[-1]["timestamp_subscribed"] == "2020-01-01T00:00:00+00:00"
    sync.change(member, score=77)
    green(sync)
    assert wire[-1]["properties"]["points"] == 77
    assert not GROUP & wire[-1].keys()
    assert sync.contact(member)["marketing_optin"] == IN, "what is not sent stays as it was"


def test_consent_changed_record_goes_with_the_group(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member = join(sync, True)
    green(sync)
    sync.change(member, **{"properties.newsletter": False})
    run = green(sync)
    assert run.row["sent"] == len(wire) - 1 == 1
    assert (wire[-1]["marketing_optin"], wire[-1]["firstname"]) == (OUT, "Ann")
    assert green(sync).row["sent"] == 0


def test_consent_that_became_empty_is_never_sent_as_null(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member = join(sync, True, "2020-01-01T00:00:00Z")
    green(sync)
    sync.change(member, score=1, **{"properties.newsletter": None, "properties.newsletter_at": ""})
    green(sync)
    assert len(wire) == 2
    assert not GROUP & wire[-1].keys()


def test_consent_that_is_not_mapped_is_never_sent(sync: Sync, wire: list[dict[str, Any]]) -> None:
    sync.mapping()
    join(sync, False)
    green(sync)
    assert len(wire) == 1
    assert not GROUP & wire[0].keys()


def test_misspelt_consent_rejects_that_customer(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member = join(sync, "EXPLICITLY_OPTEDOU")
    run = sync.run()
    assert [(row["contact_id"], row["field"]) for row in run.rejections] == [(member, "marketing_optin")]
    assert wire == []


@pytest.mark.parametrize("force", [False, True])
def test_force_travels_with_an_opt_out_only(sync: Sync, wire: list[dict[str, Any]], force: bool) -> None:
    sync.mapping(fields=ROWS, consent={"force_opt_out": force})
    inside, outside, silent = join(sync, True), join(sync, "no"), join(sync, None)
    green(sync)
    forced = {record["id"]: record.get("@force_optin") for record in wire}
    assert forced == {inside: None, outside: True if force else None, silent: None}


def test_opt_out_arrives_although_the_mapping_rejects_another_field(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member, other = join(sync, True), join(sync, True, email="bob@example.com")
    green(sync)
    sync.change(member, birth_date="0000-00-00", score=99, **{"properties.newsletter": False})
    run = green(sync)
    assert run.books == {"read": 2, "unchanged": 1, "rejected": 1}
    assert sync.contact(member)["marketing_optin"] == OUT
    assert sync.contact(other)["marketing_optin"] == IN
    assert wire[-1] == {
        "@type": "contact", "@collection": "members", "@merge": True,
        "id": member, "email": "ann@example.com", "customer_id": member, "marketing_optin": OUT,
    }  # fmt: skip
    sent = len(wire)
    green(sync)
    assert len(wire) == sent, "once is enough"
    sync.change(member, birth_date="1980-01-31")
    green(sync)
    assert wire[-1]["properties"]["points"] == 99
    assert not GROUP & wire[-1].keys(), "Ometria has the opt-out already"


def test_opt_out_arrives_although_a_rule_rejects_the_record(sync: Sync, wire: list[dict[str, Any]]) -> None:
    sync.suite(
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "lastname"}},
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "email", "regex": "@"}},
    )
    members = [join(sync, False, last_name=None), join(sync, False, email="ann at example"), join(sync, True)]
    run = green(sync)
    assert run.books == {"read": 3, "rejected": 2, "accepted": 1, "sent": 1}
    alone = {record["id"]: record for record in wire if record["id"] != members[2]}
    assert alone[members[0]].keys() == {
        "@type",
        "@collection",
        "@merge",
        "id",
        "email",
        "customer_id",
        "marketing_optin",
    }
    assert "email" not in alone[members[1]], "the e-mail is what is wrong with it"
    assert all(sync.contact(member)["marketing_optin"] == OUT for member in members[:2])


def test_opt_out_arrives_although_the_record_is_too_large(sync: Sync) -> None:
    member = join(sync, False, first_name="x" * 70_000)
    run = sync.run()
    assert [row["stage"] for row in run.rejections] == ["mapping"]
    assert sync.contact(member)["marketing_optin"] == OUT


def test_opt_out_of_somebody_without_a_usable_id_says_that_it_did_not_go(
    sync: Sync, wire: list[dict[str, Any]]
) -> None:
    sync.mapping(fields=ROWS, identity={"id": "properties.key"})
    sync.member(**{"properties.key": "x" * 300, "properties.newsletter": False})
    run = sync.run()
    assert wire == []
    assert {row["field"]: row["reason"] for row in run.rejections}["marketing_optin"].startswith("opts out, but")


def test_opt_in_after_our_own_opt_out_waits_for_a_newer_consent_time(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member = join(sync, False)
    green(sync)
    sync.change(member, score=5, **{"properties.newsletter": True, "properties.newsletter_at": now(hours=-1)})
    run = green(sync)
    assert wire[-1]["properties"]["points"] == 5
    assert not GROUP & wire[-1].keys()
    assert list(run.facts("map")["held_back"].values()) == [{"members": 1, "first_ids": [member]}]
    assert "held back" in state(sync, member)["held"]
    assert AFTER_OPT_OUT in render(run_report(sync.ledger, run.row["id"]))
    told = explain(trace(sync.ledger, member))
    assert f"consent      {AFTER_OPT_OUT}" in told
    assert "opted out    sent" in told
    again = green(sync)
    assert again.facts("map")["held_back"], "looked at again in each run"
    assert again.row["sent"] == 0
    assert sync.contact(member)["marketing_optin"] == OUT
    sync.change(member, **{"properties.newsletter_at": now(seconds=1)})
    run = green(sync)
    assert not run.facts("map")["held_back"]
    assert sync.contact(member)["marketing_optin"] == IN
    assert state(sync, member)["held"] is None


def test_opt_in_after_an_unsubscribe_in_ometria_is_held_back(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member = join(sync, None, email="Ann@Example.com")
    green(sync)
    unsubscribe(sync, "ann@EXAMPLE.com")
    sync.change(member, **{"properties.newsletter": True, "properties.newsletter_at": now(hours=-1)})
    run = green(sync)
    (previewed,) = preview_members(
        load_mapping(sync.mappings / "members.yaml"), AntavoHook().sample(1), today=datetime.now(UTC).date(),
        ledger=sync.ledger,
    )  # fmt: skip
    assert previewed.held == AFTER_UNSUBSCRIBE
    assert previewed.record is not None
    assert not GROUP & previewed.record.keys()
    assert not GROUP & wire[-1].keys()
    assert list(run.facts("map")["held_back"]) == [AFTER_UNSUBSCRIBE]
    assert state(sync, member)["held"] == AFTER_UNSUBSCRIBE
    sync.change(member, **{"properties.newsletter_at": now(seconds=1)})
    green(sync)
    assert wire[-1]["marketing_optin"] == IN


def test_unsubscribe_of_an_earlier_email_holds_back_the_opt_in(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member = join(sync, None)
    green(sync)
    unsubscribe(sync, "ann@example.com")
    sync.change(member, email="ann@example.org", **{"properties.newsletter": True})
    green(sync)
    assert wire[-1]["email"] == "ann@example.org"
    assert not GROUP & wire[-1].keys()


def test_unsubscribe_of_a_contact_without_customer_id_is_found_by_its_profile(
    sync: Sync, wire: list[dict[str, Any]]
) -> None:
    sync.mapping(fields=ROWS, identity={"customer_id": None})
    member = join(sync, None)
    green(sync)
    unsubscribe(sync, "ann@example.com")
    sync.change(member, email="ann@example.org", **{"properties.newsletter": True})
    green(sync)
    assert not GROUP & wire[-1].keys()


def test_opt_out_lost_with_a_record_that_ometria_rejects_later_goes_alone_in_the_next_run(
    sync: Sync, wire: list[dict[str, Any]]
) -> None:
    join(sync, True, email="bob@example.com")
    member = join(sync, True)
    green(sync)
    sync.change(member, **{"properties.newsletter": False})
    sync.fault("late_error", contacts=[member], field="lastname")
    run = sync.run()
    run.assert_balanced()
    assert [(row["contact_id"], row["stage"]) for row in run.rejections] == [(member, "ometria")]
    assert sync.contact(member)["marketing_optin"] == IN, "it was lost with the rest"
    sync.mend()
    green(sync)
    assert "lastname" not in wire[-1]
    assert sync.contact(member)["marketing_optin"] == OUT
    sync.change(member, score=5, **{"properties.newsletter": True})
    green(sync)
    assert sync.contact(member)["marketing_optin"] == OUT


def test_opt_out_that_ometria_refuses_alone_too_is_a_rejection_and_counts_once(
    sync: Sync, wire: list[dict[str, Any]]
) -> None:
    join(sync, True, email="bob@example.com")
    member = join(sync, False, birth_date="0000-00-00")
    sync.fault("poison", contacts=[member], status=400)
    run = green(sync)
    assert run.books == {"read": 2, "rejected": 1, "accepted": 1, "sent": 1}
    assert [(row["stage"], row["field"]) for row in run.rejections] == [
        ("mapping", "date_of_birth"), ("push", "marketing_optin"),
    ]  # fmt: skip
    sync.mend()
    green(sync)
    assert sync.contact(member)["marketing_optin"] == OUT, "looked at again, though the member is not due"


def test_unsubscribe_of_the_same_person_elsewhere_holds_back_the_opt_in(sync: Sync, wire: list[dict[str, Any]]) -> None:
    sync.mapping("shop", fields=ROWS[1:], identity={"email": "properties.mail"})
    member = join(sync, None, **{"properties.mail": "shop@example.com"})
    assert sync.run("shop").green
    unsubscribe(sync, "shop@example.com")
    sync.change(member, **{"properties.newsletter": True})
    green(sync)
    assert wire[-1]["email"] == "ann@example.com"
    assert not GROUP & wire[-1].keys(), "the customer id is the same"


def test_unsubscribes_are_read_since_the_last_run_and_their_profiles_once(sync: Sync) -> None:
    join(sync, True)
    green(sync)
    unsubscribe(sync, "ann@example.com")
    green(sync)
    green(sync)
    requests = sync.stats()["requests"]
    assert sum(requests["ometria GET /v2/unsubscribes"].values()) == 4, "by each plan, and by the one push"
    assert sum(count for path, counts in requests.items() if "profiles" in path for count in counts.values()) == 1
    assert sync.query("SELECT account, collection, name FROM cursor WHERE name='unsubscribes'") == [
        {"account": "ometria_default", "collection": "", "name": "unsubscribes"}
    ]
    rows = sync.query("SELECT * FROM unsubscribe")
    assert len(rows) == 4, "e-mail, customer id, contact and profile"
    assert b"ann" not in b"".join(row["who"] for row in rows)


def test_unsubscribe_between_map_and_push_holds_the_opt_in_back(sync: Sync, wire: list[dict[str, Any]]) -> None:
    member = join(sync, None)
    green(sync)
    sync.change(member, **{"properties.newsletter": True})
    run = sync.run_until_push()
    unsubscribe(sync, "ann@example.com")
    pushed = sync.clear(run, "push", "reconcile")
    assert pushed.green, pushed.text
    assert not GROUP & wire[-1].keys()
    assert list(pushed.facts("push")["held_back"]) == [AFTER_UNSUBSCRIBE]


def test_unsubscribes_that_cannot_be_read_hold_opt_ins_back_and_nothing_else(
    sync: Sync, wire: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: OmetriaHook, since: Any) -> Any:
        raise Misconfigured("API key is not authorised to access this resource")

    with monkeypatch.context() as patch:
        patch.setattr(OmetriaHook, "unsubscribes", refuse)
        members = [join(sync, True), join(sync, False, email="bob@example.com")]
        green(sync)
    assert {record["id"]: record.get("marketing_optin") for record in wire} == {members[0]: None, members[1]: OUT}
    green(sync)
    assert wire[-1]["marketing_optin"] == IN, "as soon as it is known that nobody unsubscribed"


def test_unsubscribes_too_many_to_look_up_hold_opt_ins_back_until_they_are(
    sync: Sync, wire: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    join(sync, None)
    green(sync)
    unsubscribe(sync, "ann@example.com")
    other = join(sync, True, email="bob@example.com")
    with monkeypatch.context() as patch:
        patch.setattr("ometria_provider.operators.unsubscribes.PATIENCE", 0)
        assert list(green(sync).facts("map")["held_back"]) == [UNSURE]
    assert (wire[-1]["id"], GROUP & wire[-1].keys()) == (other, set())
    assert not green(sync).facts("map")["held_back"]
    assert sync.contact(other)["marketing_optin"] == IN


def test_opt_in_by_status_is_held_back(sync: Sync, wire: list[dict[str, Any]]) -> None:
    sync.mapping(fields=ROWS, where={"status": {"exists": True}})
    join(sync, True, status="banned")
    join(sync, False, status="Suspended")
    green(sync)
    assert [record.get("marketing_optin") for record in wire] in ([None, OUT], [OUT, None])


def test_cleared_push_sends_no_opt_in_that_a_later_opt_out_has_overtaken(
    sync: Sync, wire: list[dict[str, Any]]
) -> None:
    member = join(sync, True)
    join(sync, None, email="bob@example.com")
    old = sync.run_until_push()
    sync.change(member, birth_date="0000-00-00", **{"properties.newsletter": False})
    green(sync)
    assert sync.contact(member)["marketing_optin"] == OUT
    sync.clear(old, "push", "reconcile")
    assert sync.contact(member)["marketing_optin"] == OUT
    assert [record["marketing_optin"] for record in wire if record["id"] == member] == [OUT]


def test_opt_out_whose_answer_got_lost_is_known_all_the_same(sync: Sync) -> None:
    member = join(sync, None)
    green(sync)
    sync.change(member, **{"properties.newsletter": False})
    sync.fault("reset_after", api="ometria", path="/v2/push")
    assert not sync.run().green
    sync.mend()
    assert sync.contact(member)["marketing_optin"] == OUT, "Ometria stored it"
    sync.change(member, **{"properties.newsletter": True})
    green(sync)
    assert sync.contact(member)["marketing_optin"] == OUT


def test_opt_out_that_ometria_refuses_with_the_record_goes_alone(
    sync: Sync, wire: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ometria_provider.exceptions import RecordRejected

    original = OmetriaHook.push

    def push(self: OmetriaHook, body: bytes) -> Any:
        if b'"firstname":"Bad"' in body:
            raise RecordRejected("not acceptable", status=400, reason="not acceptable")
        return original(self, body)

    monkeypatch.setattr(OmetriaHook, "push", push)
    join(sync, True, email="bob@example.com")
    member = join(sync, False, first_name="Bad")
    run = green(sync)
    assert run.books == {"read": 2, "rejected": 1, "accepted": 1, "sent": 1}
    assert sync.contact(member)["marketing_optin"] == OUT
    sent = len(wire)
    cleared = sync.clear(run, "push", "reconcile")
    cleared.assert_balanced()
    assert len(wire) == sent
