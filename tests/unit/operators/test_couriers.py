"""Threads that push one body after the other."""

from __future__ import annotations

import gc
import sys

import pytest
from ometria_provider.hooks.ometria_answers import PushAnswer
from ometria_provider.operators.couriers import SWITCH, Couriers


def test_collector_leaves_alone_what_lived_before_the_requests_while_they_go() -> None:
    seen: list[int] = []

    def push(_body: bytes) -> PushAnswer:
        seen.append(gc.get_freeze_count())
        return PushAnswer(1, 0, None)

    before = gc.get_freeze_count()
    with Couriers(push, 1) as couriers:
        couriers.send(1, b"")
        couriers.answers(1, 0)
    assert seen[0] > before + 10_000, "all that is imported"
    assert gc.get_freeze_count() == 0


def test_threads_hand_over_sooner_while_requests_go_and_as_usual_afterwards() -> None:
    usual = sys.getswitchinterval()
    with Couriers(lambda _body: PushAnswer(1, 0, None), 1):
        assert sys.getswitchinterval() == pytest.approx(SWITCH) != usual
    assert sys.getswitchinterval() == usual


def test_each_body_is_answered_and_what_a_push_raised_is_an_answer() -> None:
    fault = RuntimeError("no")

    def push(body: bytes) -> PushAnswer:
        if body == b"bad":
            raise fault
        return PushAnswer(1, 0, body.decode())

    with Couriers(push, 2) as couriers:
        for number, body in enumerate((b"a", b"bad", b"b")):
            couriers.send(number, body)
        came = dict(outcome for _ in range(3) for outcome in couriers.answers(1, 0))
    assert came == {0: PushAnswer(1, 0, "a"), 1: fault, 2: PushAnswer(1, 0, "b")}
