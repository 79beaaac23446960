"""Decide when waiting events may start a run: one alone at once, a stream every 15 seconds."""

from __future__ import annotations

from collections import deque

#: Seconds between two starts.
GAP = 15.0

#: Starts within a minute. The run that the clock starts with every minute is the fourth.
STARTS_A_MINUTE = 3

_MINUTE = 60.0


class Pace:
    """Remembers the starts of the last minute.

    The DAG runs at every full minute too, and that run takes along what waits. So a stream keeps its distance from it
    on either side, and starts a run at :00 (the clock), :15, :30 and :45. An event is of a stream when one had to wait
    shortly before it; any other starts a run at once.
    """

    def __init__(self) -> None:
        self._starts: deque[float] = deque()
        self._held_at = float("-inf")

    def start(self, now: float, *, waiting: bool) -> bool:
        """Say whether to start a run, and count it as started. To be asked all the time.

        :param now: unix time: full minutes are told from it.
        :param waiting: whether anything waits.
        """
        while self._starts and now - self._starts[0] >= _MINUTE:
            self._starts.popleft()
        if not waiting:
            return False
        if not self._may_start(now):
            self._held_at = now
            return False
        # Looking takes a moment: counted from the moment itself, a stream would fall behind the clock.
        late = now % GAP
        self._starts.append(now - late if late < 1 else now)
        return True

    def _may_start(self, now: float) -> bool:
        if len(self._starts) >= STARTS_A_MINUTE or (self._starts and now - self._starts[-1] < GAP):
            return False
        return now - self._held_at >= GAP or GAP <= now % _MINUTE < 3 * GAP + 1
