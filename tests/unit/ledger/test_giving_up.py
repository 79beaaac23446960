"""What nobody can deliver any more is skipped, and what somebody may have the file for waits."""

from datetime import UTC, datetime, timedelta

from ometria_provider.ledger import deliveries, giving_up, inbox
from ometria_provider.ledger.deliveries import Departing, Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.ledger.models import EventDelivery
from sqlalchemy import select, update

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "antavo_default"


def event(id_: str, *workflows: str) -> Collected:
    return Collected(id_, "reward", "ann", NOON, b"{}", workflows)


def fates(ledger: Ledger) -> dict[tuple[str, str], str]:
    with ledger.read() as connection:
        query = select(EventDelivery.event_id, EventDelivery.workflow, EventDelivery.state)
        return {(event_id, workflow): state for event_id, workflow, state in connection.execute(query)}


def test_what_nobody_can_deliver_is_skipped_with_the_reason(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1", "thanks", "survey"), event("2", "survey")], inbox.ASKED)
    thanks, *_ = deliveries.waiting(ledger, ACCOUNT, limit=1)
    deliveries.write(ledger, "run", departing=[Departing(thanks.id, "thanks:1")])
    assert giving_up.without_event(ledger, "run", "gone", account=ACCOUNT, events=["2"]) == 1
    assert giving_up.without_event(ledger, "run", "gone", account="antavo_other", events=["1"]) == 0
    assert fates(ledger) == {("1", "thanks"): "sending", ("1", "survey"): "waiting", ("2", "survey"): "skipped"}
    assert deliveries.counts(ledger, ACCOUNT, "run") == {("thanks", "sending"): 1, ("survey", "skipped"): 1}


def test_delivery_without_a_file_is_skipped_when_nobody_has_worked_on_it_for_an_hour(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1", "thanks", "survey"), event("2", "survey")], inbox.ASKED)
    _, survey, _ = deliveries.waiting(ledger, ACCOUNT, limit=3)
    assert giving_up.without_file(ledger, "run", ACCOUNT, ["thanks"]) == 0
    assert [row.reason for row in deliveries.waiting(ledger, ACCOUNT, limit=3)] == [
        None,
        *[giving_up.FILE_MISSING] * 2,
    ]
    with ledger.write() as connection:
        old = datetime.now(UTC) - timedelta(minutes=61)
        connection.execute(update(EventDelivery).values(updated_at=old))
    deliveries.write(ledger, "other", settled=[Settled(survey.id, deliveries.WAITING, "500")])
    assert giving_up.without_file(ledger, "run", "antavo_other", []) == 0
    assert giving_up.without_file(ledger, "run", ACCOUNT, ["thanks"]) == 1
    assert fates(ledger) == {("1", "thanks"): "waiting", ("1", "survey"): "waiting", ("2", "survey"): "skipped"}
