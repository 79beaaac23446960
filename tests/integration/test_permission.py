"""Who may be mailed by what several mappings know, and by what Ometria says of who unsubscribed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from campaign import Campaign
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.ledger import cursors, rebuilding
from ometria_provider.operators import permission, preparing
from ometria_provider.operators.deliver import complaint
from sync import FIELDS, Sync

CONSENT = [
    *FIELDS,
    {"loyalty": "properties.newsletter", "remote": "marketing_optin", "transform": ["consent"]},
]


@pytest.fixture
def campaign(sync: Sync) -> Campaign:
    sync.mapping()
    return Campaign(sync)


@pytest.fixture(params=["members", None], ids=["named", "none-named"])
def two(request: pytest.FixtureRequest, campaign: Campaign) -> Campaign:
    """Two mappings join the accounts: only `letters` maps consent, and the workflows name the other, or none."""
    campaign.sync.mapping("letters", fields=CONSENT)
    campaign.workflow(contact_mapping=request.param)
    campaign.workflow("receipt", event_type="receipt", transactional=True, contact_mapping=request.param)
    return campaign


def asks(campaign: Campaign, *, newsletter: bool) -> str:
    """Let somebody join, with or without a wish for letters."""
    return campaign.sync.member(properties={"newsletter": newsletter})


# What another mapping knows


def test_opt_out_through_another_mapping_starts_no_campaign_unless_it_is_transactional(two: Campaign) -> None:
    out, other = asks(two, newsletter=False), asks(two, newsletter=True)
    assert two.sync.run("letters").green
    events = two.happens(out), two.happens(other)
    assert complaint(two.deliver()) is None
    assert two.fate(events[0]) == ("skipped", "opted out: the consent last sent was an opt-out")
    assert two.fate(events[1])[0] == two.fate(events[0], "receipt")[0] == "acknowledged"


def test_opt_out_sent_through_another_mapping_since_the_event_was_made_ready_wins(
    two: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = asks(two, newsletter=True)
    assert two.sync.run("letters").green
    event = two.happens(member)
    prepare = preparing.Preparing._prepare

    def then_opt_out(self: Any, rows: Any) -> Any:
        ready = prepare(self, rows)
        two.sync.change(member, **{"properties.newsletter": False})
        assert two.sync.run("letters").green
        return ready

    monkeypatch.setattr(preparing.Preparing, "_prepare", then_opt_out)
    two.deliver()
    assert two.fate(event) == ("skipped", "opted out: the consent last sent was an opt-out")
    assert two.fate(event, "receipt")[0] == "acknowledged"


@pytest.mark.parametrize("how", ["typo", "second-owner"])
def test_file_that_broke_counts_as_its_last_run_was_planned_and_keeps_no_event(two: Campaign, how: str) -> None:
    out, other = asks(two, newsletter=False), asks(two, newsletter=True)
    assert two.sync.run("letters").green
    two.sync.mapping("letters", fields=CONSENT, **({"nonsense": 1} if how == "typo" else {"collection": "members"}))
    assert not two.sync.run("letters").green, "a later run of it is not planned"
    events = two.happens(out), two.happens(other)
    assert complaint(two.deliver()) is None
    assert two.fate(events[0])[0] == "skipped"
    assert two.fate(events[1])[0] == "acknowledged"


def test_broken_file_through_which_nothing_was_ever_sent_says_nothing(two: Campaign) -> None:
    member = asks(two, newsletter=False)
    two.sync.mapping("letters", fields=CONSENT, nonsense=1)
    event = two.happens(member)
    assert complaint(two.deliver()) is None
    assert two.fate(event)[0] == "acknowledged"


def test_broken_file_whose_plan_cannot_be_read_keeps_marketing_waiting(two: Campaign) -> None:
    member = asks(two, newsletter=True)
    assert two.sync.run("letters").green
    two.sync.mapping("letters", fields=CONSENT, nonsense=1)
    two.sync.execute('UPDATE sync_run SET planned_mapping=\'{"of": "another version"}\'')
    event = two.happens(member)
    tally = two.deliver()
    assert isinstance(complaint(tally), Misconfigured)
    assert "letters.yaml" in str(complaint(tally))
    assert two.fate(event)[0] == "waiting"
    assert two.fate(event, "receipt")[0] == "acknowledged"


def test_rebuild_of_another_mappings_contacts_keeps_marketing_waiting(two: Campaign) -> None:
    cursors.put(two.sync.ledger, "ometria_default", "letters", rebuilding.CURSOR, at=datetime.now(UTC))
    event = two.happens(asks(two, newsletter=True))
    assert isinstance(complaint(two.deliver()), Misconfigured)
    assert two.fate(event)[0] == "waiting"
    assert two.fate(event, "receipt")[0] == "acknowledged"


def test_member_outside_the_where_of_another_mapping_is_mailed(two: Campaign) -> None:
    two.sync.mapping("letters", fields=CONSENT, where={"country": "IE"})
    member = asks(two, newsletter=True)
    assert two.sync.run("letters").green
    event = two.happens(member)
    two.deliver()
    assert two.fate(event)[0] == "acknowledged"


def test_member_who_departed_from_another_mapping_alone_is_mailed_by_the_named_one(campaign: Campaign) -> None:
    campaign.sync.mapping("letters", where={"country": "GB"})
    campaign.workflow()
    member = campaign.sync.member(country="GB")
    assert campaign.sync.run("letters").green
    campaign.sync.change(member, country="IE")
    assert campaign.sync.run("letters").green
    assert campaign.sync.state(member)["state"] == "departed"
    event = campaign.happens(member)
    campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged"


# Who left, where no mapping is named


def test_departed_member_of_a_workflow_without_a_mapping_starts_no_campaign(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None)
    campaign.workflow("receipt", event_type="receipt", transactional=True, contact_mapping=None)
    campaign.sync.mapping("abroad", where={"country": "IE"})
    left, here = campaign.sync.member(), campaign.sync.member(email="bea@example.com")
    assert campaign.sync.run().green
    assert campaign.sync.run("abroad").green
    campaign.sync.change(left, status="banned")
    assert campaign.sync.run().green
    events = campaign.happens(left), campaign.happens(here)
    campaign.deliver()
    state, reason = campaign.fate(events[0])
    assert state == "skipped"
    assert "departed" in (reason or "")
    assert campaign.fate(events[0], "receipt")[0] == campaign.fate(events[1])[0] == "acknowledged"


def test_departed_member_who_came_back_starts_a_campaign_once_a_run_has_met_them(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None)
    member = campaign.sync.member()
    assert campaign.sync.run().green
    campaign.sync.change(member, status="banned")
    assert campaign.sync.run().green
    campaign.sync.change(member, status="active")
    early = campaign.happens(member)
    campaign.deliver()
    assert campaign.fate(early)[0] == "skipped"
    assert campaign.sync.run().green
    event = campaign.happens(member)
    campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged"


def test_member_who_moved_from_one_mapping_to_another_starts_a_campaign(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None)
    campaign.sync.mapping(where={"country": "GB"})
    campaign.sync.mapping("abroad", where={"country": "IE"})
    member = campaign.sync.member(country="GB")
    assert campaign.sync.run().green
    campaign.sync.change(member, country="IE")
    assert campaign.sync.run().green
    event = campaign.happens(member)
    campaign.deliver()
    assert campaign.fate(event)[0] == "skipped", "no run has met it as the other's member yet"
    assert campaign.sync.run("abroad").green
    event = campaign.happens(member)
    campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged"


# Who unsubscribed in Ometria


def profile_id(email: str) -> str:
    (profile,) = OmetriaHook().profiles(email)
    return str(profile["id"])


def known_by_profile_only(campaign: Campaign, email: str) -> str:
    """Let a member unsubscribe by an e-mail that they have no longer: only the profile says whose it was."""
    member = campaign.sync.member(email=email)
    assert campaign.sync.run().green
    campaign.sync.sandbox.control("unsubscribes", {"email": email})
    campaign.sync.change(member, email=f"new-{email}")
    assert campaign.sync.run().green
    return member


@pytest.mark.parametrize("mapping", ["members", None])
def test_marketing_waits_while_profiles_are_left_over(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, mapping: str | None
) -> None:
    campaign.workflow(contact_mapping=mapping)
    campaign.workflow("receipt", event_type="receipt", transactional=True, contact_mapping=mapping)
    out, other = known_by_profile_only(campaign, "cleo@example.com"), campaign.sync.member(email="bea@example.com")
    named = campaign.sync.member(email="dan@example.com")
    assert campaign.sync.run().green
    campaign.sync.sandbox.control("unsubscribes", {"email": "dan@example.com"})
    events = campaign.happens(out), campaign.happens(other), campaign.happens(named)
    with monkeypatch.context() as patch:
        patch.setattr(permission, "PATIENCE", 0)
        assert isinstance(complaint(campaign.deliver()), Retryable)
    assert [campaign.fate(event)[0] for event in events] == ["waiting", "waiting", "skipped"]
    assert campaign.fate(events[0], "receipt")[0] == "acknowledged"
    assert complaint(campaign.deliver()) is None
    assert [campaign.fate(event)[0] for event in events] == ["skipped", "acknowledged", "skipped"]


@pytest.mark.parametrize("kind", ["500", "refused"])
def test_marketing_waits_while_no_profile_can_be_read(campaign: Campaign, kind: str) -> None:
    campaign.workflow()
    out, other = known_by_profile_only(campaign, "cleo@example.com"), campaign.sync.member(email="bea@example.com")
    named = campaign.sync.member(email="dan@example.com")
    assert campaign.sync.run().green
    campaign.sync.sandbox.control("unsubscribes", {"email": "dan@example.com"})
    campaign.sync.fault(kind, api="ometria", path="/v2/profiles/*")
    events = campaign.happens(out), campaign.happens(other), campaign.happens(named)
    assert isinstance(complaint(campaign.deliver()), Retryable)
    assert [campaign.fate(event)[0] for event in events] == ["waiting", "waiting", "skipped"]
    campaign.sync.mend()
    assert complaint(campaign.deliver()) is None
    assert [campaign.fate(event)[0] for event in events] == ["skipped", "acknowledged", "skipped"]


@pytest.mark.parametrize("kind", ["500", "refused"])
def test_profile_that_alone_cannot_be_read_keeps_no_event_and_is_asked_for_again(campaign: Campaign, kind: str) -> None:
    campaign.workflow()
    out = known_by_profile_only(campaign, "cleo@example.com")
    named, other = campaign.sync.member(email="dan@example.com"), campaign.sync.member(email="bea@example.com")
    assert campaign.sync.run().green
    campaign.sync.sandbox.control("unsubscribes", {"email": "dan@example.com"})
    campaign.sync.fault(kind, api="ometria", path=f"/v2/profiles/{profile_id('new-cleo@example.com')}")
    for _ in range(2):  # at the second reading no other profile is new
        events = campaign.happens(named), campaign.happens(other)
        assert complaint(campaign.deliver()) is None
        assert [campaign.fate(event)[0] for event in events] == ["skipped", "acknowledged"]
    campaign.sync.mend()
    event = campaign.happens(out)
    campaign.deliver()
    assert campaign.fate(event) == ("skipped", "unsubscribed in Ometria")


def test_profile_that_cannot_be_read_is_asked_for_however_long_ago_its_person_unsubscribed(campaign: Campaign) -> None:
    campaign.workflow()
    campaign.sync.member(email="dan@example.com")
    out = campaign.sync.member(email="cleo@example.com")
    assert campaign.sync.run().green
    for email, hour in (("cleo@example.com", 1), ("dan@example.com", 2)):
        control = {"email": email, "timestamp": f"2026-01-15T{hour:02}:00:00Z"}
        campaign.sync.sandbox.control("unsubscribes", control)
    campaign.sync.change(out, email="new-cleo@example.com")
    assert campaign.sync.run().green
    campaign.sync.fault("500", api="ometria", path=f"/v2/profiles/{profile_id('new-cleo@example.com')}")
    campaign.happens(campaign.sync.member(email="bea@example.com"))
    assert complaint(campaign.deliver()) is None
    campaign.sync.mend()
    event = campaign.happens(out)
    campaign.deliver()
    assert campaign.fate(event) == ("skipped", "unsubscribed in Ometria")
