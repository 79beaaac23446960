"""Whole runs of campaigns: events happen in Antavo, custom events arrive in Ometria, each once."""

from __future__ import annotations

import logging
import subprocess
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from campaign import ACCOUNT, Campaign
from ometria_provider.campaign_factory import campaign_event_dags
from ometria_provider.exceptions import Misconfigured, Retryable, SyncError
from ometria_provider.ledger import campaign_facts, deliveries, inbox
from ometria_provider.ledger.campaign_facts import CampaignFacts
from ometria_provider.ledger.events import retry
from ometria_provider.operators import deliver as delivering
from ometria_provider.operators.campaign import BrokenWorkflows, CampaignOperator
from ometria_provider.operators.run import RunFailed
from ometria_provider.workflows.records import custom_event_id
from services import statsd
from sync import Sync


@pytest.fixture
def campaign(sync: Sync) -> Campaign:
    sync.mapping()
    return Campaign(sync)


def run(
    campaign: Campaign, run_id: str | None = None, run_after: datetime | None = None, **conf: Any
) -> dict[str, int]:
    """Do the task of the DAG as a worker does; with a run id (and its time) again: clear it."""
    dag = campaign_event_dags(campaign.folder)[f"campaign_events__{ACCOUNT}"]
    (task,) = dag.tasks
    assert isinstance(task, CampaignOperator)
    dag_run = SimpleNamespace(conf=conf, run_after=run_after or datetime.now(UTC))
    context: Any = {"run_id": run_id or f"manual__{uuid.uuid4()}", "dag_run": dag_run}
    return task.execute(context)


def facts(campaign: Campaign) -> CampaignFacts:
    """Return what the run `scheduled__1` found."""
    return campaign_facts.facts_of(campaign.sync.ledger, ACCOUNT, ["scheduled__1"])


def claims(campaign: Campaign, count: int = 1, **more: Any) -> list[str]:
    """Let members of Antavo whom the mapping includes claim rewards; return the ids of the events."""
    more = {"customers": campaign.sync.members_to_send()[:3]} | more
    found: list[str] = campaign.sync.sandbox.control("claims", {"count": count, **more})["ids"]
    return found


def happened(campaign: Campaign, **event: Any) -> str:
    content = {"action": "reward", "customer_id": campaign.sync.member(), "properties": {"reward": campaign.rewards[0]}}
    return str(campaign.sync.sandbox.control("events", content | event)["id"])


def test_claim_becomes_a_custom_event_once_however_often_it_is_read(campaign: Campaign) -> None:
    campaign.workflow()
    ids = claims(campaign, 3)
    counts = run(campaign)
    assert (counts["new"], counts["acknowledged"]) == (3, 3)
    for _ in range(2):
        assert run(campaign, workflow="thanks")["new"] == 0
    assert {campaign.fate(id_) for id_ in ids} == {("acknowledged", None)}
    assert campaign.received() == {"stored": 3, "received": 3, "most_for_one": 1}
    assert campaign.sync.query("SELECT count(*) AS n FROM event_inbox WHERE body IS NOT NULL") == [{"n": 0}]


def test_run_for_one_workflow_finds_what_was_backdated_beyond_the_overlap(campaign: Campaign) -> None:
    campaign.workflow()
    run(campaign)
    event = happened(campaign, timestamp=(datetime.now(UTC) - timedelta(minutes=20)).isoformat())
    assert run(campaign)["new"] == 0, "the sweep of this hour is done, and it lies before the overlap"
    run(campaign, workflow="thanks")
    assert campaign.fate(event) == ("acknowledged", None)


def test_run_tells_what_it_asked_each_api_for_as_the_apis_counted_it(campaign: Campaign) -> None:
    campaign.workflow()
    claims(campaign, 3)
    campaign.sync.sandbox.control("reset", {"what": ["stats"]})
    run(campaign, "scheduled__1")
    counted: Counter[str] = Counter()
    for endpoint, answers in campaign.sync.sandbox.control("stats")["requests"].items():
        counted["Ometria" if endpoint.startswith("ometria") else "Antavo"] += sum(answers.values())
    told = {use.api: use for use in facts(campaign).apis}
    assert {api: use.requests for api, use in told.items()} == counted
    assert all(use.share and 0 < use.share <= 1 for use in told.values())
    assert told["Antavo"].throttled == told["Ometria"].throttled == 0


def test_run_with_nothing_to_deliver_leaves_nothing(campaign: Campaign) -> None:
    campaign.workflow()
    run(campaign, "scheduled__1")
    assert facts(campaign) == CampaignFacts()


