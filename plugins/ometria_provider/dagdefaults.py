"""What the DAGs of all factories have in common."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

#: What the ids of our DAGs begin with; a mapping or an Antavo connection follows.
CONTACT_SYNC, CAMPAIGN_EVENTS = "contact_sync__", "campaign_events__"

#: The only task of a campaign DAG.
CAMPAIGNS = "campaigns"

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


def contact_sync_id(mapping: str) -> str:
    """Return the id of a mapping's DAG."""
    return _bent(CONTACT_SYNC, mapping)


def campaign_events_id(connection: str) -> str:
    """Return the id of an Antavo connection's DAG."""
    return _bent(CAMPAIGN_EVENTS, connection)


def _bent(prefix: str, name: str) -> str:
    """Bend a name that Airflow would refuse until it takes it."""
    return prefix + re.sub(r"[^\w.-]", "_", name)[:200]
