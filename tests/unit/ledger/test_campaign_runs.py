"""What a run made of its events is told from the ledger alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ometria_provider.ledger import deliveries, inbox
from ometria_provider.ledger.campaign_runs import (
    Outcome,
    Undone,
    delays,
    latest_runs,
    outcomes,
    runs_since,
    told,
    undone,
)
from ometria_provider.ledger.deliveries import ACKNOWLEDGED, SKIPPED, WAITING, Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from sqlalchemy import event

ACCOUNT = "antavo_default"


def put(ledger: Ledger, *ages: float | None, workflow: str = "thanks") -> list[int]:
    """Keep an event for each age in seconds; return the numbers of their deliveries."""
    now = datetime.now(UTC)
    times = [None if age is None else now - timedelta(seconds=age) for age in ages]
    events = [Collected(f"e{n}", "reward", "ann", at, b"{}", (workflow,)) for n, at in enumerate(times)]
    inbox.put(ledger, ACCOUNT, events, inbox.ASKED)
    return [row.id for row in deliveries.waiting(ledger, ACCOUNT, limit=100, workflow=workflow)]


def test_outcomes_are_counted_by_state_and_reason_of_one_run_and_workflow(ledger: Ledger) -> None:
    ids, other = put(ledger, *[1] * 6), put(ledger, 1, workflow="other")
    deliveries.write(ledger, "before", settled=[Settled(ids[0], ACKNOWLEDGED)])
    ends = [(SKIPPED, "rare"), (SKIPPED, "common"), (SKIPPED, "common"), (ACKNOWLEDGED, None)]
    settled = [Settled(id_, state, reason) for id_, (state, reason) in zip(ids[1:], ends, strict=False)]
    deliveries.write(ledger, "run", settled=[*settled, Settled(other[0], ACKNOWLEDGED)])
    assert outcomes(ledger, ["run"], "thanks") == [
        Outcome(ACKNOWLEDGED, None, 1, "e4"),
        Outcome(SKIPPED, "common", 2, "e3"),
        Outcome(SKIPPED, "rare", 1, "e1"),
    ]
    assert undone(ledger, ACCOUNT, "thanks") == Undone(held=0, new=1)
    deliveries.write(ledger, "later", settled=[Settled(ids[5], WAITING, "500")])
    assert undone(ledger, ACCOUNT, "thanks") == Undone(held=1, new=0)
    assert undone(ledger, "antavo_uk", "thanks") == Undone(0, 0)
    assert (told(ledger, ACCOUNT, "thanks"), told(ledger, "antavo_uk", "thanks")) == (6, 0)


def test_delays_ascend_and_leave_out_what_has_no_time_or_was_not_acknowledged(ledger: Ledger) -> None:
    ids = put(ledger, 30, None, 10, 20)
    ends = (ACKNOWLEDGED, ACKNOWLEDGED, ACKNOWLEDGED, SKIPPED)
    deliveries.write(ledger, "run", settled=[Settled(i, end, "why") for i, end in zip(ids, ends, strict=True)])
    found = delays(ledger, ["run"], "thanks")
    assert [round(seconds, -1) for seconds in found] == [10, 30]
    assert delays(ledger, ["another"], "thanks") == []


def test_runs_since_a_time_are_named_once_and_together_they_count_all(ledger: Ledger) -> None:
    ids = put(ledger, 1, 1, 1)
    deliveries.write(ledger, "old", settled=[Settled(ids[0], ACKNOWLEDGED)])
    since = datetime.now(UTC)
    deliveries.write(ledger, "a", settled=[Settled(ids[1], ACKNOWLEDGED)])
    deliveries.write(ledger, "b", settled=[Settled(ids[2], ACKNOWLEDGED)])
    assert runs_since(ledger, ACCOUNT, "thanks", since) == ["a", "b"]
    assert [each.events for each in outcomes(ledger, ["a", "b"], "thanks")] == [2]
    assert len(delays(ledger, ["a", "b"], "thanks")) == 2


def test_latest_runs_are_told_by_the_latest_events(ledger: Ledger) -> None:
    ids = put(ledger, *[1] * 4)
    deliveries.write(ledger, "first", settled=[Settled(ids[0], ACKNOWLEDGED)])
    deliveries.write(ledger, "second", settled=[Settled(ids[1], ACKNOWLEDGED), Settled(ids[2], SKIPPED, "why")])
    second, first = latest_runs(ledger, "thanks")
    assert (second.account, second.run_id, second.states) == (ACCOUNT, "second", {ACKNOWLEDGED: 1, SKIPPED: 1})
    assert (first.run_id, first.states) == ("first", {ACKNOWLEDGED: 1})
    assert latest_runs(ledger, "thanks", 1) == [second]
    assert latest_runs(ledger, "other") == []


def test_latest_runs_sort_nothing_however_many_events_there_are(sqlite_ledger: Ledger) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(sqlite_ledger.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    latest_runs(sqlite_ledger, "thanks")
    ((statement, values),) = [each for each in asked if "event_delivery" in each[0]]
    with sqlite_ledger.read() as connection:
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert plan == ["SEARCH event_delivery USING INDEX ix_event_delivery_workflow_id (workflow=?)"]
