"""What the launcher lets happen in the sandbox while a workflow's run works, and what it shows of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from launcher.campaign import BEFORE, DURING, Watch
from launcher.errors import Broken
from ometria_provider.ledger import campaign_facts, cursors, deliveries, inbox
from ometria_provider.ledger.campaign_facts import ApiUse, CampaignFacts
from ometria_provider.ledger.deliveries import Settled
from ometria_provider.ledger.inbox import Collected
from ometria_provider.sandbox import SandboxSettings, running
from ometria_provider.workflows.files import load_workflow

WORKFLOWS = Path(__file__).parents[3] / "include" / "workflows"
KEY = {"X-Ometria-Auth": SandboxSettings.ometria_key}


@pytest.fixture
def workflow():
    return load_workflow(WORKFLOWS / "reward_claimed.yaml")


@pytest.fixture(scope="module")
def shared():
    with running(SandboxSettings(members=100, validation_delay_ms=60_000)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared):
    shared.control("reset", {})
    return shared


def push(sandbox, *records):
    for record in records:
        requests.post(f"{sandbox.ometria}/v2/push", json=[record], headers=KEY, timeout=5)


def claimed(event_id, **properties):
    event = {"@type": "custom_event", "id": event_id, "event_type": "loyalty_reward_claimed"}
    return event | {"timestamp": "2026-01-01T00:00:00Z", "identity_account_id": "c1", "properties": properties}


def test_members_claim_before_the_run_and_while_it_works(workflow, sandbox, sqlite_ledger):
    watch = Watch(workflow, sandbox.url)
    watch.begin(sqlite_ledger)
    assert sandbox.control("claims")["claims"] >= BEFORE
    deadline = time.monotonic() + 30
    while sandbox.control("claims")["to_come"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    watch.end()
    said = watch.report(sqlite_ledger, "run", "success")
    assert f"{BEFORE + DURING} members claimed a reward in the sandbox, {BEFORE} of them before the run began" in said
    assert "came after the run had looked" not in said, "nobody was told of any: there was no run"


def test_newest_email_is_shown_and_those_of_earlier_runs_are_not_counted(workflow, sandbox, sqlite_ledger):
    contact = {"@type": "contact", "@collection": "k", "id": "a", "customer_id": "c1", "email": "a@example.com"}
    push(sandbox, contact, claimed("old", reward_name="Mug"))
    sandbox.control("validate", {})
    watch = Watch(workflow, sandbox.url)
    watch.begin(sqlite_ledger)
    push(sandbox, claimed("new", reward_name="Tote bag"))
    watch.end()
    said = watch.report(sqlite_ledger, "run", "success")
    assert "The newest of 1 e-mails" in said
    assert "  | Subject: Tote bag is yours" in said
    assert sandbox.control("claims")["to_come"] == 0, "nobody claims after the run"


def test_run_without_an_email_says_so(workflow, sandbox, sqlite_ledger):
    watch = Watch(workflow, sandbox.url)
    watch.begin(sqlite_ledger)
    watch.end()
    assert "sent no e-mail" in watch.report(sqlite_ledger, "run", "failed")


def test_claims_and_campaign_go_by_the_workflows_names(workflow, sandbox, sqlite_ledger):
    data = workflow.model_copy(
        update={
            "trigger": workflow.trigger.model_copy(update={"event": "coupon"}),
            "action": workflow.action.model_copy(update={"event_type": "coupon_used"}),
            "reward_id": "event.properties.coupon_id",
        }
    )
    watch = Watch(data, sandbox.url)
    watch.begin(sqlite_ledger)
    watch.end()
    assert sandbox.control("settings", {})["campaign_event_type"] == "coupon_used"
    assert sandbox.control("claims")["claims"] == 0, "they are events of another action"
    sandbox.control("settings", {"campaign_event_type": "loyalty_reward_claimed"})


def test_workflow_is_seen_before_the_first_claim_and_once_only(workflow, sandbox, sqlite_ledger):
    Watch(workflow, sandbox.url).begin(sqlite_ledger)
    first = cursors.get(sqlite_ledger, "antavo_default", "", "workflow:reward_claimed")
    assert first < datetime.now(UTC)
    Watch(workflow, sandbox.url).begin(sqlite_ledger)
    assert cursors.get(sqlite_ledger, "antavo_default", "", "workflow:reward_claimed") == first


def test_claims_after_the_look_are_the_next_runs(workflow, sandbox, sqlite_ledger):
    watch = Watch(workflow, sandbox.url)
    watch.begin(sqlite_ledger)
    sandbox.control("claims", method="DELETE")
    events = sandbox.control("claims")["claims"] - 2
    seen = [Collected(str(n), "reward", "c", datetime.now(UTC), b"{}", ("reward_claimed",)) for n in range(events)]
    inbox.put(sqlite_ledger, "antavo_default", seen, inbox.ASKED)
    watch.end()
    assert "2 of these came after the run had looked" in watch.report(sqlite_ledger, "run", "success")


def test_events_that_a_scheduled_run_delivered_meanwhile_are_counted(workflow, sqlite_ledger):
    watch = Watch(workflow, "")
    watch.begin(sqlite_ledger)
    event = Collected("1", "reward", "c", datetime.now(UTC), b"{}", ("reward_claimed",))
    inbox.put(sqlite_ledger, "antavo_default", [event], inbox.ASKED)
    (waiting,) = deliveries.waiting(sqlite_ledger, "antavo_default", limit=1)
    deliveries.write(sqlite_ledger, "scheduled__1", settled=[Settled(waiting.id, deliveries.ACKNOWLEDGED)])
    watch.end()
    said = watch.report(sqlite_ledger, "run", "success")
    assert "Meanwhile other runs delivered too, and are counted here: scheduled__1." in said
    assert "1 event sent to Ometria and acknowledged" in said


def test_real_accounts_are_left_alone(workflow, sqlite_ledger):
    watch = Watch(workflow, "")
    watch.begin(sqlite_ledger)
    watch.end()
    facts = CampaignFacts((ApiUse("Ometria", 4, 0, 0, 8.0, 0.25),))
    campaign_facts.write(sqlite_ledger, "antavo_default", "run", facts)
    said = watch.report(sqlite_ledger, "run", "success")
    assert "Run run of workflow reward_claimed: succeeded" in said
    assert "Ometria         4  8 a second  25%" in said
    assert "sandbox" not in said
    assert cursors.get(sqlite_ledger, "antavo_default", "", "workflow:reward_claimed") is None


def test_sandbox_that_is_gone_is_named(workflow, sqlite_ledger):
    with pytest.raises(Broken, match=r"The sandbox at http://127\.0\.0\.1:9 does not answer"):
        Watch(workflow, "http://127.0.0.1:9").begin(sqlite_ledger)
