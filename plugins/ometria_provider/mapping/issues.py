"""What can be wrong in the parts that mapping and workflow files share: fields, rows, `where`, transforms, durations.

Works on a file's plain data, which may be wrong in any way, so that one look finds everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from ometria_provider.mapping.catalogue import FieldProblem, LoyaltyField, closest
from ometria_provider.mapping.model import OPERATORS, TransformName
from ometria_provider.mapping.rules import compile_test
from ometria_provider.mapping.source import Loc
from ometria_provider.mapping.values import Unconvertible

#: Finds a loyalty field by the name that a file gives it, or raises :class:`fields.FieldProblem`.
Look: TypeAlias = Callable[[str], LoyaltyField]

MOST_CUSTOM_FIELDS = 100  # of one type, for an account (contract/ometria.md)

_DURATION = re.compile(r"P(?=.)(\d+W|(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)")
_TRANSFORMS = get_args(TransformName)
_OPTIONS = {"e164": "GB", "join": '"|"', "map": "{gold: G}", "round": "1"}


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong at a place in the data.

    :param key: the key itself is meant.
    :param warning: the file can be used all the same.
    """

    loc: Loc
    message: str
    hint: str = ""
    key: bool = False
    warning: bool = False


def duration_issue(loc: Loc, text: Any, hint: str) -> Iterator[Issue]:
    """Find out whether a text is a duration."""
    if not (isinstance(text, str) and _DURATION.fullmatch(text)):
        yield Issue(loc, f"`{loc[-1]}` is not an ISO 8601 duration", f"write one such as {hint}")


def field_issues(loc: Loc, name: str, look: Look, *, key: bool = False) -> Iterator[Issue]:
    """Find out whether a loyalty field may be named here."""
    try:
        look(name)
    except FieldProblem as problem:
        yield Issue(loc, str(problem), problem.hint, key)


def where_issues(where: Any, look: Look) -> Iterator[Issue]:
    """Find what is wrong in `where`."""
    if not isinstance(where, dict):
        return
    for name, rule in where.items():
        loc: Loc = ("where", name)
        found = list(field_issues(loc, name, look, key=True))
        yield from found
        if rule is None or isinstance(rule, list):
            hint = "write {in: […]}" if rule else "write {exists: false} for a missing value, {exists: true} for any"
            yield Issue(loc, "a rule is a value or operators", hint)
        elif isinstance(rule, dict):
            if not rule:
                yield Issue(loc, "the rule is empty", f"write one of {', '.join(OPERATORS)}")
            for operator, operand in rule.items():
                yield from _operand((*loc, operator), None if found else name, look, operator, operand)
        elif not found:
            yield from _operand(loc, name, look, "eq", rule)


def _operand(loc: Loc, name: str | None, look: Look, operator: str, operand: Any) -> Iterator[Issue]:
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
            yield from _comparable(loc, name, look, operator, operand)
    elif operator == "exists":
        if not isinstance(operand, bool):
            yield Issue(loc, "`exists` needs true or false")
    elif isinstance(operand, (list, dict)):
        hint = "write {in: […]}" if operator == "eq" else "write {not_in: […]}" if operator == "ne" else ""
        yield Issue(loc, f"`{operator}` needs a single value", hint)
    elif isinstance(operand, bool) and operator not in ("eq", "ne"):
        yield Issue(loc, f"`{operator}` needs a number, a date or text")
    else:
        yield from _comparable(loc, name, look, operator, operand)


def _comparable(loc: Loc, name: str | None, look: Look, operator: str, operand: Any) -> Iterator[Issue]:
    try:
        if name is not None:
            compile_test(look(name).type, operator, operand)
    except Unconvertible as problem:
        yield Issue(loc, f"`{name}` is a time, and what it is compared with {problem}", "write one such as 2026-01-31")


def row_issues(loc: Loc, row: dict[str, Any], look: Look, example: str) -> Iterator[Issue]:
    """Find what is wrong with a row, but for its remote field and its constant.

    :param example: a loyalty field, for the sake of the hint.
    """
    loyalty = row.get("loyalty")
    if isinstance(loyalty, str):
        yield from field_issues((*loc, "loyalty"), loyalty, look)
    if "loyalty" in row and "value" in row:
        hint = "write two rows, for two remote fields"
        yield Issue((*loc, "value"), "a row has either `loyalty` or `value`, not both", hint, key=True)
    elif "loyalty" not in row and "value" not in row:
        near = next((word for word in row if closest(word, ("loyalty", "value"))), None)
        if near is None:  # else the misspelt key is reported
            yield Issue(loc, "a row needs `loyalty` or `value`", f"write {{loyalty: {example}, remote: …}}")
    elif "value" in row and (row["value"] in (None, "") or isinstance(row["value"], (list, dict))):
        yield Issue((*loc, "value"), "a constant is a text, number or boolean, never empty")
    yield from _transforms((*loc, "transform"), row)


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
