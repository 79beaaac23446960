"""How long nobody asks after a request that failed."""

from __future__ import annotations

import pytest
from ometria_provider.hooks.answer import Action, Verdict
from ometria_provider.hooks.pace import ATTEMPTS, LONGEST_WAIT, PATIENCE, Retries


def again(action: Action = Action.AGAIN, retry_after: float | None = None) -> Verdict:
    return Verdict(action, status=503, reason="busy", retry_after=retry_after)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 2), (4, 8), (9, LONGEST_WAIT)])
def test_pause_doubles_up_to_the_longest_wait(attempt: int, seconds: float) -> None:
    pause = Retries().pause(again(), attempt)
    assert 0.75 * seconds <= pause <= 1.25 * seconds


def test_pause_after_a_429_is_twice_as_long() -> None:
    assert 1.5 <= Retries().pause(again(Action.THROTTLED), 1) <= 2.5


def test_pauses_of_many_are_spread() -> None:
    assert len({Retries().pause(again(), 3) for _ in range(10)}) > 1


def test_pause_is_never_shorter_than_the_server_asks_for() -> None:
    assert Retries(first_wait=0).pause(again(retry_after=50), 1) == 50


def test_last_attempt_is_the_sixth_or_one_after_which_a_worker_may_not_wait() -> None:
    assert [Retries().is_last(again(), number) for number in (1, ATTEMPTS - 1, ATTEMPTS)] == [False, False, True]
    assert Retries().is_last(again(retry_after=PATIENCE + 1), 1)
