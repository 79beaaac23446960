"""What is old goes, what somebody still needs stays."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from ledgers import PastRun, green_run, unchanged_run, write_batch, write_contact
from ometria_provider.ledger import campaign_facts, deliveries, inbox, prune, runs
from ometria_provider.ledger.campaign_facts import CampaignFacts, LateWords
from ometria_provider.ledger.deliveries import Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.ledger.models import (
    ContactState,
    EventDelivery,
    InboxEvent,
    LateError,
    PushBatch,
    Rejection,
    SyncRun,
    SyncStep,
)
from sqlalchemy import Table, func, insert, select, update

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=1)
DAY = timedelta(days=1)
ACCOUNT = "antavo_default"


def ids(ledger: Ledger) -> list[int]:
    with ledger.read() as connection:
        return list(connection.execute(select(SyncRun.id).order_by(SyncRun.id)).scalars())


def count(ledger: Ledger, model: type | Table) -> int:
    with ledger.read() as connection:
        return int(connection.execute(select(func.count()).select_from(model)).scalar_one())


def test_old_runs_go_with_what_they_found_but_for_the_last_ones(ledger: Ledger) -> None:
    old = green_run().write(ledger)
    scan = green_run(run_id="second", rejections=[]).write(ledger)
    last = PastRun(run_id="third", state="failed", reason="broken").write(ledger)
    assert prune.prune(ledger, LATER, DAY).runs == 1
    assert ids(ledger) == [scan.id, last.id]
    assert count(ledger, Rejection) == 0
    with ledger.read() as connection:
        assert old.id not in set(connection.execute(select(SyncStep.sync_run_id)).scalars())


def test_last_run_that_a_mapping_planned_stays_though_later_ones_could_not_plan(ledger: Ledger) -> None:
    broken = {"state": "failed", "reason": "broken"}
    first, planned, *_, last = [PastRun(run_id=str(number), **broken).write(ledger) for number in range(4)]
    for run in (first, planned):
        runs.keep_plan(ledger, run, planned_mapping="{}")
    prune.prune(ledger, LATER, DAY)
    assert ids(ledger) == [planned.id, last.id]
    found = runs.last_planned_by(ledger, "customers")
    assert found is not None
    assert found.id == planned.id


def test_young_and_running_runs_stay(ledger: Ledger) -> None:
    green_run().write(ledger)
    unchanged_run().write(ledger)
    PastRun(run_id="third", state=None).write(ledger)
    before = ids(ledger)
    assert prune.prune(ledger, NOW - DAY, DAY).runs == 0
    assert ids(ledger) == before


@pytest.mark.parametrize("open_contact", [{"state": "pending"}, {"state": "accepted", "suspect": "*"}])
def test_run_whose_request_is_in_doubt_stays(ledger: Ledger, open_contact: dict[str, str]) -> None:
    doubted = green_run().write(ledger)
    batch = write_batch(ledger, doubted, state="doubtful")
    write_contact(ledger, doubted, "m1", push_batch_id=batch, state=open_contact["state"])
    with ledger.write() as connection:
        connection.execute(update(ContactState).values(**open_contact))
    following = green_run(run_id="second").write(ledger)
    write_batch(ledger, following)
    green_run(run_id="third").write(ledger)
    prune.prune(ledger, LATER, DAY)
    assert doubted.id in ids(ledger)


def test_last_request_stays_so_that_its_number_is_not_given_out_again(ledger: Ledger) -> None:
    write_batch(ledger, green_run().write(ledger))
    last = write_batch(ledger, green_run(run_id="second").write(ledger))
    green_run(run_id="third").write(ledger)
    prune.prune(ledger, LATER, DAY)
    with ledger.read() as connection:
        assert list(connection.execute(select(PushBatch.id)).scalars()) == [last]


def test_contact_states_stay(ledger: Ledger) -> None:
    write_contact(ledger, green_run().write(ledger), "m1")
    green_run(run_id="second").write(ledger)
    prune.prune(ledger, LATER, DAY)
    assert count(ledger, ContactState) == 1


def event(id_: str, age: timedelta) -> Collected:
    return Collected(id_, "reward", "ann", NOW - age, b"{}", ("thanks",))


def test_done_events_go_and_never_come_back(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("old", 9 * DAY), event("waits", 9 * DAY), event("fresh", DAY)], inbox.ASKED)
    done = [w for w in deliveries.waiting(ledger, ACCOUNT, limit=9) if w.event_id != "waits"]
    deliveries.write(ledger, "run", settled=[Settled(w.id, deliveries.ACKNOWLEDGED) for w in done])
    inbox.finish(ledger, ACCOUNT)
    with ledger.write() as connection:
        connection.execute(update(InboxEvent).where(InboxEvent.done_at.is_not(None)).values(done_at=NOW - 8 * DAY))
    assert prune.prune(ledger, NOW - 7 * DAY, DAY).events == 1
    with ledger.read() as connection:
        assert set(connection.execute(select(InboxEvent.event_id)).scalars()) == {"waits", "fresh"}
        assert set(connection.execute(select(EventDelivery.event_id)).scalars()) == {"waits", "fresh"}
    assert inbox.put(ledger, ACCOUNT, [event("old", 9 * DAY), event("new", 2 * DAY)], inbox.ASKED) == [False, True]
    assert "old" not in {w.event_id for w in deliveries.waiting(ledger, ACCOUNT, limit=9)}


@pytest.mark.parametrize("expiry", [30 * DAY, None])
def test_events_that_may_still_be_mailed_stay(ledger: Ledger, expiry: timedelta | None) -> None:
    inbox.put(ledger, ACCOUNT, [event("old", 9 * DAY)], inbox.ASKED)
    waiting = deliveries.waiting(ledger, ACCOUNT, limit=9)
    deliveries.write(ledger, "run", settled=[Settled(w.id, "filtered", "where") for w in waiting])
    inbox.finish(ledger, ACCOUNT)
    assert prune.prune(ledger, LATER, expiry).events == 0


def test_old_late_errors_go(ledger: Ledger) -> None:
    common = {"account": "ometria_default", "message": "m", "path": "", "count": 1, "overflow": False}
    with ledger.write() as connection:
        for until in (NOW - 2 * DAY, NOW):
            connection.execute(insert(LateError).values(since=until - DAY, until=until, **common))
    assert prune.prune(ledger, NOW - DAY, DAY).late_errors == 1


@pytest.mark.parametrize(("before", "kept"), [(NOW - DAY, 1), (LATER, 0)])
def test_what_old_campaign_runs_found_goes(ledger: Ledger, before: datetime, kept: int) -> None:
    campaign_facts.write(ledger, ACCOUNT, "scheduled__1", CampaignFacts(late=(LateWords(1, "m", "p"),)))
    prune.prune(ledger, before, DAY)
    assert len(campaign_facts.facts_of(ledger, ACCOUNT, ["scheduled__1"]).late) == kept


def test_no_transaction_deletes_more_than_some_rows(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "ROWS_AT_ONCE", 3)
    run = green_run().write(ledger)
    for _ in range(4):
        write_batch(ledger, run)
    write_batch(ledger, green_run(run_id="second").write(ledger))
    green_run(run_id="third").write(ledger)
    before = rows(ledger)
    left = [before]
    prune.prune(ledger, LATER, DAY, lambda _: left.append(rows(ledger)))
    assert before - left[-1] > 20, "rejections, requests, steps and the run"
    assert max(more - less for more, less in itertools.pairwise(left)) == 3


def rows(ledger: Ledger) -> int:
    """Return how many rows there are of runs and of what they found."""
    return sum(count(ledger, table) for table in (SyncRun, *prune.OF_RUNS))


def test_progress_is_told(ledger: Ledger) -> None:
    green_run().write(ledger)
    green_run(run_id="second").write(ledger)
    heard: list[str] = []
    done = prune.prune(ledger, LATER, DAY, lambda far: heard.append(str(far)))
    assert heard[0].startswith("runs 0, findings ")
    assert heard[-1] == str(done)
    assert done.runs == 1