@pytest.mark.parametrize("rejected", [1, 3])
def test_events_of_a_request_that_ometria_counts_as_rejected_are_told_and_not_sent_again(
    campaign: Campaign, rejected: int
) -> None:
    campaign.workflow(contact_mapping=None, transactional=True)
    ids = claims(campaign, 3)
    campaign.sync.fault("rejected", contacts=[custom_event_id("thanks", id_) for id_ in ids[:rejected]])
    with pytest.raises(RunFailed, match=f"acknowledged 3 events and counted {rejected} of them as rejected"):
        run(campaign)
    state, reason = campaign.fate(ids[-1])
    assert (state, f"{rejected} of the 3 records of its request" in str(reason)) == ("acknowledged", True)
    assert run(campaign, workflow="thanks")["new"] == 0
    assert campaign.received() == {"stored": 3 - rejected, "received": 3, "most_for_one": 1}


def test_late_errors_stand_in_what_a_run_found(campaign: Campaign) -> None:
    campaign.workflow(contact_mapping=None, transactional=True)
    run(campaign)
    campaign.sync.fault("late_error", field="properties > points")
    campaign.sync.sandbox.control("settings", {"validation_delay_ms": 60_000})
    claims(campaign, 1)
    run(campaign)
    campaign.sync.sandbox.control("validate", {})
    run(campaign, "scheduled__1")
    assert [(words.times, words.path) for words in facts(campaign).late] == [(1, "root > properties > points")]


