"""One rule of a suite: what is wrong with it as it is written, found without Great Expectations."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ometria_provider.validation.catalogue import RULE_TYPES, Kind, RuleType

SEVERITIES: Final = ("critical", "warning", "info")
KEYS: Final = ("type", "kwargs", "severity", "meta", "notes", "description", "id", "rendered_content")
_COLUMN_KWARGS: Final = ("column", "column_A", "column_B", "column_list")
_BOUNDS: Final = ("min_value", "max_value")
_EXACT: Final = 2**53  # Great Expectations keeps bounds as float


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation of a suite.

    :param name: unique in its suite and made for people, such as `email: match_regex`; it names the rule in the ledger.
    :param type: Great Expectations' name of the expectation.
    :param kwargs: its arguments.
    :param severity: `critical` (the default): a row rule rejects each failing row, a table rule stops the run.
        `warning` and `info` only report.
    :param file: the suite's file.
    :param index: the rule's place in that file, from 1.
    """

    name: str
    type: str
    kwargs: dict[str, Any]
    severity: str
    file: Path
    index: int

    @property
    def kind(self) -> Kind:
        """`row` or `table`, as `catalogue.RuleType` says."""
        return RULE_TYPES[self.type].kind

    @property
    def columns(self) -> tuple[str, ...]:
        """The remote fields that the rule judges, as it names them; those of its condition are not among them."""
        return tuple(columns_of(self.type, self.kwargs))

    @property
    def needs_whole_table(self) -> bool:
        """True when the rule may look at columns beside those that it judges (a condition, the list of columns)."""
        about_columns = self.type.startswith("expect_table_column") or "column_index" in self.kwargs
        return about_columns or bool(self.kwargs.get("row_condition"))

    @property
    def place(self) -> str:
        """Where a person finds the rule: file, number and type."""
        return f"{self.file}, rule {self.index} ({self.type})"


def columns_of(rule_type: str, kwargs: dict[str, Any]) -> list[Any]:
    """List what the kwargs name as columns to judge (of a well-formed rule: strings)."""
    if rule_type.startswith("expect_table_"):
        return []  # these compare the table's own shape, absent columns too
    named = (kwargs[key] for key in _COLUMN_KWARGS if key in kwargs)
    return [column for value in named for column in (value if isinstance(value, list) else [value])]


def short_name(rule_type: str, columns: Collection[str]) -> str:
    """Name a rule for people: its columns, then what is asked of them."""
    words = re.sub(r"^expect_", "", rule_type)
    if not columns:
        return words
    words = re.sub(r"^(column|multicolumn|column_pair|select_column|compound_columns)_", "", words)
    words = re.sub(r"^(pair_)?(value_|values_)?(to_)?(be_)?", "", words).replace("not_be_", "not_")
    return f"{', '.join(columns)}: {words}"


def problems(entry: Any, known: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with one entry of `expectations`, each with what to do; nothing when it is in order.

    :param entry: the parsed JSON.
    :param known: the remote fields that the mapping sends.
    """
    if not isinstance(entry, dict):
        yield "must be an object with type and kwargs"
        return
    rule_type, kwargs, severity = entry.get("type"), entry.get("kwargs", {}), entry.get("severity", "critical")
    yield from _unknown_keys(entry)
    if severity not in SEVERITIES:
        yield f"severity {severity!r} is not known: write one of {', '.join(SEVERITIES)}"
    if not isinstance(kwargs, dict):
        yield "kwargs must be an object"
    elif rule_type is None:
        yield "has no type: name the expectation, for example expect_column_values_to_not_be_null"
    elif rule_type not in RULE_TYPES:
        yield f"{rule_type!r} is not an expectation of Great Expectations{_did_you_mean_type(str(rule_type))}"
    elif RULE_TYPES[rule_type].kind == "sql":
        yield "works on SQL databases only; contacts are checked in memory, so use another expectation"
    else:
        yield from _kwarg_names(RULE_TYPES[rule_type], kwargs)
        yield from _kwarg_values(kwargs)
        yield from _columns(columns_of(rule_type, kwargs), known)


def did_you_mean(word: str, options: Collection[str]) -> str:
    """Word the suggestion that ends an error, or nothing when no option comes near."""
    near = difflib.get_close_matches(word, options, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _did_you_mean_type(word: str) -> str:
    """Suggest by the name, or by the part of it that tells types apart (`match_regex`)."""
    inner = {short_name(name, ["x"]).removeprefix("x: "): name for name in RULE_TYPES}
    near = difflib.get_close_matches(short_name(word, ["x"]).removeprefix("x: "), inner, n=1, cutoff=0.75)
    return f" (did you mean {inner[near[0]]}?)" if near else did_you_mean(word, RULE_TYPES)


def _unknown_keys(entry: dict[str, Any]) -> Iterator[str]:
    for key in entry:
        if key == "expectation_type":
            yield "is in the format before Great Expectations 1.0: write type in place of expectation_type"
        elif key not in KEYS:
            yield f"key {key!r} is not known{did_you_mean(key, KEYS)}; a rule has {', '.join(KEYS[:4])}"


def _kwarg_names(rule_type: RuleType, kwargs: dict[str, Any]) -> Iterator[str]:
    accepted = (*rule_type.required, *rule_type.optional)
    for key in kwargs:
        if key not in accepted:
            yield f"kwarg {key!r} is not known{did_you_mean(key, accepted)}; it takes {', '.join(accepted)}"
    for key in rule_type.required:
        if key not in kwargs:
            yield f"lacks the kwarg {key!r}"


def _kwarg_values(kwargs: dict[str, Any]) -> Iterator[str]:
    for key, value in kwargs.items():
        if isinstance(value, dict) and "$PARAMETER" in value:
            yield f"kwarg {key!r} is a suite parameter, which nobody fills here: write the value"
        elif key in {"regex", "regex_list"}:
            yield from _regexes(key, value)
        elif key in _BOUNDS and value is not None:
            yield from _bound(key, value)
        elif key == "mostly" and not (_is_number(value) and 0 <= value <= 1):
            yield f"kwarg 'mostly' is {value!r}: write a number from 0 to 1"


def _regexes(key: str, value: Any) -> Iterator[str]:
    for pattern in value if isinstance(value, list) else [value]:
        if not isinstance(pattern, str):
            yield f"kwarg {key!r} holds {pattern!r}: write a regular expression as text"
            continue
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"kwarg {key!r}: {pattern!r} is not a regular expression: {error}"


def _bound(key: str, value: Any) -> Iterator[str]:
    if not _is_number(value):
        yield (
            f"kwarg {key!r} is {value!r}: write a number; dates and times are text in a contact record, "
            "so check them with expect_column_values_to_match_regex"
        )
    elif abs(value) > _EXACT:
        yield f"kwarg {key!r} is beyond 2^53, which Great Expectations would round: use another expectation"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _columns(columns: list[Any], known: Collection[str]) -> Iterator[str]:
    for column in columns:
        if not isinstance(column, str):
            yield f"names {column!r} as a column: write a remote field"
        elif column not in known:
            yield (
                f"judges the column {column!r}, which the mapping does not send{did_you_mean(column, known)}: "
                "map that remote field, or take the rule out"
            )
