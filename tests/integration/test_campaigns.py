"""What becomes of the events that wait for workflows: told by what Ometria received."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from campaign import Campaign
from ometria_provider.exceptions import Halted, Misconfigured, Retryable
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.ledger.history import find_run
from ometria_provider.operators import asking, permission, preparing
from ometria_provider.operators.deliver import complaint
from ometria_provider.operators.run import RunFailed
from ometria_provider.workflows.records import custom_event_id
from sync import FIELDS, Sync


@pytest.fixture
def campaign(sync: Sync) -> Campaign:
    sync.mapping()
    return Campaign(sync)


CONSENT = [
    *FIELDS,
    {"loyalty": "properties.newsletter", "remote": "marketing_optin", "transform": ["consent"]},
]


def test_claim_of_a_member_whom_ometria_knows_starts_the_campaign_once(campaign: Campaign) -> None:
    campaign.workflow()
    member = campaign.sync.member(score=250)
    assert campaign.sync.run().green
    pushed = campaign.sync.received()["received"]
    event = campaign.happens(member)
    tally = campaign.deliver()
    assert complaint(tally) is None
    assert campaign.fate(event) == ("acknowledged", None)
    (sent,) = campaign.events()
    assert sent["event_type"] == "claimed"
    assert sent["identity_account_id"] == member
    assert sent["properties"]["balance"] == 250
    assert campaign.sync.received()["received"] == pushed, "the contact is known: nobody pushes it again"
    assert campaign.deliver().states == Counter()
    assert campaign.received() == {"stored": 1, "received": 1, "most_for_one": 1}


def test_custom_event_names_the_contact_by_the_address_that_its_mapping_sends(campaign: Campaign) -> None:
    campaign.workflow()
    member = campaign.sync.member(email="Bea@Example.com")
    campaign.happens(member)
    campaign.deliver()
    (sent,) = campaign.events()
    assert sent["identity_email"] == campaign.sync.contact(member)["email"] == "bea@example.com"


def test_two_workflows_for_one_event_send_two_custom_events(campaign: Campaign) -> None:
    campaign.workflow("survey", event_type="asked")
    campaign.workflow()
    event = campaign.happens(campaign.sync.member())
    assert campaign.deliver().states["acknowledged"] == 2
    assert campaign.fate(event, "survey")[0] == campaign.fate(event, "thanks")[0] == "acknowledged"
    assert {sent["event_type"] for sent in campaign.events()} == {"asked", "claimed"}
    assert len({sent["id"] for sent in campaign.events()}) == 2


def test_contact_that_ometria_lacks_is_pushed_first_through_its_mapping(
    campaign: Campaign, wire: list[dict[str, Any]]
) -> None:
    campaign.workflow()
    member = campaign.sync.member()
    event = campaign.happens(member)
    tally = campaign.deliver()
    assert [record["@type"] for record in wire] == ["contact", "custom_event"]
    assert campaign.fate(event) == ("acknowledged", None)
    assert tally.contacts == 1
    assert campaign.sync.on_list() == {member}
    assert campaign.sync.state(member)["fingerprint"]
    (run,) = campaign.sync.query("SELECT state, read, accepted, pending FROM sync_run")
    assert run == {"state": "succeeded", "read": 1, "accepted": 1, "pending": 0}
    assert not list(campaign.sync.staging.rglob("*.parquet")), "it holds members' data, and nobody needs it any more"


def test_contact_pushed_first_is_no_news_to_the_next_contact_sync(campaign: Campaign) -> None:
    campaign.workflow()
    member = campaign.sync.member()
    campaign.happens(member)
    campaign.deliver()
    run = campaign.sync.run()
    assert run.green, run.text
    assert campaign.sync.sandbox.control(f"contacts/members/{member}")["received"] == 1
    assert campaign.sync.state(member)["state"] == "accepted"


def test_run_that_pushed_contacts_first_is_no_mappings_latest(campaign: Campaign) -> None:
    campaign.workflow()
    run = campaign.sync.run()
    campaign.happens(campaign.sync.member())
    assert campaign.deliver().contacts == 1
    assert find_run(campaign.sync.ledger, "members:latest") == run.row["id"]
    assert len(campaign.sync.query("SELECT id FROM sync_run")) == 2


def test_contact_that_was_refused_when_it_was_pushed_first_is_retried_by_its_mapping(campaign: Campaign) -> None:
    campaign.workflow()
    member = campaign.sync.member()
    campaign.sync.fault("poison", api="ometria", path="/v2/push", contacts=[member], status=400)
    campaign.happens(member)
    campaign.deliver()
    (first,) = campaign.sync.query("SELECT id, run_id FROM sync_run")
    campaign.sync.mend()
    retry = campaign.sync.run(retry_run=first["id"])
    assert retry.green, retry.text
    assert (retry.row["retry_of"], retry.row["accepted"]) == (first["id"], 1)
    assert campaign.sync.contact(member)


def test_event_whose_contact_is_refused_is_rejected_and_others_go_on(campaign: Campaign) -> None:
    campaign.workflow()
    bad, good = campaign.sync.member(), campaign.sync.member(email="bea@example.com")
    campaign.sync.fault("poison", api="ometria", path="/v2/push", contacts=[bad], status=400)
    events = campaign.happens(bad), campaign.happens(good)
    tally = campaign.deliver()
    state, reason = campaign.fate(events[0])
    assert state == "rejected"
    assert "its contact was not delivered" in (reason or "")
    assert campaign.fate(events[1]) == ("acknowledged", None)
    assert complaint(tally) is None
    assert [sent["identity_account_id"] for sent in campaign.events()] == [good]


def test_without_a_contact_mapping_nobody_pushes_the_contact(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None)
    event = campaign.happens(campaign.sync.member())
    campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged"
    assert campaign.sync.received()["received"] == 0


def test_customer_whom_antavo_does_not_know_is_skipped_transactional_or_not(campaign: Campaign) -> None:
    campaign.workflow()
    campaign.workflow("receipt", event_type="receipt", transactional=True)
    event = campaign.happens("nobody")
    tally = campaign.deliver()
    for workflow in ("thanks", "receipt"):
        assert campaign.fate(event, workflow) == ("skipped", "Antavo does not know the customer")
    assert complaint(tally) is None, "that leaves the run green"
    assert campaign.received()["received"] == 0


def test_deleted_reward_is_skipped_and_an_event_of_another_goes(campaign: Campaign) -> None:
    campaign.workflow()
    member, (gone, there) = campaign.sync.member(), campaign.rewards[:2]
    campaign.sync.sandbox.control("rewards", {"delete": [gone]})
    events = campaign.happens(member, gone), campaign.happens(member, there)
    tally = campaign.deliver()
    assert campaign.fate(events[0]) == ("skipped", "Antavo does not know the reward")
    assert campaign.fate(events[1])[0] == "acknowledged"
    assert complaint(tally) is None


def test_event_too_old_is_expired_and_costs_no_request(campaign: Campaign) -> None:
    campaign.workflow(expires_after="PT1H")
    event = campaign.happens(campaign.sync.member(), timestamp=(datetime.now(UTC) - timedelta(hours=2)).isoformat())
    campaign.deliver()
    state, reason = campaign.fate(event)
    assert state == "expired"
    assert "expires_after" in (reason or "")
    assert campaign.requests("customers") == 0


def test_event_that_the_filter_leaves_out_costs_no_request(campaign: Campaign) -> None:
    campaign.workflow(where={"event.points": {"gte": 500}})
    event = campaign.happens(campaign.sync.member())
    campaign.deliver()
    state, reason = campaign.fate(event)
    assert state == "filtered"
    assert "event.points" in (reason or "")
    assert campaign.requests("customers") == 0


def test_workflow_file_that_another_machine_has_already_keeps_its_events(campaign: Campaign) -> None:
    campaign.workflow("other", event_type="other")
    campaign.workflow()
    event = campaign.happens(campaign.sync.member())
    here = (campaign.folder / "thanks.yaml").rename(campaign.folder / "thanks.later")
    assert complaint(campaign.deliver()) is None
    assert campaign.fate(event)[0] == "waiting"
    here.rename(campaign.folder / "thanks.yaml")
    campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged"


def test_workflow_file_that_cannot_be_read_keeps_its_events(campaign: Campaign) -> None:
    campaign.workflow()
    event = campaign.happens(campaign.sync.member())
    (campaign.folder / "thanks.yaml").unlink()
    campaign.deliver(unreadable=["thanks"])
    assert campaign.fate(event)[0] == "waiting"


def test_customer_and_reward_of_many_events_are_asked_for_once(campaign: Campaign) -> None:
    campaign.workflow()
    member = campaign.sync.member()
    assert campaign.sync.run().green
    campaign.sync.sandbox.control("reset", {"what": ["stats"]})
    for _ in range(5):
        campaign.happens(member)
    assert campaign.deliver().states["acknowledged"] == 5
    assert campaign.requests("/customers/") == 1
    assert campaign.requests("reward") == 2, "the older call and the newer one"
    campaign.happens(member)
    campaign.deliver()
    assert campaign.requests("reward") == 2, "the ledger remembers it for the next runs"


# Who may be mailed


def test_member_who_opted_out_starts_no_campaign_unless_it_is_transactional(campaign: Campaign) -> None:
    campaign.sync.mapping(fields=CONSENT)
    campaign.workflow()
    campaign.workflow("receipt", event_type="receipt", transactional=True)
    member = campaign.sync.member(properties={"newsletter": False})
    assert campaign.sync.run().green
    assert campaign.sync.contact(member)["marketing_optin"] == "EXPLICITLY_OPTEDOUT"
    event = campaign.happens(member)
    campaign.deliver()
    state, reason = campaign.fate(event)
    assert state == "skipped"
    assert "opted out" in (reason or "")
    assert campaign.fate(event, "receipt") == ("acknowledged", None)
    assert [sent["event_type"] for sent in campaign.events()] == ["receipt"]


def test_opt_out_after_the_claim_counts_before_it_is_sent(campaign: Campaign) -> None:
    campaign.sync.mapping(fields=CONSENT)
    campaign.workflow()
    member = campaign.sync.member(properties={"newsletter": True})
    assert campaign.sync.run().green
    event = campaign.happens(member)
    campaign.sync.change(member, **{"properties.newsletter": False})
    campaign.deliver()
    assert campaign.fate(event)[0] == "skipped"
    assert campaign.received()["received"] == 0


@pytest.mark.parametrize("mapping", ["members", None])
def test_member_who_unsubscribed_in_ometria_a_moment_ago_starts_no_campaign(
    campaign: Campaign, mapping: str | None
) -> None:
    campaign.workflow(contact_mapping=mapping)
    campaign.workflow("receipt", event_type="receipt", transactional=True, contact_mapping=mapping)
    member = campaign.sync.member(email="cleo@example.com")
    assert campaign.sync.run().green
    event = campaign.happens(member)
    campaign.sync.sandbox.control("unsubscribes", {"email": "cleo@example.com"})
    campaign.deliver()
    assert campaign.fate(event) == ("skipped", "unsubscribed in Ometria")
    assert campaign.fate(event, "receipt")[0] == "acknowledged"


def test_opted_out_member_of_a_workflow_without_a_mapping_starts_none(campaign: Campaign) -> None:
    campaign.sync.mapping(fields=CONSENT)
    campaign.workflow(contact_mapping=None)
    member = campaign.sync.member(properties={"newsletter": False})
    assert campaign.sync.run().green
    event = campaign.happens(member)
    campaign.deliver()
    assert campaign.fate(event)[0] == "skipped"


def test_departed_member_starts_none_and_a_transactional_one_puts_it_on_no_list(campaign: Campaign) -> None:
    campaign.workflow()
    campaign.workflow("receipt", event_type="receipt", transactional=True)
    member = campaign.sync.member()
    assert campaign.sync.run().green
    campaign.sync.change(member, status="banned")
    assert campaign.sync.run().green
    assert campaign.sync.state(member)["state"] == "departed"
    event = campaign.happens(member)
    campaign.deliver()
    state, reason = campaign.fate(event)
    assert state == "skipped"
    assert "departed" in (reason or "")
    assert campaign.fate(event, "receipt")[0] == "acknowledged"
    assert member not in campaign.sync.on_list()
    assert campaign.sync.state(member)["state"] == "departed"


def test_transactional_mail_brings_somebody_outside_the_where_to_ometria_on_no_list(campaign: Campaign) -> None:
    campaign.workflow()
    campaign.workflow("receipt", event_type="receipt", transactional=True)
    member = campaign.sync.member(status="banned")
    event = campaign.happens(member)
    campaign.deliver()
    state, reason = campaign.fate(event)
    assert state == "skipped"
    assert "where" in (reason or "")
    assert campaign.fate(event, "receipt")[0] == "acknowledged"
    assert campaign.sync.contact(member)["id"] == member
    assert campaign.sync.on_list() == set()
    assert campaign.sync.state(member)["state"] == "filtered"
    # It is there now: nobody pushes it again, and no contact sync takes it for one of the list's.
    campaign.happens(member)
    campaign.deliver()
    assert campaign.sync.sandbox.control(f"contacts/members/{member}")["received"] == 1
    run = campaign.sync.run()
    assert run.green, run.text
    assert run.row["departed"] == 0


def test_unsubscribes_that_cannot_be_read_keep_marketing_waiting_and_nothing_else(campaign: Campaign) -> None:
    campaign.workflow()
    campaign.workflow("receipt", event_type="receipt", transactional=True)
    event = campaign.happens(campaign.sync.member())
    campaign.sync.fault("500", api="ometria", path="/v2/unsubscribes")
    tally = campaign.deliver()
    assert campaign.fate(event)[0] == "waiting"
    assert campaign.fate(event, "receipt")[0] == "acknowledged"
    assert isinstance(complaint(tally), Retryable)
    campaign.sync.mend()
    campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged"


def test_mapping_of_another_ometria_account_says_nothing_of_who_unsubscribed(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OMETRIA_OTHER", os.environ["AIRFLOW_CONN_OMETRIA_DEFAULT"])
    campaign.sync.mapping("members", connections={"ometria": "ometria_other"})
    campaign.workflow()
    member = campaign.sync.member(email="cleo@example.com")
    campaign.sync.sandbox.control("unsubscribes", {"email": "cleo@example.com"})
    event = campaign.happens(member)
    tally = campaign.deliver()
    assert isinstance(complaint(tally), Misconfigured)
    assert "ometria_other" in str(complaint(tally))
    assert campaign.fate(event)[0] == "waiting"
    assert campaign.received()["received"] == 0


def test_broken_mapping_of_other_accounts_keeps_no_event(campaign: Campaign) -> None:
    campaign.sync.mapping("elsewhere", connections={"ometria": "ometria_other"}, nonsense=1)
    campaign.sync.file("notes", "").rename(campaign.sync.mappings / "notes.yml")
    campaign.workflow(contact_mapping=None)
    event = campaign.happens(campaign.sync.member())
    assert complaint(campaign.deliver()) is None
    assert campaign.fate(event)[0] == "acknowledged"


def test_member_who_unsubscribes_while_a_long_run_is_at_it_starts_no_campaign(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "PAGE", 1)
    monkeypatch.setattr(permission, "UNSUBSCRIBES_AGE", 0)
    campaign.workflow()
    first, second = campaign.sync.member(), campaign.sync.member(email="cleo@example.com")
    assert campaign.sync.run().green
    events = campaign.happens(first), campaign.happens(second)
    prepare = preparing.Preparing._prepare

    def then_unsubscribe(self: Any, rows: Any) -> Any:
        ready = prepare(self, rows)
        monkeypatch.setattr(preparing.Preparing, "_prepare", prepare)
        campaign.sync.sandbox.control("unsubscribes", {"email": "cleo@example.com"})
        return ready

    monkeypatch.setattr(preparing.Preparing, "_prepare", then_unsubscribe)
    campaign.deliver()
    assert [campaign.fate(event)[0] for event in events] == ["acknowledged", "skipped"]


def once_ready(monkeypatch: pytest.MonkeyPatch, then: Callable[[], Any]) -> None:
    """Let something happen between the first page's being made ready and its being sent."""
    prepare = preparing.Preparing._prepare

    def prepared(self: Any, rows: Any) -> Any:
        ready = prepare(self, rows)
        monkeypatch.setattr(preparing.Preparing, "_prepare", prepare)
        then()
        return ready

    monkeypatch.setattr(preparing.Preparing, "_prepare", prepared)


