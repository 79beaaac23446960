"""Mapping files: reading them, and saying everything that is wrong with them (files.md)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping.checks import find_issues
from ometria_provider.mapping.fields import closest
from ometria_provider.mapping.model import Connections, Consent, Identity, Limits, Mapping
from ometria_provider.mapping.source import Loc, Problem, Source, read_source

__all__ = ["MappingFileError", "Problem", "check_folder", "load_mapping", "require_folder", "schema_text"]

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")  # contact_sync__<name> must be a DAG id; RUN is written <name>:latest
_FILE_KEYS = tuple(key for key in Mapping.model_fields if key != "name")
_KEYS: dict[Loc, tuple[str, ...]] = {
    (): _FILE_KEYS,
    ("connections",): tuple(Connections.model_fields),
    ("identity",): tuple(Identity.model_fields),
    ("limits",): tuple(Limits.model_fields),
    ("consent",): tuple(Consent.model_fields),
}
_ROW_KEYS = ("loyalty", "remote", "transform", "value")
_EXPECTED = {
    "string_type": "text is wanted here",
    "int_type": "a whole number is wanted here",
    "int_from_float": "a whole number is wanted here",
    "float_type": "a number is wanted here",
    "bool_type": "true or false is wanted here",
    "tuple_type": "a list is wanted here",
    "list_type": "a list is wanted here",
    "dict_type": "keys with values are wanted here",
    "model_type": "keys with values are wanted here",
    "model_attributes_type": "keys with values are wanted here",
    "time_delta_parsing": "an ISO 8601 duration is wanted here, such as P1D or PT12H",
    "time_delta_type": "an ISO 8601 duration is wanted here, such as P1D or PT12H",
    "string_too_short": "this must not be empty",
}
_EXAMPLES: dict[Loc, str] = {
    ("list",): "write the number of the list, such as `list: 4821`: `ometria-sync lists` shows them",
    ("fields",): "write rows such as {loyalty: first_name, remote: firstname}",
}


class MappingFileError(Misconfigured):
    """A mapping file is wrong; the text shows every problem.

    :param problems: at least one.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = problems


def load_mapping(path: Path) -> Mapping:
    """Read one mapping file.

    :raises MappingFileError: with all that is wrong in it.
    """
    source = read_source(path)
    mapping, problems = _interpret(source, path.stem)
    if mapping is None or problems:
        raise MappingFileError(problems)
    return mapping


def load_owner(path: Path) -> Mapping:
    """Read one mapping file that is about to run: it must own its collection among its folder's files too.

    :raises MappingFileError: with all that is wrong in it.
    """
    mapping = load_mapping(path)
    if refused := [problem for problem in check_folder(path.parent)[1] if problem.file == str(path)]:
        raise MappingFileError(refused)
    return mapping


def schedule_of(path: Path) -> tuple[str, str] | None:
    """Return schedule and time zone of a file that is broken elsewhere, or None when these cannot be read either."""
    data = read_source(path).data
    if not isinstance(data, dict) or any(issue.loc[0] in ("schedule", "timezone") for issue in find_issues(data)):
        return None
    schedule, timezone = data.get("schedule"), data.get("timezone", "UTC")
    return (schedule, timezone) if isinstance(schedule, str) and isinstance(timezone, str) else None


def require_folder(folder: Path) -> None:
    """See that the mappings folder is there.

    :raises Misconfigured: saying what to do when it is not.
    """
    if not folder.is_dir():
        raise Misconfigured(f"The mappings folder {folder} does not exist: make it, or set [ometria] mappings_folder")


def check_folder(folder: Path) -> tuple[list[Mapping], list[Problem]]:
    """Read all mapping files of a folder, and look across them: a collection has one owner on its Ometria connection.

    :returns: the mappings that can run, by name, and the problems of all files. A broken file takes no other with it;
        of several that claim a collection the one named after it stays, else the first by name.
    :raises Misconfigured: when there is no such folder.
    """
    require_folder(folder)
    read: list[tuple[Mapping, Source]] = []
    problems: list[Problem] = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".yml":
            problems.append(Problem(str(path), 1, 1, "the file is not read", f"name it `{path.stem}.yaml`"))
        elif path.suffix == ".yaml" and not path.name.startswith("."):
            source = read_source(path)
            mapping, found = _interpret(source, path.stem)
            problems += found
            if mapping is not None and not found:
                read.append((mapping, source))
    refused = list(_second_owners(read))
    losers = {problem.file for problem in refused}
    return [mapping for mapping, source in read if source.file not in losers], problems + refused


def _second_owners(read: list[tuple[Mapping, Source]]) -> Iterator[Problem]:
    owners: dict[tuple[str, str], str] = {}
    for mapping, source in sorted(read, key=lambda pair: (pair[0].name != pair[0].collection, pair[0].name)):
        claim = (mapping.connections.ometria, mapping.collection)
        owner = owners.setdefault(claim, source.file)
        if owner != source.file:
            message = f"the collection `{mapping.collection}` is owned by {owner} already"
            hint = "one mapping owns a collection: write another `collection:`, or put the rows into that file"
            yield source.problem(("collection",), message, hint)


