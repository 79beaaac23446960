"""`ometria-sync events` and `trace`: what became of an event, and trying it again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ledgers import green_run, write_contact
from ometria_provider.ledger import deliveries, inbox
from ometria_provider.ledger.deliveries import Departing, Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "antavo_default"


@pytest.fixture
def workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflows folder with `thanks` and `survey`."""
    folder = tmp_path / "workflows"
    folder.mkdir()
    for name in ("thanks", "survey"):
        (folder / f"{name}.yaml").write_text("trigger: {event: reward}\naction: {event_type: claimed}\n")
    monkeypatch.setenv("AIRFLOW__OMETRIA__WORKFLOWS_FOLDER", str(folder))
    return folder


@pytest.fixture
def events(ledger: Ledger, workflows: Path) -> Ledger:
    """A ledger with an acknowledged event, a rejected one and one that waits."""
    kept = [Collected(id_, "reward", "ann", NOON, b"{}", ("thanks",)) for id_ in ("e1", "e2", "e3")]
    inbox.put(ledger, ACCOUNT, kept, inbox.ASKED)
    first, second, _ = deliveries.waiting(ledger, ACCOUNT, limit=3)
    deliveries.write(ledger, "manual__1", departing=[Departing(first.id, "custom-1")])
    ends = [Settled(first.id, "acknowledged"), Settled(second.id, "rejected", "reward_name: is too long")]
    deliveries.write(ledger, "manual__1", settled=ends)
    inbox.finish(ledger, ACCOUNT)
    return ledger


def found(result: Any) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_events_lists_the_newest_first_with_the_reason(command, events: Ledger) -> None:
    result = command("events")
    head, *rows = result.stdout.splitlines()
    assert head.split()[:5] == ["event", "action", "customer", "workflow", "state"]
    assert [row.split()[0] for row in rows] == ["e3", "e2", "e1"]
    assert "reward_name: is too long" in rows[1]
    assert result.exit_code == 0


def test_events_as_json_by_workflow_state_and_limit(command, events: Ledger) -> None:
    rows = found(command("events", "-o", "json"))
    assert [(row["event_id"], row["state"]) for row in rows] == [
        ("e3", "waiting"),
        ("e2", "rejected"),
        ("e1", "acknowledged"),
    ]
    assert rows[2]["custom_event_id"] == "custom-1"
    assert len(found(command("events", "--limit", 1, "-o", "json"))) == 1
    assert [row["event_id"] for row in found(command("events", "--state", "rejected", "-o", "json"))] == ["e2"]
    assert found(command("events", "--workflow", "survey", "-o", "json")) == []
    assert command("events", "--state", "expired").stdout == "No such event so far.\n"


def test_events_of_an_unknown_workflow_is_misuse(command, events: Ledger) -> None:
    result = command("events", "--workflow", "thank")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean thanks?" in result.stderr
    assert command("events", "retry", "--workflow", "thank").exit_code == 2
    assert command("events", "--state", "lost").exit_code == 2


def test_event_that_waits_for_a_file_that_is_gone_says_so(command, events: Ledger, workflows: Path) -> None:
    (workflows / "thanks.yaml").unlink()
    rows = found(command("events", "-o", "json"))
    assert rows[0]["reason"] == "no workflow file has this name any more"
    assert rows[2]["reason"] is None
    assert "no workflow file has this name any more" in command("trace", "e3").stdout


def test_events_retry_lets_the_rejected_wait_again_and_says_who_takes_them(command, events: Ledger) -> None:
    result = command("events", "retry", "--workflow", "thanks")
    assert result.exit_code == 0
    assert "1 wait again: the next run of campaign_events__antavo_default" in result.stdout
    assert [row["event_id"] for row in found(command("events", "--state", "waiting", "-o", "json"))] == ["e3", "e2"]
    assert "nothing of that kind" in command("events", "retry").stdout


def test_events_retry_never_reopens_what_was_acknowledged(command, events: Ledger) -> None:
    assert found(command("events", "retry", "--event", "e1", "-o", "json"))["deliveries"] == 0
    assert found(command("events", "retry", "--event", "e2", "-o", "json")) == {
        "deliveries": 1,
        "timeless": 0,
        "accounts": [ACCOUNT],
    }
    assert command("events", "retry", "--state", "acknowledged").exit_code == 2


def test_trace_of_an_event_says_what_became_of_it(command, events: Ledger) -> None:
    result = command("trace", "e1")
    assert result.exit_code == 0
    assert "Event e1 (reward, 2026-03-01 12:00:00Z; was asked for" in result.stdout
    assert "thanks: acknowledged, Ometria has it" in result.stdout
    assert "as custom event custom-1, in 1 request" in result.stdout
    assert "why          reward_name: is too long" in command("trace", "e2").stdout


def test_trace_of_a_customer_shows_events_beside_the_contact(command, events: Ledger) -> None:
    write_contact(events, green_run().write(events), "ann")
    by_customer, by_event = command("trace", "ann").stdout, command("trace", "e1").stdout
    for text in (by_customer, by_event):
        assert "accepted, Ometria has its latest record" in text
    assert by_customer.count("Event e") == 3
    assert by_event.count("Event e") == 1
    answer = found(command("trace", "ann", "-o", "json"))
    assert ([row["event_id"] for row in answer["events"]], answer["known"]) == (["e3", "e2", "e1"], True)


def test_trace_of_neither_is_wrong(command, events: Ledger) -> None:
    assert command("trace", "nobody").exit_code == 1
    assert found_known(command("trace", "nobody", "-o", "json")) is False


def found_known(result: Any) -> bool:
    return bool(json.loads(result.stdout)["known"])


def test_events_without_a_ledger_say_how_to_get_one(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'none.db'}")
    for arguments in (["events"], ["events", "retry"]):
        result = command(*arguments)
        assert result.exit_code == 1
        assert "There is no ledger at" in result.stderr
