"""The trigger that watches the inbox: nothing lost, nothing announced for ever, the event loop never blocked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import InboxEvent
from ometria_provider.triggers import inbox
from ometria_provider.triggers.inbox import InboxTrigger, inbox_asset
from sqlalchemy import delete, insert, update

NOON = 1_790_000_040.0


class Watch:
    """A trigger at work whose clock goes as fast as it is asked, half a second for each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ledger: Ledger, account: str = "antavo_default") -> None:
        self.ledger, self.account, self.now, self.slept = ledger, account, NOON + 20, []
        self.trigger = InboxTrigger(account)
        self._events: AsyncIterator[TriggerEvent] | None = None
        monkeypatch.setattr(inbox, "_ledger", lambda: ledger)
        monkeypatch.setattr(inbox.time, "time", lambda: self.now)
        self._end: float = 0

        async def sleep(seconds: float) -> None:
            self.now += seconds
            self.slept.append(seconds)
            if self.now >= self._end:
                raise TimeoutError

        monkeypatch.setattr(inbox.asyncio, "sleep", sleep)

    def watch(self, seconds: float, *, at: dict[float, Callable[[], Any]] | None = None) -> list[float]:
        """Start it anew and return after how many seconds it fired. `at` says what happens meanwhile."""
        start, fired, todo = self.now, [], sorted((at or {}).items())
        self._end = start + seconds

        async def play() -> None:
            async for _ in self.trigger.run():
                fired.append(self.now - start)

        real = inbox._look

        def look(account: str, after: int) -> tuple[int | None, int]:
            while todo and start + todo[0][0] <= self.now:
                todo.pop(0)[1]()
            return real(account, after)

        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(TimeoutError):
            patch.setattr(inbox, "_look", look)
            asyncio.run(play())
        return fired

    def put(self, event_id: str, *, source: str = "webhook", account: str | None = None) -> None:
        with self.ledger.write() as connection:
            connection.execute(
                insert(InboxEvent).values(
                    account=account or self.account,
                    event_id=event_id,
                    action="reward",
                    received_at=datetime.now(UTC),
                    source=source,
                    body=b"{}",
                )
            )

    def finish(self, *, but: str = "") -> None:
        with self.ledger.write() as connection:
            connection.execute(
                update(InboxEvent).where(InboxEvent.event_id != but).values(body=None, done_at=datetime.now(UTC))
            )

    def prune(self) -> None:
        with self.ledger.write() as connection:
            connection.execute(delete(InboxEvent))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Watch:
    return Watch(monkeypatch, ledger)


def test_trigger_lone_event_fires_once_at_the_next_look(watch):
    assert watch.watch(300, at={10.2: lambda: watch.put("a")}) == [10.25]


def test_trigger_started_again_announces_what_waits_once_more_and_not_for_ever(watch):
    watch.put("a")
    assert watch.watch(300) == [0.0]
    assert watch.watch(300) == [0.0]
    watch.finish()
    assert watch.watch(300) == []


def test_trigger_event_that_waits_for_long_does_not_fire_again_with_each_one_that_is_done(watch):
    fired = watch.watch(
        200,
        at={
            1: lambda: watch.put("stuck"),
            40: lambda: watch.put("quick"),
            45: lambda: watch.finish(but="stuck"),
            100: lambda: watch.put("quick-2"),
            105: lambda: watch.finish(but="stuck"),
        },
    )
    assert fired == [1.0, 40.0, 100.0]


def test_trigger_event_that_was_asked_for_or_of_another_account_does_not_fire(watch):
    watch.put("asked", source="asked")
    watch.put("other", account="antavo_other")
    assert watch.watch(60) == []
    watch.put("ours")
    assert watch.watch(60) == [0.0]


def test_trigger_numbers_given_out_again_after_pruning_are_new_events(watch):
    def again() -> None:
        watch.prune()
        watch.put("new")

    for number in range(5):
        watch.put(f"old-{number}", source="asked")
    assert watch.watch(60, at={20: again}) in ([20.0], [20.25])


def test_trigger_stream_fires_every_fifteen_seconds_but_for_the_clocks_turn(watch):
    watch.now = NOON + 15
    at = {0.2 * n: (lambda n=n: watch.put(f"e{n}")) for n in range(450)}
    assert watch.watch(100, at=at) == [0.0, 15.0, 30.0, 60.0, 75.0, 90.0]


@pytest.mark.parametrize(("error", "pause"), [(Retryable("locked"), 5.0), (Misconfigured("version"), 60.0)])
def test_trigger_ledger_that_cannot_be_read_is_asked_again_later(watch, monkeypatch, caplog, error, pause):
    answers: list[Any] = [error, (1, 1), (None, 1)]

    def look(account: str, after: int) -> tuple[int | None, int]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(inbox, "_look", look)
    assert watch.watch(120) == [pause]
    assert watch.slept[0] == pause


def test_trigger_waiting_for_the_ledger_leaves_the_event_loop_free(monkeypatch):
    async def play() -> int:
        started, release, turns = asyncio.Event(), asyncio.Event(), 0
        loop = asyncio.get_running_loop()

        def look(account: str, after: int) -> tuple[int | None, int]:
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
            return 1, 1

        monkeypatch.setattr(inbox, "_look", look)
        events = InboxTrigger("antavo_default").run()
        waiting = asyncio.ensure_future(anext(events))
        await started.wait()
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        release.set()
        await waiting
        return turns

    assert asyncio.run(play()) == 100


def test_trigger_makes_itself_again_from_what_airflow_keeps():
    path, kwargs = InboxTrigger("antavo_eu").serialize()
    assert (path, kwargs) == ("ometria_provider.triggers.inbox.InboxTrigger", {"account": "antavo_eu"})
    assert InboxTrigger(**kwargs).account == "antavo_eu"
    kept = [encode_trigger(InboxTrigger("antavo_eu")) for _ in range(2)]
    assert BaseEventTrigger.hash(**kept[0]) == BaseEventTrigger.hash(**kept[1])


def test_asset_of_an_inbox_can_stand_beside_a_clock():
    asset = inbox_asset("antavo default/eu")
    assert asset.name == "ometria_inbox__antavo default/eu"
    assert [watcher.trigger.account for watcher in asset.watchers] == ["antavo default/eu"]
    AssetOrTimeSchedule(timetable=CronTriggerTimetable("* * * * *", timezone="UTC"), assets=[asset])
    assert inbox_asset("a").uri != inbox_asset("b").uri
