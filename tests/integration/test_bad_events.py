"""What is wrong with an event holds no other back, and `ometria-sync trace` says what became of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from types import ModuleType
from typing import Any

import pytest
from campaign import ACCOUNT, Campaign
from ometria_provider.cli.app import app
from ometria_provider.operators import lookups, preparing
from ometria_provider.operators.accounts import antavo_hook
from ometria_provider.operators.candidate import SENT_BEFORE
from ometria_provider.operators.collect import Collector
from ometria_provider.operators.deliver import complaint
from ometria_provider.workflows.accounts import load_accounts
from sync import Sync
from typer.testing import CliRunner


@pytest.fixture
def campaign(sync: Sync) -> Campaign:
    sync.mapping()
    made = Campaign(sync)
    made.workflow()
    return made


def traced(event_id: str) -> str:
    """Return what `trace` says of an event."""
    result = CliRunner().invoke(app, ["trace", event_id])
    assert result.exit_code == 0, result.output
    return result.output


def _deleted_reward(campaign: Campaign) -> dict[str, Any]:
    gone = campaign.rewards[1]
    campaign.sync.sandbox.control("rewards", {"delete": [gone]})
    return {"reward": gone}


BAD: dict[str, tuple[Callable[[Campaign], dict[str, Any]], str, str]] = {
    "customer gone": (lambda _: {"customer_id": "gone"}, "skipped", "Antavo does not know the customer"),
    "reward deleted": (_deleted_reward, "skipped", "Antavo does not know the reward"),
    "no time": (lambda _: {"timestamp": None}, "rejected", "timestamp"),
    "future": (lambda _: {"timestamp": "2099-01-01T00:00:00Z"}, "rejected", "timestamp"),
    "properties": (lambda _: {"properties": {f"p{n}": n for n in range(100_000)}}, "rejected", "properties"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_event_holds_no_other_back_and_is_in_trace(campaign: Campaign, what: str) -> None:
    make, state, reason = BAD[what]
    bad = campaign.happens(**{"customer_id": campaign.sync.member()} | make(campaign))
    good = campaign.happens(campaign.sync.member())
    assert complaint(campaign.deliver()) is None
    assert f"thanks: {state}, " in traced(bad)
    (why,) = [line for line in traced(bad).splitlines() if line.startswith("  why ")]
    assert reason in why
    assert "thanks: acknowledged, " in traced(good)


def test_two_workflows_for_one_event_are_both_in_trace(campaign: Campaign) -> None:
    campaign.workflow("survey", event_type="survey", where={"event.points": {"lt": 0}})
    event = campaign.happens(campaign.sync.member())
    campaign.deliver()
    assert "thanks: acknowledged, " in traced(event)
    assert "survey: filtered, " in traced(event)


def test_removed_workflow_file_is_in_trace_and_holds_no_other_back(campaign: Campaign) -> None:
    campaign.workflow("survey", event_type="survey")
    event = campaign.happens(campaign.sync.member())
    (campaign.folder / "survey.yaml").unlink()
    assert "survey: waiting, " in traced(event)
    assert complaint(campaign.deliver()) is None
    campaign.sync.execute("UPDATE event_delivery SET updated_at = :at", at="2026-01-01 00:00:00.000000")
    hook = antavo_hook(campaign.sync.ledger, ACCOUNT)
    Collector(campaign.sync.ledger, load_accounts(campaign.folder)[ACCOUNT], hook, "run").collect()
    assert "survey: skipped, " in traced(event)
    assert "file is gone" in traced(event)
    assert "thanks: acknowledged, " in traced(event)


def test_rewards_call_that_fails_for_an_hour_is_in_trace_and_holds_no_other_back(campaign: Campaign) -> None:
    """An hour is sixty runs; the third is as the others."""
    campaign.workflow("plain", event_type="plain", payload=[{"loyalty": "event.points", "remote": "points"}])
    campaign.sync.fault("500", api="antavo", path="*/rewar*")
    events = []
    for _ in range(3):
        events.append(campaign.happens(campaign.sync.member()))
        assert complaint(campaign.deliver()) is not None, "that is red"
        for event in events:
            assert "thanks: waiting, " in traced(event)
            assert "500" in traced(event)
            assert "plain: acknowledged, " in traced(event)
    campaign.sync.mend()
    assert complaint(campaign.deliver()) is None
    assert all("thanks: acknowledged, " in traced(event) for event in events)
    assert campaign.received() == {"stored": 6, "received": 6, "most_for_one": 1}


def time_passes(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **by: int) -> None:
    """Let a module believe that it is later."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(**by)

    monkeypatch.setattr(module, "datetime", Later)


def test_rewards_call_that_fails_until_events_expire_says_so_and_later_runs_are_green(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.sync.fault("500", api="antavo", path="*/rewar*")
    event = campaign.happens(campaign.sync.member())
    assert complaint(campaign.deliver()) is not None
    assert campaign.fate(event)[0] == "waiting"
    with monkeypatch.context() as later:
        time_passes(later, preparing, hours=25)
        tally = campaign.deliver()
    assert (complaint(tally), tally.states) == (None, {"expired": 1}), "the fault is still there"
    assert campaign.fate(event) == ("expired", "older than expires_after, 1 day, 0:00:00")
    assert "thanks: expired, not mailed" in traced(event)
    campaign.sync.mend()
    good = campaign.happens(campaign.sync.member())
    assert complaint(campaign.deliver()) is None
    assert (campaign.fate(event)[0], campaign.fate(good)[0]) == ("expired", "acknowledged")
    assert campaign.received() == {"stored": 1, "received": 1, "most_for_one": 1}


def test_rewards_call_that_fails_is_not_missed_until_the_reward_that_was_kept_is_old(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = campaign.happens(campaign.sync.member())
    campaign.deliver()
    campaign.sync.fault("500", api="antavo", path="*/rewar*")
    second = campaign.happens(campaign.sync.member())
    assert complaint(campaign.deliver()) is None
    assert campaign.fate(first)[0] == campaign.fate(second)[0] == "acknowledged"
    time_passes(monkeypatch, lookups, minutes=11)
    third = campaign.happens(campaign.sync.member())
    assert complaint(campaign.deliver()) is not None
    state, reason = campaign.fate(third)
    assert (state, "500" in str(reason)) == ("waiting", True)
    campaign.sync.mend()
    assert complaint(campaign.deliver()) is None
    assert campaign.fate(third)[0] == "acknowledged"
    assert campaign.received() == {"stored": 3, "received": 3, "most_for_one": 1}


def test_event_that_expires_after_its_request_stayed_unanswered_says_that_it_may_have_arrived(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.workflow(contact_mapping=None, transactional=True)
    campaign.sync.fault("reset_after", api="ometria", path="/v2/push")
    event = campaign.happens(campaign.sync.member())
    assert complaint(campaign.deliver()) is not None
    assert campaign.fate(event)[0] == "waiting"
    assert campaign.received()["stored"] == 1, "it took the event; the answer was lost"
    time_passes(monkeypatch, preparing, hours=25)
    assert complaint(campaign.deliver()) is None
    assert campaign.fate(event) == ("expired", f"older than expires_after, 1 day, 0:00:00; {SENT_BEFORE}")
    assert SENT_BEFORE in traced(event)
