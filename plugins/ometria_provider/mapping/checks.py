"""What pydantic cannot know about a mapping file: whether its fields exist, fit its mode and do not contradict.

Works on a file's plain data, which may be wrong in any way, so that one look finds everything.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from ometria_provider.mapping.fields import (
    IDENTITY,
    FieldProblem,
    check_loyalty,
    check_remote,
    closest,
    remote_type,
)
from ometria_provider.mapping.formats import final_step
from ometria_provider.mapping.model import OPERATORS, TransformName
from ometria_provider.mapping.rules import compile_test
from ometria_provider.mapping.source import Loc
from ometria_provider.mapping.transforms import run_steps
from ometria_provider.mapping.values import Unconvertible

MOST_CUSTOM_FIELDS = 100  # of one type, for an account (contract/ometria.md)
PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")

_DURATION = re.compile(r"P(?=.)(\d+W|(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)")
_DURATIONS = {
    "retry_rejected": "P1D or PT12H; null: only when the record changes",
    "details_max_age": "P7D or PT12H",
    "full_every": "P7D or PT12H",
}
_TRANSFORMS = get_args(TransformName)
_OPTIONS = {"e164": "GB", "join": '"|"', "map": "{gold: G}", "round": "1"}


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong at a place in the data; ``key`` when the key itself is meant."""

    loc: Loc
    message: str
    hint: str = ""
    key: bool = False


def find_issues(data: dict[str, Any]) -> Iterator[Issue]:
    """Find what is wrong in a mapping file's data beyond its form."""
    mode = data.get("mode", "legacy")
    yield from _schedule(data)
    yield from _identity(data, mode)
    yield from _where(data.get("where"), mode)
    for key, hint in _DURATIONS.items():
        if data.get(key) is not None and not (isinstance(data[key], str) and _DURATION.fullmatch(data[key])):
            yield Issue((key,), f"`{key}` is not an ISO 8601 duration", f"write one such as {hint}")
    rows = data.get("fields")
    if isinstance(rows, list):
        for index, row in enumerate(rows):
            if isinstance(row, dict):
                yield from _row(("fields", index), row, mode)
        yield from _remotes(rows, data.get("identity"))
        yield from _force(data.get("consent"), rows)


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


def _identity(data: dict[str, Any], mode: Any) -> Iterator[Issue]:
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
            yield from _loyalty(("identity", remote), identity[remote], mode)
            if identity[remote].startswith("extensions."):
                message = "a detail cannot say who a contact is: it is asked for only when something changed"
                yield Issue(("identity", remote), message, "name a field of the customer's own")


def _loyalty(loc: Loc, name: str, mode: Any, *, key: bool = False) -> Iterator[Issue]:
    try:
        check_loyalty(name, mode)
    except FieldProblem as problem:
        yield Issue(loc, str(problem), problem.hint, key)


def _where(where: Any, mode: Any) -> Iterator[Issue]:
    if not isinstance(where, dict):
        return
    for name, rule in where.items():
        loc: Loc = ("where", name)
        found = list(_loyalty(loc, name, mode, key=True))
        yield from found
        if rule is None or isinstance(rule, list):
            hint = "write {in: […]}" if rule else "write {exists: false} for a missing value, {exists: true} for any"
            yield Issue(loc, "a rule is a value or operators", hint)
        elif isinstance(rule, dict):
            if not rule:
                yield Issue(loc, "the rule is empty", f"write one of {', '.join(OPERATORS)}")
            for operator, operand in rule.items():
                yield from _operand((*loc, operator), "" if found else name, operator, operand)
        elif not found:
            yield from _operand(loc, name, "eq", rule)


def _operand(loc: Loc, name: str, operator: str, operand: Any) -> Iterator[Issue]:
    if operator not in OPERATORS:
        hint = closest(operator, OPERATORS) or f"write one of {', '.join(OPERATORS)}"
        yield Issue(loc, f"unknown operator `{operator}`", hint, key=True)
    elif operand is None:
        yield Issue(loc, f"`{operator}` needs a value", "a missing value is asked for with {exists: false}")
    elif operator in ("in", "not_in"):
        if not isinstance(operand, list) or not operand:
            yield Issue(loc, f"`{operator}` needs a list", f"write {{{operator}: [{operand or 'active'}]}}")
        elif any(isinstance(item, (list, dict)) or item is None for item in operand):
            yield Issue(loc, f"`{operator}` needs a list of single values")
        else:
            yield from _comparable(loc, name, operator, operand)
    elif operator == "exists":
        if not isinstance(operand, bool):
            yield Issue(loc, "`exists` needs true or false")
    elif isinstance(operand, (list, dict)):
        hint = "write {in: […]}" if operator == "eq" else "write {not_in: […]}" if operator == "ne" else ""
        yield Issue(loc, f"`{operator}` needs a single value", hint)
    elif isinstance(operand, bool) and operator not in ("eq", "ne"):
        yield Issue(loc, f"`{operator}` needs a number, a date or text")
    else:
        yield from _comparable(loc, name, operator, operand)