def _interpret(source: Source, name: str) -> tuple[Mapping | None, list[Problem]]:
    """Make the mapping, or find all problems: those of YAML, of form, and of meaning, in the order of lines."""
    problems = list(source.problems)
    if not _NAME.fullmatch(name):
        message = f"the file name `{name}.yaml` cannot name a DAG"
        problems.append(source.problem((), message, "use letters, digits, `_`, `-` and `.` only"))
    if not isinstance(source.data, dict):
        if not source.problems:
            message = "the file is empty" if source.data is None else "a mapping file consists of keys with values"
            problems.append(source.problem((), message, "it needs at least `list:` and `fields:`"))
        return None, problems
    issues = list(find_issues(source.data))
    problems += [source.problem(issue.loc, issue.message, issue.hint, key=issue.key) for issue in issues]
    mapping = None
    try:
        mapping = Mapping.from_data(name, {key: value for key, value in source.data.items() if key != "name"})
    except ValidationError as error:
        seen = {issue.loc for issue in issues}
        problems += _form_problems(source, error, seen)
    if "name" in source.data:
        problems.append(source.problem(("name",), "unknown key `name`", "the file's name is the name", key=True))
    return mapping, sorted(set(problems), key=lambda problem: (problem.line, problem.column))


def _form_problems(source: Source, error: ValidationError, seen: set[Loc]) -> Iterator[Problem]:
    """Translate pydantic's findings, but for those that a check of meaning explained already."""
    for found in error.errors(include_url=False, include_context=True):
        kind, loc = found["type"], tuple(part for part in found["loc"] if not str(part).startswith("<"))
        if loc == ("collection",) and loc not in source.values:
            continue  # it is the file's name, which was looked at
        loc = _existing(source, loc, missing=kind == "missing")
        whole = loc[:4] if loc[2:3] == ("transform",) else loc  # one word is enough for a transform
        if any(loc[: len(known)] == known or (len(loc) > 2 and known[: len(whole)] == whole) for known in seen):
            continue
        if kind != "missing":
            seen.add(loc)  # a union complains once for each of its members
        message, hint = _explain(kind, loc, found.get("ctx", {}), found["msg"])
        if kind == "missing" and _misspelt(source, loc):
            continue
        yield source.problem(loc, message, hint, key=kind == "extra_forbidden")


def _existing(source: Source, loc: Loc, *, missing: bool) -> Loc:
    """Cut the names that pydantic gives to a union's members off the end of a place."""
    while loc and loc not in source.values and not missing:
        loc = loc[:-1]
    return loc


def _misspelt(source: Source, loc: Loc) -> bool:
    """Say whether a missing key stands there under a name much like it, which is reported as unknown."""
    siblings = [str(key[-1]) for key in source.keys if key[:-1] == loc[:-1] and key[-1] not in _allowed(loc[:-1])]
    return bool(closest(str(loc[-1]), siblings))


def _allowed(loc: Loc) -> tuple[str, ...]:
    return _ROW_KEYS if len(loc) == 2 and loc[0] == "fields" else _KEYS.get(loc, ())


def _unknown_key(key: str, known: tuple[str, ...]) -> tuple[str, str]:
    return f"unknown key `{key}`", closest(key, known) or (f"one of {', '.join(known)}" if known else "remove it")


def _explain(kind: str, loc: Loc, context: dict[str, Any], said: str) -> tuple[str, str]:
    last = str(loc[-1]) if loc else ""
    if kind == "extra_forbidden":
        return _unknown_key(last, _allowed(loc[:-1]))
    if kind == "missing":
        return f"`{last}` is missing", _EXAMPLES.get(loc, "")
    if kind == "literal_error":
        return f"`{last}` is {context['expected']}", ""
    if kind == "string_pattern_mismatch":
        return f"`{last}` does not have the right form", _FORMS.get(last, "")
    if kind in ("less_than_equal", "greater_than_equal"):
        hint = "a share lies between 0 and 1: 0.05 means 5 %" if last.endswith("_share") else ""
        return f"`{last}` {said.partition(' ')[2]}", hint
    return _EXPECTED.get(kind, said[:1].lower() + said[1:]), _EXAMPLES.get(loc, "")


_FORMS = {
    "collection": "a collection has no spaces, slashes or @",
    "language": "write a language's code, such as `en` or `pt-BR`",
}


def schema_text() -> str:
    """Return ``include/mappings/mapping.schema.json``: what editors complete and check mapping files with."""
    schema = Mapping.model_json_schema()
    del schema["properties"]["name"]
    schema["required"] = ["list", "fields"]
    schema["title"] = "Mapping file"
    schema["description"] = "One mapping of Antavo customers to Ometria contacts."
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":  # `make docs` writes the schema anew
    Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
