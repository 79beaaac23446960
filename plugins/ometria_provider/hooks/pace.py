"""How fast requests go: who is asked before each, how often a failed one goes again, and what was asked for so far."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from ometria_provider.hooks.answer import Action, Verdict

ATTEMPTS = 6
FIRST_WAIT = 1.0  # seconds; doubles with each attempt, and again on a 429: six attempts wait 31 s, or 60 s
LONGEST_WAIT = 30.0
PATIENCE = 120.0  # a Retry-After beyond this is for the scheduler to wait for, not for a worker


class Limiter(Protocol):
    """The account's rate budget, shared by every task on every worker (`ledger/budget.py`)."""

    def acquire(self, bucket: str) -> None:
        """Block until this request may go, now."""

    def departed(self, bucket: str) -> None:
        """Hear that this thread's request is on its way; must not raise."""

    def yield_for(self, bucket: str, seconds: float) -> None:
        """Let nobody go for so long: the server said 429."""


@dataclass
class Usage:
    """What a hook has asked for so far.

    :param requests: requests sent, repetitions included.
    :param throttled: answers that were 429.
    :param retried: repetitions.
    """

    requests: int = 0
    throttled: int = 0
    retried: int = 0


@dataclass(frozen=True)
class Retries:
    """The attempts of a request.

    :param attempts: how often it is sent before the fault is the caller's.
    :param first_wait: seconds before the second attempt.
    """

    attempts: int = ATTEMPTS
    first_wait: float = FIRST_WAIT

    def pause(self, verdict: Verdict, attempt: int) -> float:
        """Return the seconds before the next attempt: exponential with jitter, at least what the server asked for."""
        wait = self.first_wait * 2.0 ** (attempt - 1) * (2 if verdict.action is Action.THROTTLED else 1)
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - spreads retries, protects nothing
        return max(min(wait, LONGEST_WAIT) * jitter, verdict.retry_after or 0.0)

    def is_last(self, verdict: Verdict, attempt: int) -> bool:
        """Say whether no attempt follows this one."""
        return attempt >= self.attempts or (verdict.retry_after or 0.0) > PATIENCE
