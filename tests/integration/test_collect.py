"""Events are collected once: none is lost, none comes twice, whatever happens in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ometria_provider.exceptions import SyncError
from ometria_provider.ledger import cursors, deliveries, inbox
from ometria_provider.ledger.deliveries import Settled
from ometria_provider.operators.accounts import antavo_hook
from ometria_provider.operators.collect import Collector, Found
from ometria_provider.workflows.accounts import load_accounts
from ometria_provider.workflows.events import Event
from sync import Sync

ACCOUNT = "antavo_default"


@pytest.fixture
def sync(sync: Sync) -> Sync:
    sync.ledger.ready()
    return sync


def workflow(sync: Sync, name: str = "thanks", /, **keys: Any) -> None:
    least = {"trigger": {"event": "reward"}, "action": {"event_type": "claimed"}}
    (sync.workflows / f"{name}.yaml").write_text(json.dumps(least | keys))


def event(sync: Sync, action: str = "reward", *, ago: timedelta = timedelta(), **more: Any) -> str:
    at = (datetime.now(UTC) - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    content = {"action": action, "customer_id": sync.ids()[0], "timestamp": at, **more}
    return str(sync.sandbox.control("events", content)["id"])


def gather(sync: Sync, run_id: str = "run", *, sweep: bool = False) -> Found:
    campaigns = load_accounts(sync.workflows)[ACCOUNT]
    return Collector(sync.ledger, campaigns, antavo_hook(sync.ledger, ACCOUNT), run_id).collect(sweep=sweep)


def waiting(sync: Sync) -> list[tuple[str, str]]:
    return [(row.event_id, row.workflow) for row in deliveries.waiting(sync.ledger, ACCOUNT, limit=5_000)]


def settle(sync: Sync, state: str = "acknowledged", reason: str | None = None) -> None:
    rows = deliveries.waiting(sync.ledger, ACCOUNT, limit=5_000)
    deliveries.write(sync.ledger, "earlier", settled=[Settled(row.id, state, reason) for row in rows])
    inbox.finish(sync.ledger, ACCOUNT)


def test_events_that_a_workflow_names_are_kept_once_for_each_workflow(sync: Sync) -> None:
    workflow(sync)
    workflow(sync, "survey")
    workflow(sync, "hello", trigger={"event": "opt_in"})
    claim, _ = event(sync), event(sync, "checkout")
    joined = event(sync, "opt_in")
    assert gather(sync).new == 2
    assert gather(sync).new == 0
    assert sorted(waiting(sync)) == sorted([(claim, "survey"), (claim, "thanks"), (joined, "hello")])


def test_event_that_is_backdated_a_quarter_of_an_hour_is_found_without_a_sweep(sync: Sync) -> None:
    workflow(sync)
    gather(sync)
    late, later = event(sync, ago=timedelta(minutes=14)), event(sync, ago=timedelta(minutes=20))
    found = gather(sync)
    assert (found.swept, waiting(sync)) == (False, [(late, "thanks")])
    assert gather(sync, sweep=True).new == 1
    assert (later, "thanks") in waiting(sync)


def test_sweep_comes_again_after_an_hour(sync: Sync) -> None:
    workflow(sync)
    assert gather(sync).swept
    assert not gather(sync).swept
    sync.execute("UPDATE cursor SET at = :at WHERE name = 'swept:thanks'", at="2026-01-01 00:00:00.000000")
    event(sync, ago=timedelta(hours=20))
    assert (gather(sync).swept, len(waiting(sync))) == (True, 1)


def test_start_is_the_first_collection_that_knew_the_workflow_and_stays(sync: Sync) -> None:
    workflow(sync)
    before = datetime.now(UTC)
    gather(sync)
    first = cursors.get(sync.ledger, ACCOUNT, "", "workflow:thanks")
    workflow(sync, "survey")
    gather(sync)
    second = cursors.get(sync.ledger, ACCOUNT, "", "workflow:survey")
    assert first is not None
    assert second is not None
    assert before <= first < second
    assert cursors.get(sync.ledger, ACCOUNT, "", "workflow:thanks") == first


def test_workflow_that_came_later_gets_the_events_that_others_are_done_with(sync: Sync) -> None:
    workflow(sync)
    claim = event(sync)
    gather(sync)
    settle(sync)
    workflow(sync, "survey")
    gather(sync)
    assert waiting(sync) == [(claim, "survey")]


@pytest.mark.parametrize("stamp", [None, "yesterday"], ids=["none", "unreadable"])
def test_event_without_a_time_is_kept_and_says_what_is_wrong(sync: Sync, stamp: str | None) -> None:
    workflow(sync)
    claim = event(sync, timestamp=stamp)
    gather(sync)
    (row,) = deliveries.waiting(sync.ledger, ACCOUNT, limit=5)
    assert (row.event_id, row.occurred_at) == (claim, None)
    assert b"timestamp" in row.body


ODD = [
    pytest.param({"id": None}, "`id`", id="no id"),
    pytest.param({"id": "x" * 300}, "longer than 250", id="long id"),
    pytest.param({"row": "gone"}, "not an object", id="text"),
    pytest.param({"row": None}, "not an object", id="null"),
    pytest.param({"row": ["reward"]}, "not an object", id="list"),
    pytest.param({"row": {"id": "1", "action": None}}, "`action`", id="no action"),
]


@pytest.mark.parametrize(("odd", "why"), ODD)
def test_row_that_is_no_event_is_recorded_once_and_holds_nothing_back(
    sync: Sync, odd: dict[str, Any], why: str
) -> None:
    workflow(sync)
    before, _, after = event(sync), event(sync, **odd), event(sync)
    assert (found := gather(sync)).odd == 1
    assert (found.new, gather(sync).new) == (3, 0)
    rows = {row.event_id: row for row in deliveries.waiting(sync.ledger, ACCOUNT, limit=5_000)}
    (strange,) = rows.keys() - {before, after}
    assert strange.startswith("unreadable-")
    assert why in str(Event.decode(rows[strange].body).problem)


def test_event_from_before_what_was_pruned_is_counted_and_left(sync: Sync) -> None:
    workflow(sync)
    event(sync, ago=timedelta(hours=2))
    later = event(sync)
    cursors.move(sync.ledger, ACCOUNT, "", inbox.PRUNED, at=datetime.now(UTC) - timedelta(hours=1), run_id=0)
    found = gather(sync)
    assert (found.forgotten, waiting(sync)) == (1, [(later, "thanks")])
    assert "let go of" in found.sentence()


def test_collection_that_dies_in_the_middle_loses_and_repeats_nothing(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow(sync)
    sync.sandbox.control("settings", {"most_events": 10})
    ids = [event(sync, ago=timedelta(minutes=60 - n)) for n in range(35)]
    gather(sync)
    settle(sync)
    more = [event(sync) for _ in range(35)]
    put, pages = inbox.put, []

    def die(*arguments: Any) -> list[bool]:
        pages.append(arguments)
        if len(pages) == 2:
            raise KeyboardInterrupt
        return put(*arguments)

    monkeypatch.setattr(inbox, "put", die)
    with pytest.raises(KeyboardInterrupt):
        gather(sync)
    monkeypatch.setattr(inbox, "put", put)
    assert gather(sync).new > 0
    assert sorted(waiting(sync)) == sorted((id_, "thanks") for id_ in more)
    assert not {id_ for id_, _ in waiting(sync)} & set(ids)


def test_collection_that_antavo_cuts_off_goes_on_from_the_same_time(sync: Sync) -> None:
    workflow(sync)
    gather(sync)
    claim = event(sync)
    sync.fault("500", api="antavo", path="/customers/-/events", times=20)
    with pytest.raises(SyncError):
        gather(sync)
    sync.mend()
    gather(sync)
    assert waiting(sync) == [(claim, "thanks")]


def test_event_that_is_tried_again_gets_its_body_from_antavo(sync: Sync) -> None:
    workflow(sync)
    old, other = event(sync, ago=timedelta(hours=20)), event(sync, ago=timedelta(hours=19))
    gather(sync)
    settle(sync, "rejected", "reward_name: is empty")
    deliveries.reopen(sync.ledger, ACCOUNT, [(old, "thanks")])
    found = gather(sync)
    assert (found.fetched, found.lost, waiting(sync)) == (1, 0, [(old, "thanks")])
    assert other not in {id_ for id_, _ in waiting(sync)}


def test_event_that_antavo_gives_no_more_is_skipped_with_the_reason(sync: Sync) -> None:
    workflow(sync)
    event(sync)
    gather(sync)
    settle(sync, "rejected", "why")
    sync.execute("UPDATE event_inbox SET event_id = 'gone'")
    sync.execute("UPDATE event_delivery SET event_id = 'gone'")
    deliveries.reopen(sync.ledger, ACCOUNT, [("gone", "thanks")])
    found = gather(sync)
    assert (found.fetched, found.lost) == (0, 1)
    (row,) = sync.query("SELECT state, reason FROM event_delivery WHERE event_id = 'gone'")
    assert row == {"state": "skipped", "reason": "Antavo does not give this event again"}


def test_workflow_file_that_is_removed_leaves_nothing_waiting(sync: Sync) -> None:
    workflow(sync)
    workflow(sync, "survey")
    workflow(sync, "bent")
    claim = event(sync)
    gather(sync)
    (sync.workflows / "survey.yaml").unlink()
    (sync.workflows / "bent.yaml").write_text("nonsense: 1\n")
    gather(sync, "next")
    assert len(waiting(sync)) == 3, "the file may be on another machine already"
    sync.execute("UPDATE event_delivery SET updated_at = :at", at="2026-01-01 00:00:00.000000")
    gather(sync, "next")
    assert sorted(waiting(sync)) == sorted([(claim, "bent"), (claim, "thanks")])
    (row,) = sync.query("SELECT state, reason, run_id FROM event_delivery WHERE workflow = 'survey'")
    assert (row["state"], row["run_id"]) == ("skipped", "next")
    assert "file is gone" in row["reason"]


def test_many_events_are_collected_in_pages_by_the_shared_budget(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow(sync)
    sync.sandbox.control("claims", {"count": 2_500, "within": 3_600})
    sizes = []
    put = inbox.put

    def note(*arguments: Any) -> list[bool]:
        sizes.append(len(arguments[2]))
        return put(*arguments)

    monkeypatch.setattr(inbox, "put", note)
    assert gather(sync).new == 2_500
    assert max(sizes) <= 1_000
    asked = [key for key in sync.stats()["requests"] if "/customers/-/events" in key]
    assert asked
    assert sync.query("SELECT count(*) AS n FROM rate_budget WHERE account = 'antavo_default'")[0]["n"] == 1


COLLECT_ONCE = """\
from pathlib import Path
from ometria_provider.operators.accounts import antavo_hook
from ometria_provider.operators.collect import Collector
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.settings import read_settings
from ometria_provider.workflows.accounts import load_accounts
from ometria_provider.workflows.events import Event
settings = read_settings()
ledger = open_ledger(settings.ledger_url)
campaigns = load_accounts(settings.workflows_folder)["antavo_default"]
Collector(ledger, campaigns, antavo_hook(ledger, "antavo_default"), "killed").collect()
"""


def test_collection_killed_in_the_middle_loses_and_repeats_nothing(sync: Sync) -> None:
    workflow(sync)
    gather(sync)
    paused_at = datetime.now(UTC) - timedelta(hours=5)
    sync.execute("UPDATE cursor SET at = :at", at=paused_at.strftime("%Y-%m-%d %H:%M:%S.%f"))
    ids = sync.sandbox.control("claims", {"count": 200, "within": 4 * 3_600})["ids"]
    sync.sandbox.control("settings", {"most_events": 10, "latency_ms": 50})
    process = subprocess.Popen([sys.executable, "-c", COLLECT_ONCE], stderr=subprocess.DEVNULL)
    try:
        while not sync.query("SELECT count(*) AS n FROM event_inbox")[0]["n"]:
            assert process.poll() is None, "the collection ended before it could be killed: slow the sandbox down"
    finally:
        process.kill()
        process.wait()
    kept = sync.query("SELECT count(*) AS n FROM event_inbox")[0]["n"]
    assert 0 < kept < 200
    assert sync.query("SELECT count(*) AS n FROM event_delivery")[0]["n"] == kept
    sync.sandbox.control("settings", {"most_events": 1_000, "latency_ms": 0})
    assert gather(sync).new == 200 - kept
    assert sorted(waiting(sync)) == sorted((id_, "thanks") for id_ in ids)