def test_events_are_counted_by_the_attempt_that_delivered_them(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.workflow()
    claims(campaign, 3)
    with statsd(monkeypatch) as server:
        run(campaign, "scheduled__1")
        found = server.values()
        assert found["airflow.ometria.events.thanks.acknowledged"] == 3
        assert 0 <= found["airflow.ometria.event_delay.thanks"] < 4_000_000
        assert found[f"airflow.ometria.requests.Antavo.{ACCOUNT}"] > 0
        claims(campaign, 2)
        run(campaign, "scheduled__1")
        assert server.values()["airflow.ometria.events.thanks.acknowledged"] == 5, "the first three only once"


def test_start_now_mails_nothing_from_before_the_first_collection_and_says_so(campaign: Campaign) -> None:
    campaign.workflow(start="now")
    before = happened(campaign)
    run(campaign)
    after = happened(campaign)
    run(campaign)
    state, reason = campaign.fate(before)
    assert (state, "before the workflow's start" in str(reason)) == ("filtered", True)
    assert campaign.fate(after)[0] == "acknowledged"
    assert campaign.received()["stored"] == 1


def test_start_of_a_date_leaves_out_what_is_older(campaign: Campaign) -> None:
    campaign.workflow(start=(datetime.now(UTC) - timedelta(hours=2)).isoformat(), expires_after="P7D")
    old = happened(campaign, timestamp=(datetime.now(UTC) - timedelta(hours=3)).isoformat())
    new = happened(campaign, timestamp=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    run(campaign)
    assert (campaign.fate(old)[0], campaign.fate(new)[0]) == ("filtered", "acknowledged")


@pytest.mark.parametrize("start", ["now", "2020-01-01"])
def test_renamed_workflow_mails_nothing_twice_and_what_waited_once(campaign: Campaign, start: str) -> None:
    campaign.workflow(start=start)
    run(campaign)
    sent = happened(campaign)
    run(campaign)
    campaign.sync.fault("500", api="antavo", path="*/rewar*")
    campaign.sync.execute("DELETE FROM cached_reward")
    waited = happened(campaign)
    with pytest.raises(Retryable):
        run(campaign)
    campaign.sync.mend()
    (campaign.folder / "thanks.yaml").rename(campaign.folder / "merci.yaml")
    after = happened(campaign)
    run(campaign)
    assert campaign.fate(sent, "merci") == ("skipped", "sent under the workflow's former name already, thanks")
    assert campaign.fate(waited, "merci") == campaign.fate(after, "merci") == ("acknowledged", None)
    assert campaign.received() == {"stored": 3, "received": 3, "most_for_one": 1}
    run(campaign, send_again=sent, workflow="merci")
    assert campaign.fate(sent, "merci")[0] == "acknowledged", "somebody asked for it"


def test_copy_of_a_workflow_sends_on_its_own_account(campaign: Campaign) -> None:
    campaign.workflow()
    event = happened(campaign)
    run(campaign)
    campaign.workflow("merci")
    run(campaign)
    assert campaign.fate(event, "merci")[0] == campaign.fate(event)[0] == "acknowledged"


def test_changed_trigger_mails_nothing_from_before_the_change(campaign: Campaign) -> None:
    campaign.workflow(start="now")
    run(campaign)
    before = happened(campaign, action="checkout")
    campaign.workflow(start="now", trigger={"event": "checkout"})
    run(campaign, workflow="thanks")
    after = happened(campaign, action="checkout")
    run(campaign)
    assert (campaign.fate(before)[0], campaign.fate(after)[0]) == ("filtered", "acknowledged")


@pytest.mark.parametrize("stamp", [None, "yesterday", "2099-01-01T00:00:00Z"], ids=["none", "unreadable", "future"])
def test_event_with_a_strange_time_is_rejected_and_holds_no_other_back(campaign: Campaign, stamp: str | None) -> None:
    campaign.workflow()
    odd, good = happened(campaign, timestamp=stamp), happened(campaign)
    run(campaign)
    state, reason = campaign.fate(odd)
    assert (state, "timestamp" in str(reason)) == ("rejected", True)
    assert campaign.fate(good)[0] == "acknowledged"


def test_event_with_100_000_properties_is_rejected_and_holds_no_other_back(campaign: Campaign) -> None:
    campaign.workflow()
    odd, good = happened(campaign, properties={f"p{n}": n for n in range(100_000)}), happened(campaign)
    run(campaign)
    state, reason = campaign.fate(odd)
    assert (state, "properties" in str(reason)) == ("rejected", True)
    assert campaign.fate(good)[0] == "acknowledged"


def test_filtered_and_skipped_events_leave_the_run_green(campaign: Campaign) -> None:
    campaign.workflow(where={"event.points": {"gte": 1}})
    filtered = happened(campaign, points=0)
    stranger = happened(campaign, points=5, customer_id="nobody")
    run(campaign)
    assert (campaign.fate(filtered)[0], campaign.fate(stranger)[0]) == ("filtered", "skipped")


def test_run_in_which_everything_was_rejected_is_red(campaign: Campaign) -> None:
    campaign.workflow(identity={"identity_email": None, "identity_account_id": "customer.properties.nothing"})
    happened(campaign)
    with pytest.raises(SyncError, match="rejected"):
        run(campaign)


def test_broken_file_is_red_after_the_others_were_delivered(campaign: Campaign) -> None:
    campaign.workflow()
    (campaign.folder / "bent.yaml").write_text("nonsense: 1\n")
    claim = happened(campaign)
    with pytest.raises(BrokenWorkflows, match=r"(?s)other workflows were delivered.*bent\.yaml.*nonsense"):
        run(campaign)
    assert campaign.fate(claim)[0] == "acknowledged"
    later = happened(campaign)
    run(campaign, workflow="thanks")
    assert campaign.fate(later)[0] == "acknowledged"
    with pytest.raises(BrokenWorkflows, match=r"(?s)Mend the file first.*nonsense"):
        run(campaign, workflow="bent")


def test_connection_with_broken_files_only_fails_and_says_why(campaign: Campaign) -> None:
    (campaign.folder / "bent.yaml").write_text("nonsense: 1\n")
    with pytest.raises(BrokenWorkflows, match=r"(?s)Nothing was delivered.*nonsense"):
        run(campaign)


def test_file_that_was_broken_gets_its_events_when_it_is_mended(campaign: Campaign) -> None:
    campaign.workflow()
    campaign.workflow("survey", event_type="asked")
    run(campaign)
    good = (campaign.folder / "survey.yaml").read_text()
    (campaign.folder / "survey.yaml").write_text("nonsense: 1\n")
    claim = happened(campaign)
    with pytest.raises(BrokenWorkflows):
        run(campaign)
    (campaign.folder / "survey.yaml").write_text(good)
    run(campaign)
    assert (campaign.fate(claim)[0], campaign.fate(claim, "survey")[0]) == ("acknowledged", "acknowledged")


@pytest.mark.parametrize("conf", [{"workflow": "thank"}, {"workflows": "thanks"}, {"send_again": []}])
def test_wrong_params_are_refused_before_anything_is_sent(campaign: Campaign, conf: dict[str, Any]) -> None:
    campaign.workflow()
    happened(campaign)
    with pytest.raises(Misconfigured, match=r"[Pp]aram"):
        run(campaign, **conf)
    assert campaign.received()["received"] == 0


def test_run_for_one_workflow_leaves_the_others_waiting(campaign: Campaign) -> None:
    campaign.workflow()
    campaign.workflow("survey", event_type="asked")
    claim = happened(campaign)
    run(campaign, workflow="survey")
    assert (campaign.fate(claim)[0], campaign.fate(claim, "survey")[0]) == ("waiting", "acknowledged")


def test_event_sent_again_on_purpose_goes_once_for_each_run_and_warns(
    campaign: Campaign, caplog: pytest.LogCaptureFixture
) -> None:
    campaign.workflow()
    claim, _ = happened(campaign), happened(campaign)
    run(campaign)
    with caplog.at_level(logging.WARNING):
        run(campaign, "manual__again", send_again=claim)
    assert "may start twice" in caplog.text
    assert campaign.received() == {"stored": 2, "received": 3, "most_for_one": 2}
    run(campaign, "manual__again", send_again=claim)
    assert campaign.received()["received"] == 3, "clearing the task sends nothing a third time"
    assert campaign.fate(claim) == ("acknowledged", None)


def test_run_that_is_cleared_sends_nothing_again_that_a_later_run_sent(campaign: Campaign) -> None:
    campaign.workflow()
    claim = happened(campaign)
    run(campaign)
    first = datetime.now(UTC)
    run(campaign, "manual__first", run_after=first, send_again=claim)
    run(campaign, "manual__second", send_again=claim)
    assert campaign.received()["received"] == 3
    run(campaign, "manual__first", run_after=first, send_again=claim)
    assert campaign.received()["received"] == 3


def test_event_to_be_sent_again_that_nobody_knows_is_refused(campaign: Campaign) -> None:
    campaign.workflow()
    with pytest.raises(Misconfigured, match="knows no such event"):
        run(campaign, send_again="nothing")


def test_antavo_that_gives_no_events_does_not_keep_the_inbox_back(campaign: Campaign) -> None:
    campaign.workflow()
    run(campaign)
    member = campaign.sync.member()
    by_webhook = campaign.happens(member)
    campaign.sync.fault("500", api="antavo", path="/customers/-/events", times=50)
    with pytest.raises(Retryable):
        run(campaign)
    assert campaign.fate(by_webhook)[0] == "acknowledged"


def test_run_that_dies_after_collecting_goes_on_where_it_stopped(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.workflow()
    claims(campaign, 5)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(delivering, "deliver", die)
        with pytest.raises(KeyboardInterrupt):
            run(campaign, "manual__one")
    assert len(deliveries.waiting(campaign.sync.ledger, ACCOUNT, limit=10)) == 5
    run(campaign, "manual__one")
    assert campaign.received() == {"stored": 5, "received": 5, "most_for_one": 1}


def test_event_that_came_by_webhook_and_by_asking_is_one(campaign: Campaign) -> None:
    campaign.workflow()
    (claim,) = claims(campaign)
    run(campaign)
    content = inbox.Collected(claim, "reward", None, datetime.now(UTC), b"{}", ("thanks",))
    assert inbox.put(campaign.sync.ledger, ACCOUNT, [content], inbox.WEBHOOK) == [False]
    run(campaign, workflow="thanks")
    assert campaign.received() == {"stored": 1, "received": 1, "most_for_one": 1}


def test_log_says_what_was_read_and_delivered(campaign: Campaign, caplog: pytest.LogCaptureFixture) -> None:
    campaign.workflow()
    claims(campaign, 2)
    with caplog.at_level(logging.INFO):
        run(campaign)
        run(campaign)
    assert "2 are new and wanted" in caplog.text
    assert "2 events sent to Ometria and acknowledged" in caplog.text
    assert "Nothing to deliver" in caplog.text


def test_event_that_is_tried_again_is_asked_for_again_and_delivered_once(campaign: Campaign) -> None:
    def named(field: str) -> None:
        campaign.workflow(identity={"identity_email": None, "identity_account_id": f"customer.{field}"})

    named("properties.nothing")
    rejected = happened(campaign)
    with pytest.raises(SyncError):
        run(campaign)
    assert campaign.fate(rejected)[0] == "rejected"
    named("id")
    assert run(campaign).get("acknowledged", 0) == 0, "nobody asked for it"
    command = [sys.executable, "-c", "from ometria_provider.cli import main; main()", "events", "retry"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 wait again" in done.stdout
    for _ in range(2):
        run(campaign)
    assert campaign.fate(rejected) == ("acknowledged", None)
    assert campaign.received() == {"stored": 1, "received": 1, "most_for_one": 1}
    assert campaign.sync.query("SELECT count(*) AS n FROM event_inbox WHERE body IS NOT NULL") == [{"n": 0}]


def test_expired_event_expires_again_until_somebody_sends_it_on_purpose(campaign: Campaign) -> None:
    campaign.workflow(expires_after="PT1H")
    campaign.workflow("survey", event_type="asked", expires_after="PT5H")
    old = happened(campaign, timestamp=(datetime.now(UTC) - timedelta(hours=2)).isoformat())
    run(campaign)
    assert (campaign.fate(old)[0], campaign.fate(old, "survey")[0]) == ("expired", "acknowledged")
    assert retry(campaign.sync.ledger, events=[old]).deliveries == 1
    run(campaign)
    assert campaign.fate(old)[0] == "expired"
    run(campaign, workflow="thanks", send_again=old)
    assert campaign.fate(old) == ("acknowledged", None)
    assert campaign.received() == {"stored": 2, "received": 2, "most_for_one": 1}