@pytest.mark.parametrize("mapping", ["members", None])
def test_opt_out_that_was_sent_since_the_event_was_made_ready_wins(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, mapping: str | None
) -> None:
    campaign.sync.mapping(fields=CONSENT)
    campaign.workflow(contact_mapping=mapping)
    campaign.workflow("receipt", event_type="receipt", contact_mapping=mapping, transactional=True)
    out, other = (campaign.sync.member(properties={"newsletter": True}) for _ in range(2))
    assert campaign.sync.run().green
    events = campaign.happens(out), campaign.happens(other)

    def opts_out() -> None:
        campaign.sync.change(out, **{"properties.newsletter": False})
        assert campaign.sync.run().green

    once_ready(monkeypatch, opts_out)
    tally = campaign.deliver()
    assert campaign.fate(events[0]) == ("skipped", "opted out: the consent last sent was an opt-out")
    assert campaign.fate(events[0], "receipt")[0] == campaign.fate(events[1])[0] == "acknowledged"
    assert tally.states == {"skipped": 1, "acknowledged": 3}
    assert len(campaign.events()) == 3


def test_member_who_departed_or_unsubscribed_since_the_event_was_made_ready_starts_none(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.sync.mapping(fields=CONSENT)
    campaign.workflow()
    campaign.workflow("work", identity={"identity_email": "customer.properties.work_email"})
    left = campaign.sync.member()
    out = campaign.sync.member(email="bea@example.com", properties={"work_email": "cleo@example.com"})
    assert campaign.sync.run().green
    events = campaign.happens(left), campaign.happens(out)

    def refuse() -> None:
        campaign.sync.change(left, status="banned")
        campaign.sync.sandbox.control("unsubscribes", {"email": "cleo@example.com"})
        assert campaign.sync.run().green

    once_ready(monkeypatch, refuse)
    campaign.deliver()
    assert "departed" in str(campaign.fate(events[0])[1])
    assert campaign.fate(events[1], "work") == ("skipped", "unsubscribed in Ometria")
    assert campaign.fate(events[1])[0] == "acknowledged", "that names another address"


def test_unsubscribe_of_the_address_that_the_event_names_counts_though_the_contact_has_another(
    campaign: Campaign,
) -> None:
    campaign.workflow(identity={"identity_email": "customer.properties.work_email", "identity_account_id": None})
    member = campaign.sync.member(email="bea@example.com", properties={"work_email": "cleo@example.com"})
    other = campaign.sync.member(email="dan@example.com", properties={"work_email": "dan@work.example.com"})
    campaign.sync.sandbox.control("unsubscribes", {"email": "cleo@example.com"})
    events = campaign.happens(member), campaign.happens(other)
    campaign.deliver()
    assert campaign.fate(events[0]) == ("skipped", "unsubscribed in Ometria")
    assert campaign.fate(events[1])[0] == "acknowledged"


# Servers that fail


def test_failing_rewards_call_keeps_its_events_waiting_and_no_others(campaign: Campaign) -> None:
    campaign.workflow()
    campaign.workflow("plain", event_type="plain", payload=[{"loyalty": "event.points", "remote": "points"}])
    event = campaign.happens(campaign.sync.member())
    campaign.sync.fault("500", api="antavo", path="*/rewar*")
    tally = campaign.deliver()
    state, reason = campaign.fate(event)
    assert (state, campaign.fate(event, "plain")[0]) == ("waiting", "acknowledged")
    assert "500" in (reason or "")
    assert isinstance(complaint(tally), Retryable)
    campaign.sync.mend()
    assert complaint(campaign.deliver()) is None
    assert campaign.fate(event)[0] == "acknowledged"
    assert campaign.received() == {"stored": 2, "received": 2, "most_for_one": 1}


def test_lookup_of_one_customer_that_fails_keeps_only_its_events(campaign: Campaign) -> None:
    campaign.workflow()
    bad, good = campaign.sync.member(), campaign.sync.member(email="bea@example.com")
    events = campaign.happens(bad), campaign.happens(good)
    campaign.sync.fault("500", api="antavo", path=f"/v1/customers/{bad}")
    campaign.deliver()
    assert [campaign.fate(event)[0] for event in events] == ["waiting", "acknowledged"]


@pytest.mark.parametrize(("path", "what"), [("/v1/customers/{}", "customer"), ("/rewards/{}", "reward")])
def test_lookup_that_antavo_refuses_rejects_its_own_events_and_no_others(
    campaign: Campaign, path: str, what: str
) -> None:
    campaign.workflow()
    bad, good = campaign.sync.member(), campaign.sync.member(email="bea@example.com")
    events = campaign.happens(bad, campaign.rewards[0]), campaign.happens(good, campaign.rewards[1])
    asked = path.format(bad if what == "customer" else campaign.rewards[0])
    campaign.sync.fault("refused", api="antavo", path=asked, status=422)
    assert complaint(campaign.deliver()) is None
    assert campaign.fate(events[0]) == ("rejected", f"Antavo refuses to give the {what}: 422 (0: switched-on refusal)")
    assert campaign.fate(events[1])[0] == "acknowledged"


def test_lookups_that_fail_again_and_again_do_not_starve_a_new_event(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "FIRST_WAIT", 0)
    monkeypatch.setattr(asking, "ENOUGH", 3)
    monkeypatch.setattr(AntavoHook, "in_flight", 1)
    campaign.workflow(contact_mapping=None)
    bad = [campaign.sync.member() for _ in range(4)]
    for member in bad:
        campaign.happens(member)
        campaign.sync.fault("500", api="antavo", path=f"/v1/customers/{member}")
    assert campaign.deliver().states == {"waiting": 4}
    event = campaign.happens(campaign.sync.member())
    assert campaign.deliver().states == {"waiting": 4, "acknowledged": 1}
    assert campaign.fate(event)[0] == "acknowledged"


def test_event_that_waits_behind_failing_lookups_comes_before_them_in_a_later_run(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "FIRST_WAIT", 0)
    monkeypatch.setattr(asking, "ENOUGH", 3)
    monkeypatch.setattr(AntavoHook, "in_flight", 1)
    campaign.workflow(contact_mapping=None)
    for _ in range(4):
        member = campaign.sync.member()
        campaign.happens(member)
        campaign.sync.fault("500", api="antavo", path=f"/v1/customers/{member}")
    event = campaign.happens(campaign.sync.member())
    assert campaign.deliver().states == {"waiting": 5}
    runs = range(30)  # it is among the first three of five with a chance of 60 % each time
    assert any(campaign.deliver().states["acknowledged"] for _ in runs)
    assert campaign.fate(event)[0] == "acknowledged"


def test_refused_key_keeps_everything_waiting_and_is_red_at_once(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None, transactional=True)
    event = campaign.happens(campaign.sync.member())
    campaign.sync.connect(ometria={"password": "wrong"})
    tally = campaign.deliver()
    assert campaign.fate(event)[0] == "waiting"
    assert isinstance(complaint(tally), Misconfigured)


def test_everything_rejected_is_red(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None)
    campaign.happens(campaign.sync.member(), timestamp=None)
    assert isinstance(complaint(campaign.deliver()), RunFailed)


@pytest.mark.parametrize("kind", ["500", "429", "reset_before", "reset_after"])
def test_faults_of_one_request_in_ten_lose_no_event(campaign: Campaign, kind: str) -> None:
    campaign.workflow(contact_mapping=None, transactional=True, payload=[])
    member = campaign.sync.member()
    events = [{**raw(member), "id": str(number)} for number in range(2_000)]
    campaign.put(events)
    campaign.sync.fault(kind, api="ometria", path="/v2/push", probability=0.1)
    for _ in range(3):
        campaign.deliver()
    assert campaign.received()["stored"] == 2_000
    if kind != "reset_after":
        assert campaign.received()["most_for_one"] == 1


def raw(member: str) -> dict[str, Any]:
    return {
        "action": "reward",
        "Customer": {"id": member},
        "points": 1,
        "timestamp": datetime.now(UTC).isoformat(),
        "properties": {},
    }


def many(campaign: Campaign, count: int) -> None:
    member = campaign.sync.member()
    campaign.put([{**raw(member), "id": str(number)} for number in range(count)])


def test_killed_run_sends_what_was_in_flight_again_and_nothing_acknowledged(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None, transactional=True, payload=[])
    campaign.sync.connect(ometria={"extra": {"concurrency": 2}})
    many(campaign, 1_500)
    campaign.sync.sandbox.control("settings", {"latency_ms": 100})
    in_flight = campaign.deliver_and_kill(acknowledged=500)
    assert 0 < in_flight <= 200, "two requests"
    ids = {row["custom_event_id"] for row in campaign.sync.query("SELECT custom_event_id FROM event_delivery")} - {None}
    campaign.sync.sandbox.control("settings", {"latency_ms": 0})
    tally = campaign.deliver()
    assert complaint(tally) is None
    received = campaign.received()
    assert received["stored"] == 1_500
    assert received["most_for_one"] <= 2
    assert received["received"] - 1_500 <= in_flight
    assert ids <= {sent["id"] for page in (0, 1_000) for sent in campaign.events(offset=page)}, "under the same ids"
    campaign.deliver()
    assert campaign.received() == received


def test_event_that_another_run_delivered_since_it_was_read_is_not_sent_again(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.workflow(contact_mapping=None, transactional=True, payload=[])
    many(campaign, 250)
    prepare = preparing.Preparing._prepare

    def then_another_run(self: Any, rows: Any) -> Any:
        ready = prepare(self, rows)
        monkeypatch.setattr(preparing.Preparing, "_prepare", prepare)
        assert campaign.deliver().states["acknowledged"] == 251
        return ready

    monkeypatch.setattr(preparing.Preparing, "_prepare", then_another_run)
    campaign.happens(campaign.sync.member())
    tally = campaign.deliver()
    assert complaint(tally) is None
    assert campaign.received()["most_for_one"] == 1


def test_poisoned_event_is_found_by_splitting_and_the_others_go(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None, transactional=True, payload=[])
    many(campaign, 250)
    poison = custom_event_id("thanks", "17")
    campaign.sync.fault("poison", api="ometria", path="/v2/push", contacts=[poison], status=400)
    tally = campaign.deliver()
    state, reason = campaign.fate("17")
    assert state == "rejected"
    assert "HTTP 400" in (reason or "")
    assert tally.states == {"acknowledged": 249, "rejected": 1}
    assert complaint(tally) is None
    assert campaign.received()["stored"] == 249
    campaign.deliver()
    assert campaign.fate("17")[0] == "rejected"


def test_everything_refused_alone_halts_and_convicts_nobody(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None, transactional=True, payload=[])
    many(campaign, 60)
    ids = [custom_event_id("thanks", str(number)) for number in range(60)]
    campaign.sync.fault("poison", api="ometria", path="/v2/push", contacts=ids, status=422)
    tally = campaign.deliver()
    assert tally.states["rejected"] == 0
    assert isinstance(complaint(tally), Halted)
    assert campaign.sync.query("SELECT DISTINCT state FROM event_delivery") == [{"state": "waiting"}]
    campaign.sync.mend()
    assert campaign.deliver().states == {"acknowledged": 60}


def test_requests_hold_custom_events_alone_and_at_most_a_hundred(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ometria_provider.hooks.ometria import OmetriaHook

    sizes: list[tuple[int, set[str]]] = []
    push = OmetriaHook.push

    def counted(self: OmetriaHook, body: bytes) -> Any:
        records = msgspec.json.decode(body)
        sizes.append((len(records), {record["@type"] for record in records}))
        return push(self, body)

    monkeypatch.setattr(OmetriaHook, "push", counted)
    campaign.workflow(payload=[])
    many(campaign, 250)
    assert campaign.deliver().states["acknowledged"] == 250
    assert max(size for size, _ in sizes) == 100
    assert all(len(kinds) == 1 for _, kinds in sizes)


def test_pages_follow_one_another_without_loss(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "PAGE", 70)
    campaign.workflow(contact_mapping=None, transactional=True, payload=[])
    many(campaign, 500)
    assert campaign.deliver().states == {"acknowledged": 500}
    assert campaign.received() == {"stored": 500, "received": 500, "most_for_one": 1}


def test_late_errors_since_the_last_look_are_counted_once_and_convict_no_event(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None, transactional=True)
    member = campaign.sync.member()
    campaign.sync.fault("late_error", field="properties > points")
    campaign.sync.sandbox.control("settings", {"validation_delay_ms": 60_000})
    event = campaign.happens(member)
    assert not campaign.deliver().late, "Ometria validates later"
    campaign.sync.sandbox.control("validate", {})
    tally = campaign.deliver()
    assert sum(tally.late.values()) == 1
    assert [path for _, path in tally.late] == ["root > properties > points"]
    assert campaign.fate(event) == ("acknowledged", None)
    assert not campaign.deliver().late
    assert campaign.received()["received"] == 1


def test_error_log_that_cannot_be_read_keeps_no_event(campaign: Campaign) -> None:
    campaign.workflow()
    member = campaign.sync.member()
    campaign.happens(member)
    campaign.deliver()
    campaign.sync.fault("500", api="ometria", path="/v2/push/_errors")
    event = campaign.happens(member)
    tally = campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged"
    assert complaint(tally) is None


def test_event_sent_again_on_purpose_goes_however_old_it_is(campaign: Campaign) -> None:
    from ometria_provider.ledger import deliveries

    campaign.workflow(expires_after="PT1H", contact_mapping=None)
    member = campaign.sync.member()
    old = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    event = campaign.happens(member, timestamp=old)
    campaign.deliver()
    assert campaign.fate(event)[0] == "expired"
    deliveries.reopen(campaign.sync.ledger, "antavo_default", [(event, "thanks")])
    campaign.put([{**raw(member), "id": event, "timestamp": old, "properties": {"reward": campaign.rewards[0]}}])
    campaign.deliver(send_again=event)
    assert campaign.fate(event) == ("acknowledged", None)
