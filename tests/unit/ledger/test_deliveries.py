"""What becomes of an event is written down, workflow by workflow."""

from datetime import UTC, datetime

from ometria_provider.ledger import deliveries, inbox
from ometria_provider.ledger.deliveries import Departing, Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.ledger.models import EventDelivery
from sqlalchemy import select, text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "antavo_default"


def event(id_: str, *workflows: str, body: bytes = b"{}") -> Collected:
    return Collected(id_, "reward", "ann", NOON, body, workflows or ("thanks",))


def test_waiting_ones_come_page_by_page_and_by_workflow(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event(str(n), "thanks", "survey") for n in range(3)], inbox.ASKED)
    first = deliveries.waiting(ledger, ACCOUNT, limit=4)
    rest = deliveries.waiting(ledger, ACCOUNT, limit=4, after=first[-1].id)
    assert [(w.event_id, w.workflow) for w in [*first, *rest]] == [
        (str(n), workflow) for n in range(3) for workflow in ("thanks", "survey")
    ]
    assert [w.event_id for w in deliveries.waiting(ledger, ACCOUNT, limit=9, workflow="survey")] == ["0", "1", "2"]


def test_one_on_its_way_is_found_again_and_counted(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1"), event("2")], inbox.ASKED)
    one, two = deliveries.waiting(ledger, ACCOUNT, limit=2)
    deliveries.write(ledger, "run", departing=[Departing(one.id, "thanks:1"), Departing(two.id, "thanks:2")])
    assert [(w.state, w.attempts) for w in deliveries.waiting(ledger, ACCOUNT, limit=2)] == [("sending", 1)] * 2
    deliveries.write(
        ledger, "next", settled=[Settled(one.id, deliveries.ACKNOWLEDGED)], departing=[Departing(two.id, "thanks:2")]
    )
    assert [(w.event_id, w.attempts) for w in deliveries.waiting(ledger, ACCOUNT, limit=2)] == [("2", 2)]
    assert deliveries.counts(ledger, ACCOUNT, "next") == {("thanks", "acknowledged"): 1, ("thanks", "sending"): 1}
    with ledger.read() as connection:
        at = dict(iter(connection.execute(select(EventDelivery.event_id, EventDelivery.acknowledged_at))))
    assert at["1"] is not None
    assert at["2"] is None


def test_what_has_not_ended_is_not_reopened(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED)
    assert deliveries.reopen(ledger, ACCOUNT, [("1", "thanks")]) == 0


def test_what_has_ended_is_neither_sent_nor_ended_again(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED)
    (one,) = deliveries.waiting(ledger, ACCOUNT, limit=1)
    deliveries.write(ledger, "run", settled=[Settled(one.id, deliveries.ACKNOWLEDGED)])
    deliveries.write(ledger, "next", settled=[Settled(one.id, deliveries.REJECTED, "late")])
    deliveries.write(ledger, "next", departing=[Departing(one.id, "thanks:1")])
    assert deliveries.counts(ledger, ACCOUNT, "run") == {("thanks", "acknowledged"): 1}


def test_counts_of_another_account_with_the_same_run_id_stay_out(ledger: Ledger) -> None:
    for account in (ACCOUNT, "antavo_other"):
        inbox.put(ledger, account, [event("1")], inbox.ASKED)
        (one,) = deliveries.waiting(ledger, account, limit=1)
        deliveries.write(ledger, "run", settled=[Settled(one.id, deliveries.ACKNOWLEDGED)])
    assert deliveries.counts(ledger, ACCOUNT, "run") == {("thanks", "acknowledged"): 1}


def test_waiting_ones_are_found_by_their_index_alone(sqlite_ledger: Ledger) -> None:
    with sqlite_ledger.read() as connection:
        steps = connection.execute(
            text(
                f"EXPLAIN QUERY PLAN SELECT id FROM event_delivery WHERE {deliveries.IS_UNDONE.text} "
                "AND account = 'a' AND id > 5 ORDER BY id LIMIT 10"
            )
        ).all()
    assert len(steps) == 1, steps
    assert "ix_event_delivery_undone" in steps[0][-1]


def test_what_ended_goes_again_once_for_each_run(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1", "thanks", "survey", "alert")], inbox.ASKED)
    thanks, survey, _ = deliveries.waiting(ledger, ACCOUNT, limit=3)
    ends = [Settled(thanks.id, deliveries.ACKNOWLEDGED), Settled(survey.id, deliveries.FILTERED, "where")]
    deliveries.write(ledger, "run", settled=ends)
    assert deliveries.to_send_again(ledger, ACCOUNT, "9", run_id="next") is None
    assert deliveries.to_send_again(ledger, ACCOUNT, "1", run_id="run") == []
    assert deliveries.to_send_again(ledger, ACCOUNT, "1", run_id="next") == [
        ("survey", "filtered"),
        ("thanks", "acknowledged"),
    ]
    assert deliveries.to_send_again(ledger, ACCOUNT, "1", run_id="next", workflow="thanks") == [
        ("thanks", "acknowledged")
    ]
