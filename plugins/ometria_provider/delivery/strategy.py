"""Decide whether a run reads everybody, or only the customers who changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class LastScan:
    """The last complete scan that was delivered.

    :param same: mapping, rules and Antavo account are the same by now.
    """

    started_at: datetime
    same: bool


def why_full(last: LastScan | None, cursor: datetime | None, *, now: datetime, full_every: timedelta) -> str | None:
    """Return why a run that should read changed customers only reads everybody all the same; None: it need not.

    :param cursor: up to when changes were read and delivered.
    """
    if last is None or cursor is None:
        return "no complete scan was delivered yet"
    if not last.same:
        return "the mapping, a rule or the Antavo connection changed since the last complete scan"
    if now - last.started_at >= full_every:
        return f"the last complete scan began {_days(now - last.started_at)} ago"
    return None


def _days(age: timedelta) -> str:
    hours = round(age.total_seconds() / 3600)
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"
