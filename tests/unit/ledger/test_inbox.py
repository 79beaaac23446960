"""Events are kept once, and what becomes of them is written down."""

from datetime import UTC, datetime

from ometria_provider.ledger import deliveries, inbox
from ometria_provider.ledger.deliveries import Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.ledger.models import InboxEvent
from sqlalchemy import select

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "antavo_default"


def event(id_: str, *workflows: str, body: bytes = b"{}") -> Collected:
    return Collected(id_, "reward", "ann", NOON, body, workflows or ("thanks",))


def test_event_that_comes_twice_is_kept_once(ledger: Ledger) -> None:
    assert inbox.put(ledger, ACCOUNT, [event("1")], inbox.WEBHOOK) == [True]
    assert inbox.put(ledger, ACCOUNT, [event("1"), event("2"), event("2")], inbox.ASKED) == [False, True, False]
    waiting = deliveries.waiting(ledger, ACCOUNT, limit=10)
    assert [(w.event_id, w.workflow, w.customer_id, w.occurred_at) for w in waiting] == [
        ("1", "thanks", "ann", NOON),
        ("2", "thanks", "ann", NOON),
    ]
    with ledger.read() as connection:
        assert set(connection.execute(select(InboxEvent.source)).scalars()) == {"webhook", "asked"}


def test_one_event_id_of_two_accounts_is_two_events(ledger: Ledger) -> None:
    assert inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED) == [True]
    assert inbox.put(ledger, "antavo_other", [event("1")], inbox.ASKED) == [True]


def test_body_goes_when_every_workflow_is_done_with_the_event(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1", "thanks", "survey"), event("2")], inbox.ASKED)
    first, second, _ = deliveries.waiting(ledger, ACCOUNT, limit=10)
    deliveries.write(ledger, "run", settled=[Settled(first.id, deliveries.ACKNOWLEDGED)])
    assert inbox.finish(ledger, ACCOUNT) == 0
    deliveries.write(ledger, "run", settled=[Settled(second.id, deliveries.FILTERED, "where: event.points")])
    assert inbox.finish(ledger, ACCOUNT) == 1
    with ledger.read() as connection:
        bodies = dict(iter(connection.execute(select(InboxEvent.event_id, InboxEvent.body))))
    assert bodies == {"1": None, "2": b"{}"}


def test_workflow_that_came_later_is_told_of_an_event_that_is_done(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED)
    deliveries.write(ledger, "run", settled=[Settled(deliveries.waiting(ledger, ACCOUNT, limit=1)[0].id, "expired")])
    inbox.finish(ledger, ACCOUNT)
    assert inbox.put(ledger, ACCOUNT, [event("1", "thanks", "survey", body=b"[]")], inbox.ASKED) == [False]
    assert [(w.workflow, w.body) for w in deliveries.waiting(ledger, ACCOUNT, limit=10)] == [("survey", b"[]")]


def test_event_that_is_wanted_again_waits_for_its_body(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED)
    deliveries.write(ledger, "run", settled=[Settled(deliveries.waiting(ledger, ACCOUNT, limit=1)[0].id, "skipped")])
    inbox.finish(ledger, ACCOUNT)
    assert deliveries.reopen(ledger, ACCOUNT, [("1", "thanks"), ("1", "survey"), ("9", "thanks")]) == 1
    assert deliveries.waiting(ledger, ACCOUNT, limit=10) == []
    inbox.put(ledger, ACCOUNT, [event("1", body=b"[]")], inbox.ASKED)
    assert [w.body for w in deliveries.waiting(ledger, ACCOUNT, limit=10)] == [b"[]"]
