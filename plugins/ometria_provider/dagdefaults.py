"""What the DAGs of all factories have in common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

#: A task tries again by itself after an error that passes, sooner at first; other errors fail it at once.
DEFAULT_ARGS: dict[str, Any] = {
    "owner": "ometria-sync",
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}

#: Scheduled runs never reach back (catchup is off), so any past date does.
START = datetime(2026, 1, 1, tzinfo=UTC)
