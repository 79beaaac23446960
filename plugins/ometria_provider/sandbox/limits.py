"""Rate limits as a sliding-window log: at most ``limit`` requests in *any* window, wherever it begins.

This is the strictest reading of "8 requests a second": a token bucket or a window that starts on the clock's second
would let bursts of up to twice the limit pass. A refused request does not count.
"""

from __future__ import annotations

from collections import deque


class SlidingWindowLog:
    """The times of the requests admitted in the last ``window`` seconds.

    :param limit: requests a window; 0 = no limit.
    :param window: seconds.
    """

    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window = limit, window
        self.admitted = self.refused = self.peak = 0
        self.first_at: float | None = None
        self.last_at: float | None = None
        self._times: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Count a request at ``now`` (seconds, any steady clock) unless the window is full."""
        while self._times and self._times[0] <= now - self.window:
            self._times.popleft()
        if self.limit and len(self._times) >= self.limit:
            self.refused += 1
            return False
        self._times.append(now)
        self.admitted += 1
        self.peak = max(self.peak, len(self._times))
        self.first_at = now if self.first_at is None else self.first_at
        self.last_at = now
        return True

    def stats(self) -> dict[str, float | None]:
        """Return what was admitted and refused, the fullest window, and the seconds from first to last."""
        lasted = None if self.first_at is None or self.last_at is None else self.last_at - self.first_at
        return {
            "limit": self.limit,
            "window_seconds": self.window,
            "admitted": self.admitted,
            "refused": self.refused,
            "fullest_window": self.peak,
            "seconds_from_first_to_last": lasted,
        }
