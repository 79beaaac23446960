"""Events are kept once, and what becomes of them is written down."""

import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
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


def test_workflow_that_gains_an_event_has_its_body_though_a_run_lets_go_of_it_meanwhile(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED)
    deliveries.write(ledger, "run", settled=[Settled(deliveries.waiting(ledger, ACCOUNT, limit=1)[0].id, "expired")])
    known = inbox._known

    def then_finish(*args: Any) -> Any:
        found = known(*args)
        assert inbox.finish(ledger, ACCOUNT) == 1
        return found

    monkeypatch.setattr(inbox, "_known", then_finish)
    inbox.put(ledger, ACCOUNT, [event("1", "thanks", "survey")], inbox.WEBHOOK)
    assert [w.workflow for w in deliveries.waiting(ledger, ACCOUNT, limit=10)] == ["survey"]


def test_event_that_is_wanted_again_waits_for_its_body(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED)
    deliveries.write(ledger, "run", settled=[Settled(deliveries.waiting(ledger, ACCOUNT, limit=1)[0].id, "skipped")])
    inbox.finish(ledger, ACCOUNT)
    assert deliveries.reopen(ledger, ACCOUNT, [("1", "thanks"), ("1", "survey"), ("9", "thanks")]) == 1
    assert deliveries.waiting(ledger, ACCOUNT, limit=10) == []
    inbox.put(ledger, ACCOUNT, [event("1", body=b"[]")], inbox.ASKED)
    assert [w.body for w in deliveries.waiting(ledger, ACCOUNT, limit=10)] == [b"[]"]


def test_only_events_that_are_wanted_again_are_missed(ledger: Ledger) -> None:
    inbox.put(ledger, ACCOUNT, [event("1"), event("2"), event("3")], inbox.ASKED)
    first, second, _ = deliveries.waiting(ledger, ACCOUNT, limit=3)
    deliveries.write(ledger, "run", settled=[Settled(one.id, "skipped", "why") for one in (first, second)])
    inbox.finish(ledger, ACCOUNT)
    assert inbox.bodiless(ledger, ACCOUNT, limit=10) == []
    deliveries.reopen(ledger, ACCOUNT, [("2", "thanks")])
    (missed,) = inbox.bodiless(ledger, ACCOUNT, limit=10)
    assert (missed.event_id, missed.occurred_at) == ("2", NOON)
    assert inbox.bodiless(ledger, ACCOUNT, limit=10, after=missed.id) == []


def test_put_that_fails_in_the_middle_keeps_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("in the middle")

    monkeypatch.setattr(inbox, "_tell", fail)
    with pytest.raises(ValueError, match="in the middle"):
        inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED)
    with ledger.read() as connection:
        assert connection.execute(select(InboxEvent.id)).all() == []


WRITER = """\
import sys
from datetime import UTC, datetime
from ometria_provider.ledger import inbox
from ometria_provider.ledger.engine import open_ledger
ledger, numbers, new = open_ledger(sys.argv[1]), list(range(400)), 0
if sys.argv[2] == "backwards":
    numbers.reverse()
at = datetime(2026, 3, 1, tzinfo=UTC)
for start in range(0, 400, 40):
    page = [inbox.Collected(str(n), "reward", "ann", at, b"{}", ("thanks",)) for n in numbers[start : start + 40]]
    new += sum(inbox.put(ledger, "antavo_default", page, inbox.ASKED))
print(new)
"""


def test_put_by_two_processes_at_once_keeps_each_event_once(ledger: Ledger, ledger_url: str) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [
        subprocess.Popen([sys.executable, "-c", WRITER, ledger_url, way], **pipes)  # type: ignore[call-overload]
        for way in ("forwards", "backwards")
    ]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum(int(stdout) for stdout, _ in outputs) == 400
    assert len(deliveries.waiting(ledger, ACCOUNT, limit=1_000)) == 400


def test_put_of_a_racing_writers_events_makes_nothing_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox.put(ledger, ACCOUNT, [event("1")], inbox.WEBHOOK)
    monkeypatch.setattr(inbox, "_known", lambda *_: ({}, set()))  # as looked at before the webhook came
    assert inbox.put(ledger, ACCOUNT, [event("1")], inbox.ASKED) == [False]
    assert len(deliveries.waiting(ledger, ACCOUNT, limit=10)) == 1


def test_many_events_are_kept_and_paged_in_little_memory(ledger: Ledger) -> None:
    deliveries.waiting(ledger, ACCOUNT, limit=1)
    tracemalloc.start()
    for start in range(0, 20_000, 1_000):
        assert all(inbox.put(ledger, ACCOUNT, [event(f"e{n}") for n in range(start, start + 1_000)], inbox.ASKED))
    after, seen = 0, 0
    while page := deliveries.waiting(ledger, ACCOUNT, limit=1_000, after=after):
        after, seen = page[-1].id, seen + len(page)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == 20_000
    assert peak < 20_000_000
