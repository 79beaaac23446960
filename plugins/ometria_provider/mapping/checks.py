"""What pydantic cannot know about a mapping file: whether its fields exist, fit its mode and do not contradict.

Works on a file's plain data, which may be wrong in any way, so that one look finds everything.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from ometria_provider.mapping.catalogue import FieldProblem, closest
from ometria_provider.mapping.fields import IDENTITY, check_loyalty, check_remote, remote_type
from ometria_provider.mapping.formats import final_step
from ometria_provider.mapping.issues import (
    MOST_CUSTOM_FIELDS,
    Issue,
    Look,
    duration_issue,
    field_issues,
    row_issues,
    where_issues,
)
from ometria_provider.mapping.source import Loc
from ometria_provider.mapping.transforms import run_steps
from ometria_provider.mapping.values import Unconvertible

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")

_DURATIONS = {
    "retry_rejected": "P1D or PT12H; null: only when the record changes",
    "details_max_age": "P7D or PT12H",
    "full_every": "P7D or PT12H",
    "approve_within": "PT12H or P1D",
}

#: A run may wait no longer than this: its staging, which the push reads, is kept for three days.
LONGEST_WAIT = datetime.timedelta(days=2)


def find_issues(data: dict[str, Any]) -> Iterator[Issue]:
    """Find what is wrong in a mapping file's data beyond its form."""
    look = partial(check_loyalty, mode=data.get("mode", "legacy"))
    yield from _schedule(data)
    yield from _identity(data, look)
    yield from where_issues(data.get("where"), look)
    for key, hint in _DURATIONS.items():
        if data.get(key) is not None:
            yield from duration_issue((key,), data[key], hint)
    yield from _wait(data.get("approve_within"))
    rows = data.get("fields")
    if isinstance(rows, list):
        for index, row in enumerate(rows):
            if isinstance(row, dict):
                yield from _row(("fields", index), row, look)
        yield from _remotes(rows, data.get("identity"))
        yield from _force(data.get("consent"), rows)


def _wait(text: Any) -> Iterator[Issue]:
    """Find a wait that would be none, or outlive what the run goes on with."""
    if text is None or next(duration_issue(("approve_within",), text, ""), None):
        return
    wait = TypeAdapter(datetime.timedelta).validate_python(text)
    if not datetime.timedelta(0) < wait <= LONGEST_WAIT:
        hint = "write one from PT1M to P2D, such as PT12H; `approve: never` waits for nobody"
        yield Issue(("approve_within",), "`approve_within` must be above nothing and at most P2D", hint)


def _force(consent: Any, rows: list[Any]) -> Iterator[Issue]:
    """Find a force that nothing would ever use (contract/ometria.md: only together with `marketing_optin`)."""
    mapped = any(isinstance(row, dict) and row.get("remote") == "marketing_optin" for row in rows)
    if isinstance(consent, dict) and consent.get("force_opt_out") is True and not mapped:
        hint = "add the row, such as {loyalty: properties.newsletter, remote: marketing_optin}"
        yield Issue(("consent", "force_opt_out"), "`force_opt_out` needs a row for `marketing_optin`", hint)


def _schedule(data: dict[str, Any]) -> Iterator[Issue]:
    schedule, timezone = data.get("schedule"), data.get("timezone")
    if isinstance(schedule, str) and schedule not in PRESETS:
        if schedule.startswith("@"):
            hint = closest(schedule, PRESETS) or f"write one of {', '.join(PRESETS)}"
            yield Issue(("schedule",), f"unknown preset `{schedule}`", hint)
        elif not _is_cron(schedule):
            hint = 'five fields: minute hour day month weekday, such as "15 4 * * *"'
            yield Issue(("schedule",), f"`{schedule}` is not a cron expression", hint)
    if isinstance(timezone, str) and not _is_timezone(timezone):
        from zoneinfo import available_timezones

        hint = closest(timezone, available_timezones()) or "write one such as `Europe/London`"
        yield Issue(("timezone",), f"unknown time zone `{timezone}`", hint)


def _is_cron(schedule: str) -> bool:
    """Ask the library that Airflow itself reads schedules with, but for the extra fields that it also takes."""
    from importlib import import_module

    croniter = import_module("croniter").croniter
    return len(schedule.split()) == 5 and bool(croniter.is_valid(schedule))


def _is_timezone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown, a folder, or not a name at all
        return False
    return True


def _identity(data: dict[str, Any], look: Look) -> Iterator[Issue]:
    identity = data.get("identity")
    if not isinstance(identity, dict):
        return
    if "id" in identity and identity["id"] is None:
        yield Issue(("identity", "id"), "the identity `id` must not be null", "write `id: id`, or remove it")
    if identity.get("email", "") is None and identity.get("customer_id", "") is None:
        message = "`email` and `customer_id` must not both be null"
        yield Issue(("identity", "customer_id"), message, "keep one of them: Ometria knows people by these")
    for remote in IDENTITY:
        if isinstance(identity.get(remote), str):
            yield from field_issues(("identity", remote), identity[remote], look)
            if identity[remote].startswith("extensions."):
                message = "a detail cannot say who a contact is: it is asked for only when something changed"
                yield Issue(("identity", remote), message, "name a field of the customer's own")


def _row(loc: Loc, row: dict[str, Any], look: Look) -> Iterator[Issue]:
    found = list(row_issues(loc, row, look, "first_name"))
    yield from found
    remote = row.get("remote")
    if isinstance(remote, str):
        try:
            check_remote(remote)
        except FieldProblem as problem:
            yield Issue((*loc, "remote"), str(problem), problem.hint)
    if "value" in row and (*loc, "value") not in [issue.loc for issue in found]:
        yield from _constant(loc, row["value"], remote)


def _constant(loc: Loc, value: Any, remote: Any) -> Iterator[Issue]:
    if remote in IDENTITY:
        yield Issue(
            (*loc, "value"), f"`{remote}` says who a contact is: it cannot be a constant", "map a loyalty field"
        )
    elif isinstance(remote, str):
        try:
            run_steps((final_step(remote, datetime.datetime.now(datetime.UTC).date()),), value)
        except Unconvertible as problem:
            yield Issue((*loc, "value"), f"the constant for `{remote}` {problem}")


def _remotes(rows: list[Any], identity: Any) -> Iterator[Issue]:
    """Find remote fields mapped twice, rows that contradict the identity, and more custom fields than there can be."""
    first: dict[str, int] = {}
    named = identity if isinstance(identity, dict) else {}
    custom = 0
    for index, row in enumerate(rows):
        remote = row.get("remote") if isinstance(row, dict) else None
        if not isinstance(remote, str):
            continue
        loc: Loc = ("fields", index, "remote")
        if remote in first:
            message = f"the remote field `{remote}` is mapped twice, first in row {first[remote] + 1}"
            yield Issue(loc, message, "remove one of the rows")
            continue
        first[remote] = index
        if remote in IDENTITY and remote in named and row.get("loyalty") != named[remote]:
            yield Issue(loc, f"`identity` gives `{remote}` another loyalty field", "name it in one place only")
        custom += remote_type(remote) is None
        if custom == MOST_CUSTOM_FIELDS + 1:
            yield Issue(loc, f"Ometria holds at most {MOST_CUSTOM_FIELDS} custom fields of contacts", "remove rows")
