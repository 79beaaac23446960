"""Mapping files: reading them, and saying everything that is wrong with them (files.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ometria_provider.dagdefaults import contact_sync_id
from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping import forms
from ometria_provider.mapping.checks import find_issues
from ometria_provider.mapping.forms import BrokenFile, FileForm
from ometria_provider.mapping.model import Connections, Consent, Identity, Limits, Mapping
from ometria_provider.mapping.source import Problem, Source, parse_source, read_source

__all__ = [
    "MappingFileError",
    "Problem",
    "check_folder",
    "check_text",
    "contested",
    "load_mapping",
    "mapping_files",
    "require_folder",
    "schema_text",
]


class MappingFileError(BrokenFile):
    """A mapping file is wrong; the text shows every problem."""


_FORM = FileForm(
    kind="mapping",
    make=Mapping.from_data,
    find_issues=find_issues,
    keys={
        (): tuple(key for key in Mapping.model_fields if key != "name"),
        ("connections",): tuple(Connections.model_fields),
        ("identity",): tuple(Identity.model_fields),
        ("limits",): tuple(Limits.model_fields),
        ("consent",): tuple(Consent.model_fields),
    },
    rows=("fields",),
    least="`list:` and `fields:`",
    examples={
        ("list",): "write the number of the list, such as `list: 4821`: `ometria-sync lists` shows them",
        ("fields",): "write rows such as {loyalty: first_name, remote: firstname}",
    },
    shapes={
        "collection": "a collection has no spaces, slashes or @",
        "language": "write a language's code, such as `en` or `pt-BR`",
    },
    implied=("collection",),
)


def load_mapping(path: Path) -> Mapping:
    """Read one mapping file.

    :raises MappingFileError: with all that is wrong in it.
    """
    source = read_source(path)
    mapping, problems = _FORM.interpret(source, path.stem)
    if mapping is None or problems:
        raise MappingFileError(problems)
    return mapping


def load_owner(path: Path, connections: Connections | None = None) -> Mapping:
    """Read one mapping file that is about to run: its DAG and its collection must be its own among its folder's files.

    :param connections: those that it must have, if any.
    :raises MappingFileError: with all that is wrong in it.
    """
    if rivals := contested(mapping_files(path.parent)[contact_sync_id(path.stem)]):
        raise MappingFileError(rivals)
    mapping = load_mapping(path)
    if connections is not None and mapping.connections != connections:
        message = f"it is about {_pair(mapping.connections)}, and the workflow about {_pair(connections)}"
        raise MappingFileError([read_source(path).problem(("connections",), message, "use the same in both files")])
    if refused := [problem for problem in check_folder(path.parent)[1] if problem.file == str(path)]:
        raise MappingFileError(refused)
    return mapping


def _pair(connections: Connections) -> str:
    return f"`{connections.antavo}` and `{connections.ometria}`"


def mapping_files(folder: Path) -> defaultdict[str, list[Path]]:
    """Return a folder's mapping files by the id of the DAG that they ask for: nearly always one, broken or not.

    Hidden files are an editor's locks and copies.
    """
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.yaml")):
        if not path.name.startswith("."):
            found[contact_sync_id(path.stem)].append(path)
    return found


def contested(files: Iterable[Path]) -> list[Problem]:
    """Return what is wrong with files that ask for one DAG, a problem for each; none of a file that is alone.

    None of them runs, as none has a better claim: whichever won would be sent in place of the other without a word.
    """
    claims = sorted(files)
    if len(claims) < 2:
        return []
    names = " and ".join(f"`{path.name}`" for path in claims)
    message = f"the names of {names} make the same DAG id, `{contact_sync_id(claims[0].stem)}`, so that neither runs"
    hint = "rename one of them: letters, digits, `_`, `-` and `.` stay as they are"
    return [read_source(path).problem((), message, hint) for path in claims]


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
    """Read all mapping files of a folder, and look across them: a DAG id, and a collection on its Ometria connection,
    have one owner each.

    :returns: the mappings that can run, by name, and the problems of all files. A broken file takes no other with it;
        of several that claim a collection the one named after it stays, else the first by name.
    :raises Misconfigured: when there is no such folder.
    """
    require_folder(folder)
    read, problems = _FORM.read_folder(folder)
    refused = [problem for claims in mapping_files(folder).values() for problem in contested(claims)]
    refused += _second_owners(read)
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


def check_text(path: Path, text: str) -> tuple[Mapping | None, list[Problem]]:
    """Check a text as if its file were saved with it: on its own, and beside the other files of its folder.

    :returns: the mapping, if there is no error in it; and all problems, those first that it alone has.
    """
    source = parse_source(text.removeprefix("\ufeff"), str(path))
    mapping, problems = _FORM.interpret(source, path.stem)
    if mapping is None or any(not problem.warning for problem in problems):
        return None, problems
    read, _ = _FORM.read_folder(path.parent)
    others = [(other, found) for other, found in read if other.name != mapping.name]
    refused = contested({path, *mapping_files(path.parent)[contact_sync_id(path.stem)]})
    refused = [problem for problem in refused if problem.file == str(path)]
    refused += _second_owners([*others, (mapping, source)])
    return (None if refused else mapping), problems + refused


def schema_text() -> str:
    """Return ``include/mappings/mapping.schema.json``: what editors complete and check mapping files with."""
    return forms.schema_text(
        Mapping, ["list", "fields"], "Mapping file", "One mapping of Antavo customers to Ometria contacts."
    )
