from __future__ import annotations

import random

from ometria_provider.sandbox.limits import SlidingWindowLog


def test_burst_of_nine_refuses_the_ninth() -> None:
    limit = SlidingWindowLog(8, 1)
    assert [limit.admit(100.0 + n / 1000) for n in range(9)] == [True] * 8 + [False]
    assert (limit.admitted, limit.refused, limit.peak) == (8, 1, 8)


def test_window_counts_across_the_turn_of_a_second() -> None:
    limit = SlidingWindowLog(8, 1)
    assert all(limit.admit(100.9 + n / 100) for n in range(8))  # a window on the clock's second would start anew at 101
    assert not limit.admit(101.1)
    assert limit.admit(101.9)


def test_refused_requests_do_not_count() -> None:
    limit = SlidingWindowLog(1, 1)
    assert limit.admit(0)
    assert not any(limit.admit(n / 10) for n in range(1, 10))
    assert limit.admit(1)


def test_no_window_holds_more_than_the_limit_under_random_load() -> None:
    draw, limit, now = random.Random(4), SlidingWindowLog(8, 1), 0.0
    passed = []
    for _ in range(3000):
        now += draw.expovariate(20)
        if limit.admit(now):
            passed.append(now)
    assert all(late - early >= 1 for early, late in zip(passed, passed[8:], strict=False))
    assert limit.stats()["fullest_window"] == 8


def test_zero_means_no_limit() -> None:
    limit = SlidingWindowLog(0, 1)
    assert all(limit.admit(5) for _ in range(1000))
