"""Reading the suites of `include/expectations/`: Great Expectations' own JSON, checked without importing it.

::

    {"name": "customers",
     "expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "firstname"},
                       "severity": "warning", "notes": "why this rule is here"}]}

Columns are the remote fields of the mapping, flat in both modes, as they will be sent: numbers, booleans, lists of
texts, and texts (dates and times too). An empty value is null, and every rule passes over null but `to_be_null` and
`to_not_be_null`.

**Severity** decides what a failure does: `critical` (the default) makes a rejection of each row that fails a row rule,
and stops the run when a table rule does not hold; `warning` and `info` only report.

**`mostly` spares nobody**: in Great Expectations it says what share of rows has to pass for the rule as a whole to
pass. Here a row rule judges customers one by one, so each row that fails is one failure, whatever `mostly` says; use a
severity of `warning` for a rule that may be broken, and the mapping's `limits` for how many rejections a run may have.

Rules are judged chunk by chunk (at most 50,000 customers, only those of a slice that is to be validated): see `run`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ometria_provider.exceptions import Misconfigured
from ometria_provider.validation.rules import Rule, columns_of, did_you_mean, problems, short_name

DEFAULT_SUITE: Final = "contacts.json"
IDENTITY: Final = ("id", "email", "customer_id")
KEYS: Final = ("name", "expectations", "meta", "notes", "id", "suite_parameters")


@dataclass(frozen=True, slots=True)
class Suite:
    """All rules for the records of one mapping, in the order of their files.

    :param rules: may be empty.
    :param digest: 16 bytes (blake2b) over what the rules ask; notes, order of keys and names of files are left out.
    """

    rules: tuple[Rule, ...]
    digest: bytes

    @property
    def columns(self) -> tuple[str, ...]:
        """The remote fields that the rules judge, each once."""
        return tuple(dict.fromkeys(column for rule in self.rules for column in rule.columns))

    @property
    def needs_whole_table(self) -> bool:
        """True when some rule may look at more columns than `columns`."""
        return any(rule.needs_whole_table for rule in self.rules)


def load_suites(folder: Path, mapping_name: str, remotes: Collection[str]) -> Suite:
    """Read the suite for one mapping: `contacts.json` and, added to it, `<mapping_name>.json`; either may be missing.

    :param folder: the expectations folder.
    :param mapping_name: the mapping file's name without `.yaml`.
    :param remotes: the remote fields that the mapping fills; the identity (`id`, `email`, `customer_id`) is always
        known.
    :raises Misconfigured: the folder is missing, or a file is broken. It lists every problem of the file with its rule.
    """
    if not folder.is_dir():
        raise Misconfigured(
            f"The expectations folder {folder} is not there. Create it (it may stay empty), "
            "or set expectations_folder in section [ometria] of the configuration."
        )
    known = {*IDENTITY, *remotes}
    files = dict.fromkeys((folder / DEFAULT_SUITE, folder / f"{mapping_name}.json"))
    rules = list(_with_unique_names(rule for file in files if file.exists() for rule in _read(file, known)))
    asked = [[rule.type, rule.kwargs, rule.severity] for rule in rules]
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return Suite(rules=tuple(rules), digest=hashlib.blake2b(canonical.encode(), digest_size=16).digest())


def stray_suites(folder: Path, mapping_names: Collection[str]) -> list[Path]:
    """List the suite files that no mapping reads: usually a misspelt name, whose rules would silently not apply."""
    used = {DEFAULT_SUITE, *(f"{name}.json" for name in mapping_names)}
    return sorted(file for file in folder.glob("*.json") if file.name not in used)


def _read(file: Path, known: Collection[str]) -> list[Rule]:
    data = _parse(file)
    found = list(_suite_problems(data))
    entries = data.get("expectations", [])
    if isinstance(entries, list):
        for index, entry in enumerate(entries, start=1):
            rule_type = entry.get("type") if isinstance(entry, dict) else None
            where = f"rule {index} ({rule_type})" if rule_type else f"rule {index}"
            found += [f"{where}: {problem}" for problem in problems(entry, known)]
    if found:
        raise Misconfigured("\n".join(f"{file}: {problem}." for problem in found))
    return [_rule(entry, file, index) for index, entry in enumerate(entries, start=1)]


def _parse(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read ({error.strerror}): check its permissions.") from error
    except json.JSONDecodeError as error:
        line = [*text.split("\n"), ""][error.lineno - 1]
        place = f"{file}, line {error.lineno}, column {error.colno}"
        caret = " " * (error.colno - 1) + "^"
        raise Misconfigured(f"{place}: this is not JSON: {error.msg}.\n    {line}\n    {caret}") from None
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{file}: not UTF-8 text at byte {error.start}: save it as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"{file}: {error}.") from None
    if not isinstance(data, dict):
        raise Misconfigured(f'{file}: a suite is an object: {{"name": "…", "expectations": […]}}.')
    return data


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen = dict(pairs)
    if len(seen) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object: keep one of them")
    return seen


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON: write a number")


def _suite_problems(data: dict[str, Any]) -> Iterator[str]:
    for key in data:
        if key == "expectation_suite_name":
            yield "is in the format before Great Expectations 1.0: write name in place of expectation_suite_name"
        elif key not in KEYS:
            yield f"key {key!r} is not known{did_you_mean(key, KEYS)}; a suite has {', '.join(KEYS[:4])}"
    if data.get("suite_parameters"):
        yield "suite_parameters are not supported: write the values into the rules"
    if "expectations" not in data:
        yield "has no expectations: write a list of rules (it may be empty)"
    elif not isinstance(data["expectations"], list):
        yield "expectations must be a list of rules"


def _rule(entry: dict[str, Any], file: Path, index: int) -> Rule:
    kwargs = entry.get("kwargs", {})
    name = short_name(entry["type"], columns_of(entry["type"], kwargs))
    return Rule(name, entry["type"], kwargs, entry.get("severity", "critical"), file, index)


def _with_unique_names(rules: Iterator[Rule]) -> Iterator[Rule]:
    """Number the names that stand for several rules: `email: match_regex`, `email: match_regex 2`."""
    seen: dict[str, int] = {}
    for rule in rules:
        count = seen[rule.name] = seen.get(rule.name, 0) + 1
        name = rule.name if count == 1 else f"{rule.name} {count}"
        yield Rule(name, rule.type, rule.kwargs, rule.severity, rule.file, rule.index)
