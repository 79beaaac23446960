"""From a file's data to its model, and pydantic's findings in words that point into the file.

One :class:`FileForm` for each kind of file: mappings, workflows.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping.catalogue import closest
from ometria_provider.mapping.issues import Issue
from ometria_provider.mapping.source import Loc, Problem, Source, read_source

Model = TypeVar("Model")

#: Seconds after which a file's time of change tells it from a later state.
SETTLED = 2.0

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")  # contact_sync__<name> must be a DAG id; RUN is written <name>:latest
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


def schema_text(model: type[BaseModel], required: list[str], title: str, description: str) -> str:
    """Return the JSON Schema that editors complete and check a kind of file with.

    :param model: of the file; its `name` is the file's own name.
    """
    schema = model.model_json_schema()
    del schema["properties"]["name"]
    schema |= {"required": required, "title": title, "description": description}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class BrokenFile(Misconfigured):
    """A mapping or workflow file is wrong; the text shows every problem.

    :param problems: at least one.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class FileForm(Generic[Model]):
    """What a kind of file consists of.

    :param kind: what it is called: ``mapping``.
    :param make: makes the model of the file's name and data; raises pydantic's ``ValidationError``.
    :param find_issues: finds what pydantic cannot know.
    :param keys: the keys that may stand at a place.
    :param rows: where the rows stand.
    :param least: what to write into an empty file.
    :param examples: what to write at a place where something is missing or of the wrong kind.
    :param shapes: key → what a text there looks like.
    :param implied: keys whose default is the file's name.
    :param kept: what files said that have not changed since.
    """

    kind: str
    make: Callable[[str, dict[str, Any]], Model]
    find_issues: Callable[[dict[str, Any]], Iterable[Issue]]
    keys: Mapping[Loc, tuple[str, ...]]
    rows: Loc
    least: str
    examples: Mapping[Loc, str] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)
    implied: tuple[str, ...] = ()
    kept: dict[Path, tuple[Any, tuple[Source, Model | None, list[Problem]]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def read_folder(self, folder: Path) -> tuple[list[tuple[Model, Source]], list[Problem]]:
        """Read all files of a folder, by name: those without an error, and the problems of all."""
        read, problems = [], []
        for path in sorted(folder.iterdir()):
            if path.suffix == ".yml":
                problems.append(Problem(str(path), 1, 1, "the file is not read", f"name it `{path.stem}.yaml`"))
            elif path.suffix == ".yaml" and not path.name.startswith("."):
                source, model, found = self._read(path)
                problems += found
                if model is not None and all(problem.warning for problem in found):
                    read.append((model, source))
        return read, problems

    def _read(self, path: Path) -> tuple[Source, Model | None, list[Problem]]:
        """Read one file, or return what it said when it is the same as before: YAML takes 10 ms a file.

        A file that changed just now may change again within the same tick of the file system's clock: it is not kept.
        """
        try:
            stat = path.stat()
        except OSError:
            source = read_source(path)
            return (source, *self.interpret(source, path.stem))
        state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        kept = self.kept.get(path)
        if kept is None or kept[0] != state:
            source = read_source(path)
            kept = (state, (source, *self.interpret(source, path.stem)))
            if time.time() - stat.st_mtime > SETTLED:
                self.kept[path] = kept
        return kept[1]

    def interpret(self, source: Source, name: str) -> tuple[Model | None, list[Problem]]:
        """Make the model, or find all problems: those of YAML, of form, and of meaning, in the order of lines."""
        problems = list(source.problems)
        if not _NAME.fullmatch(name):
            message = f"the file name `{name}.yaml` cannot name a {self.kind}"
            problems.append(source.problem((), message, "use letters, digits, `_`, `-` and `.` only"))
        if not isinstance(source.data, dict):
            if not source.problems:
                consists = f"a {self.kind} file consists of keys with values"
                message = "the file is empty" if source.data is None else consists
                problems.append(source.problem((), message, f"it needs at least {self.least}"))
            return None, problems
        issues = list(self.find_issues(source.data))
        problems += [
            replace(source.problem(issue.loc, issue.message, issue.hint, key=issue.key), warning=issue.warning)
            for issue in issues
        ]
        model = None
        try:
            model = self.make(name, {key: value for key, value in source.data.items() if key != "name"})
        except ValidationError as error:
            problems += self._form_problems(source, error, {issue.loc for issue in issues if not issue.warning})
        if "name" in source.data:
            problems.append(source.problem(("name",), "unknown key `name`", "the file's name is the name", key=True))
        return model, sorted(set(problems), key=lambda problem: (problem.line, problem.column))

    def _form_problems(self, source: Source, error: ValidationError, seen: set[Loc]) -> Iterator[Problem]:
        """Translate pydantic's findings, but for those that a check of meaning explained already."""
        depth = len(self.rows) + 1
        for found in error.errors(include_url=False, include_context=True):
            kind, loc = found["type"], tuple(part for part in found["loc"] if not str(part).startswith("<"))
            if loc in {(key,) for key in self.implied} and loc not in source.values:
                continue  # it is the file's name, which was looked at
            loc = _existing(source, loc, missing=kind == "missing")
            # One word is enough for a transform.
            whole = loc[: depth + 2] if loc[depth : depth + 1] == ("transform",) else loc
            if any(loc[: len(known)] == known or (len(loc) > depth and known[: len(whole)] == whole) for known in seen):
                continue
            if kind != "missing":
                seen.add(loc)  # a union complains once for each of its members
            message, hint = self._explain(kind, loc, found.get("ctx", {}), found["msg"])
            if kind == "missing" and self._misspelt(source, loc):
                continue
            yield source.problem(loc, message, hint, key=kind == "extra_forbidden")

    def _misspelt(self, source: Source, loc: Loc) -> bool:
        """Say whether a missing key stands there under a name much like it, which is reported as unknown."""
        allowed = self._allowed(loc[:-1])
        siblings = [str(key[-1]) for key in source.keys if key[:-1] == loc[:-1] and key[-1] not in allowed]
        return bool(closest(str(loc[-1]), siblings))

    def _allowed(self, loc: Loc) -> tuple[str, ...]:
        return _ROW_KEYS if loc and loc[:-1] == self.rows else self.keys.get(loc, ())

    def _explain(self, kind: str, loc: Loc, context: dict[str, Any], said: str) -> tuple[str, str]:
        last = str(loc[-1]) if loc else ""
        if kind == "extra_forbidden":
            return _unknown_key(last, self._allowed(loc[:-1]))
        if kind == "missing":
            return f"`{last}` is missing", self.examples.get(loc, "")
        if kind == "literal_error":
            return f"`{last}` is {context['expected']}", ""
        if kind == "string_pattern_mismatch":
            return f"`{last}` does not have the right form", self.shapes.get(last, "")
        if kind in ("less_than_equal", "greater_than_equal"):
            hint = "a share lies between 0 and 1: 0.05 means 5 %" if last.endswith("_share") else ""
            return f"`{last}` {said.partition(' ')[2]}", hint
        return _EXPECTED.get(kind, said[:1].lower() + said[1:]), self.examples.get(loc, "")


def _existing(source: Source, loc: Loc, *, missing: bool) -> Loc:
    """Cut the names that pydantic gives to a union's members off the end of a place."""
    while loc and loc not in source.values and not missing:
        loc = loc[:-1]
    return loc


def _unknown_key(key: str, known: tuple[str, ...]) -> tuple[str, str]:
    return f"unknown key `{key}`", closest(key, known) or (f"one of {', '.join(known)}" if known else "remove it")