def _comparable(loc: Loc, name: str, operator: str, operand: Any) -> Iterator[Issue]:
    try:
        if name:
            compile_test(name, operator, operand)
    except Unconvertible as problem:
        yield Issue(loc, f"`{name}` is a time, and what it is compared with {problem}", "write one such as 2026-01-31")


def _row(loc: Loc, row: dict[str, Any], mode: Any) -> Iterator[Issue]:
    loyalty, remote = row.get("loyalty"), row.get("remote")
    if isinstance(loyalty, str):
        yield from _loyalty((*loc, "loyalty"), loyalty, mode)
    if "loyalty" in row and "value" in row:
        hint = "write two rows, for two remote fields"
        yield Issue((*loc, "value"), "a row has either `loyalty` or `value`, not both", hint, key=True)
    elif "loyalty" not in row and "value" not in row:
        near = next((word for word in row if closest(word, ("loyalty", "value"))), None)
        if near is None:  # else the misspelt key is reported
            yield Issue(loc, "a row needs `loyalty` or `value`", "write {loyalty: first_name, remote: firstname}")
    elif "value" in row:
        yield from _constant(loc, row)
    if isinstance(remote, str):
        try:
            check_remote(remote)
        except FieldProblem as problem:
            yield Issue((*loc, "remote"), str(problem), problem.hint)
    yield from _transforms((*loc, "transform"), row)


def _constant(loc: Loc, row: dict[str, Any]) -> Iterator[Issue]:
    value, remote = row["value"], row.get("remote")
    if value is None or value == "" or isinstance(value, (list, dict)):
        yield Issue((*loc, "value"), "a constant is a text, number or boolean, never empty")
    elif remote in IDENTITY:
        yield Issue(
            (*loc, "value"), f"`{remote}` says who a contact is: it cannot be a constant", "map a loyalty field"
        )
    elif isinstance(remote, str):
        try:
            run_steps((final_step(remote, datetime.datetime.now(datetime.UTC).date()),), value)
        except Unconvertible as problem:
            yield Issue((*loc, "value"), f"the constant for `{remote}` {problem}")


def _transforms(loc: Loc, row: dict[str, Any]) -> Iterator[Issue]:
    transforms = row.get("transform", [])
    if "value" in row and "loyalty" not in row and transforms:
        yield Issue(loc, "a constant takes no transform", "write the value as it is to be sent", key=True)
    elif isinstance(transforms, (str, dict)):
        shown = transforms if isinstance(transforms, str) else "{…}"
        yield Issue(loc, "`transform` is a list", f"write [{shown}]")
    elif isinstance(transforms, list):
        for index, transform in enumerate(transforms):
            yield from _transform((*loc, index), transform)


def _transform(loc: Loc, transform: Any) -> Iterator[Issue]:
    names = [transform] if isinstance(transform, str) else list(transform) if isinstance(transform, dict) else []
    if not names:
        yield Issue(loc, "a transform is a name, or an option such as {round: 1}")
    elif isinstance(transform, str):
        if transform in _OPTIONS and transform not in _TRANSFORMS:
            yield Issue(loc, f"`{transform}` needs its option", f"write {{{transform}: {_OPTIONS[transform]}}}")
        elif transform not in _TRANSFORMS:
            hint = closest(transform, (*_TRANSFORMS, *_OPTIONS)) or f"one of {', '.join((*_TRANSFORMS, *_OPTIONS))}"
            yield Issue(loc, f"unknown transform `{transform}`", hint)
    else:
        yield from _options(loc, transform)


def _options(loc: Loc, transform: dict[str, Any]) -> Iterator[Issue]:
    name = next((name for name in transform if name in _OPTIONS), None)
    if name is None:
        word = next((word for word in transform if word != "default"), "default")
        plain = word in _TRANSFORMS
        hint = f"write `{word}` alone" if plain else closest(word, _OPTIONS) or f"one of {', '.join(_OPTIONS)}"
        message = f"`{word}` takes no options" if plain else f"unknown transform `{word}`"
        yield Issue((*loc, word), message, hint, key=True)
        return
    for key in transform:
        if key != name and not (name == "map" and key == "default"):
            hint = "each transform is an item of its own" if key in (*_TRANSFORMS, *_OPTIONS) else ""
            yield Issue((*loc, key), f"`{name}` has no option `{key}`", hint, key=True)
    if name == "e164" and transform[name] is not None and not _is_region(transform[name]):
        yield Issue((*loc, name), "the region is not a country's two-letter code", "write one such as {e164: GB}")


def _is_region(region: Any) -> bool:
    from ometria_provider.mapping.countries import country_code

    try:
        return bool(region == country_code(region))
    except Unconvertible:
        return False


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
