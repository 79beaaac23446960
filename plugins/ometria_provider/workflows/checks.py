"""What pydantic cannot know about a workflow file: whether its fields exist, and what Ometria makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ometria_provider.mapping.issues import Issue, duration_issue, row_issues, where_issues
from ometria_provider.mapping.source import Loc
from ometria_provider.mapping.values import Unconvertible, parse_time
from ometria_provider.workflows.fields import workflow_field


def find_issues(data: dict[str, Any]) -> Iterator[Issue]:
    """Find what is wrong in a workflow file's data beyond its form."""
    yield from where_issues(data.get("where"), workflow_field)
    if (text := data.get("expires_after")) is not None:
        yield from duration_issue(("expires_after",), text, "PT24H or P7D")
    yield from _start(data.get("start", "now"))
    action = data.get("action")
    rows = action.get("payload") if isinstance(action, dict) else None
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict):
            yield from row_issues(("action", "payload", index), row, workflow_field, "reward.name")


def _start(start: Any) -> Iterator[Issue]:
    loc: Loc = ("start",)
    if start == "now":
        return
    try:
        parse_time(start if isinstance(start, str) else "")
    except Unconvertible:
        yield Issue(loc, "`start` is `now`, a date or a time", "write one such as 2026-01-31 or 2026-01-31T09:00:00Z")
