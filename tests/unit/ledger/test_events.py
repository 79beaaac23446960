"""Deliveries are found by workflow, state, event and customer; some can be tried again."""

from datetime import UTC, datetime
from typing import Any

from ometria_provider.ledger import deliveries, inbox
from ometria_provider.ledger.deliveries import Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.events import Reopened, deliveries_about, list_deliveries, retry
from ometria_provider.ledger.inbox import Collected

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "antavo_default"


def keep(ledger: Ledger, id_: str, *workflows: str, account: str = ACCOUNT, **values: Any) -> None:
    common = {"action": "reward", "customer_id": "ann", "occurred_at": NOON, "body": b"{}"}
    event = Collected(event_id=id_, workflows=workflows or ("thanks",), **{**common, **values})
    inbox.put(ledger, account, [event], inbox.ASKED)


def settle(ledger: Ledger, state: str, *events: str, account: str = ACCOUNT) -> None:
    rows = [row for row in deliveries.waiting(ledger, account, limit=100) if row.event_id in events]
    reason = None if state == deliveries.ACKNOWLEDGED else "why"
    deliveries.write(ledger, "run-1", settled=[Settled(row.id, state, reason) for row in rows])
    inbox.finish(ledger, account)


def test_list_shows_the_newest_first_by_workflow_and_state(ledger: Ledger) -> None:
    keep(ledger, "1", "thanks", "survey")
    keep(ledger, "2")
    settle(ledger, "filtered", "2")
    assert [(row.event_id, row.workflow) for row in list_deliveries(ledger)] == [
        ("2", "thanks"),
        ("1", "survey"),
        ("1", "thanks"),
    ]
    assert [row.event_id for row in list_deliveries(ledger, workflow="thanks", limit=1)] == ["2"]
    (row,) = list_deliveries(ledger, state="filtered")
    assert (row.event_id, row.reason, row.run_id, row.source, row.occurred_at) == ("2", "why", "run-1", "asked", NOON)


def test_about_finds_by_event_and_by_customer_in_every_account(ledger: Ledger) -> None:
    keep(ledger, "1", "thanks", "survey")
    keep(ledger, "1", account="antavo_uk", customer_id="bob")
    keep(ledger, "2", customer_id="bob")
    assert len(deliveries_about(ledger, "1")) == 3
    assert {(row.account, row.event_id) for row in deliveries_about(ledger, "bob")} == {
        ("antavo_uk", "1"),
        (ACCOUNT, "2"),
    }
    assert deliveries_about(ledger, "nobody") == []


def test_retry_reopens_what_ended_so_and_nothing_acknowledged(ledger: Ledger) -> None:
    for id_ in ("ack", "rej", "skip", "exp", "filt"):
        keep(ledger, id_)
    for id_, state in {"ack": "acknowledged", "rej": "rejected", "skip": "skipped", "exp": "expired"}.items():
        settle(ledger, state, id_)
    settle(ledger, "filtered", "filt")
    assert retry(ledger, states=["rejected"]) == Reopened(1, 0, (ACCOUNT,))
    assert retry(ledger) == Reopened(2, 0, (ACCOUNT,))
    assert retry(ledger) == Reopened(0, 0, ())
    assert {row.event_id for row in list_deliveries(ledger, state="waiting")} == {"rej", "skip", "exp"}
    assert [row.event_id for row in inbox.bodiless(ledger, ACCOUNT, limit=9)] == ["rej", "skip", "exp"]


def test_retry_of_some_events_or_one_workflow_leaves_the_others(ledger: Ledger) -> None:
    keep(ledger, "1", "thanks", "survey")
    keep(ledger, "2")
    settle(ledger, "rejected", "1", "2")
    assert retry(ledger, workflow="survey").deliveries == 1
    assert retry(ledger, events=["2", "3"]).deliveries == 1
    assert [row.event_id for row in list_deliveries(ledger, state="rejected")] == ["1"]


def test_retry_of_an_event_without_a_time_is_counted_and_left(ledger: Ledger) -> None:
    keep(ledger, "1", occurred_at=None)
    settle(ledger, "rejected", "1")
    assert retry(ledger) == Reopened(0, 1, ())
    assert list_deliveries(ledger)[0].state == "rejected"
