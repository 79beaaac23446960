"""When waiting events start a run: alone at once, in a stream every 15 seconds, four a minute with the clock's."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from ometria_provider.triggers.pace import Pace

DAY = 1_790_000_040.0  # a full minute


def play(
    arrivals: list[float], *, until: float, look: float = 0.5, run: float = 0.0
) -> tuple[list[float], list[float]]:
    """Play a trigger's loop beside the clock's runs; return its starts, and how long each arrival waited for any run.

    :param look: seconds between two looks.
    :param run: seconds until a run has what waited when it started, and what came meanwhile.
    """
    pace, own, waits, waiting, announced, now, ends = Pace(), [], [], [], -1.0, 0.0, []
    left = sorted(arrivals)
    while now < until:
        while left and left[0] <= now:
            waiting.append(left.pop(0))
        if now // 60 != (now - look) // 60:
            ends.append(now + run)
        if pace.start(DAY + now, waiting=bool(waiting) and waiting[-1] > announced):
            own.append(now)
            announced = waiting[-1]
            ends.append(now + run)
        while ends and ends[0] <= now:
            ends.pop(0)
            waits += [now - each for each in waiting]
            waiting = []
        now += look
    assert not waiting
    return own, waits


def test_pace_event_alone_starts_at_once():
    own, waits = play([7.0], until=60)
    assert own == [7.0]
    assert waits == [0.0]


@pytest.mark.parametrize("first", [0.5, 1.0, 14.0, 59.0])
@pytest.mark.parametrize("run", [0.0, 3.0])
def test_pace_events_twenty_seconds_apart_each_start_at_once(first, run):
    own, _ = play([first + 20 * n for n in range(30)], until=660, run=run)
    assert own == [first + 20 * n for n in range(30)]


@pytest.mark.parametrize("look", [0.5, 0.53, 0.71])
@pytest.mark.parametrize("run", [0.0, 3.0])
@pytest.mark.parametrize("first", [0.2 * n for n in range(0, 300, 7)])
def test_pace_stream_starts_four_runs_a_minute_with_the_clocks_and_waits_no_longer_than_its_gap(first, run, look):
    arrivals = [first + 0.2 * n for n in range(5 * 300)]
    own, waits = play(arrivals, until=420, run=run, look=look)
    runs = sorted({*own, *(60.0 * n for n in range(8))})
    for at in (step * 0.5 for step in range(720)):
        # A look comes up to a look's length after its moment.
        assert len([start for start in runs if at <= start < at + 59]) <= 4
    waits.sort()
    assert waits[int(0.95 * len(waits))] <= 16 + run
    assert max(waits) <= 31 + run


@pytest.mark.parametrize("seed", range(40))
def test_pace_whatever_comes_starts_are_apart_and_few_and_nothing_waits_a_minute(seed):
    rng = random.Random(seed)
    arrivals = [rng.uniform(0, 600) for _ in range(rng.choice([3, 30, 300]))]
    own, waits = play(arrivals, until=720, run=rng.choice([0.0, 2.0, 5.0]))
    assert all(later - earlier >= 14 for earlier, later in pairwise(own))
    assert all(len([run for run in own if at <= run < at + 59]) <= 3 for at in own)
    assert max(waits) <= 65


def test_pace_nothing_waiting_starts_nothing():
    assert not Pace().start(DAY + 30, waiting=False)
