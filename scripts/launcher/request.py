"""What a person asked `run` for: a mapping or a workflow, and params, checked before anything starts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ometria_provider.dagdefaults import campaign_events_id, contact_sync_id
from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping.files import check_folder as read_mappings
from ometria_provider.mapping.files import load_mapping
from ometria_provider.mapping.forms import BrokenFile
from ometria_provider.mapping.model import Mapping as Mapped
from ometria_provider.operators.params import campaign_params, run_params
from ometria_provider.workflows.files import check_folder as read_workflows
from ometria_provider.workflows.files import load_workflow
from ometria_provider.workflows.model import Workflow

from launcher.accounts import Pair
from launcher.errors import Refused

File = TypeVar("File", Mapped, Workflow)

DEFAULT_PAIR = ("antavo_default", "ometria_default")


@dataclass(frozen=True)
class Request:
    """A run to make.

    :param pair: connection ids that it uses.
    :param workflow: whose campaigns it starts; None: it is a mapping's run.
    """

    dag_id: str
    pair: Pair
    params: Mapping[str, Any]
    workflow: Workflow | None = None


def read_request(mapping: str, params: str, folder: Path) -> Request:
    """Check a mapping's file and the params.

    :param folder: the mapping files' folder.
    :raises Refused: with everything that is wrong with the file, or what is wrong with the params.
    """
    found = _load("mapping", mapping, folder, load_mapping)
    return Request(contact_sync_id(mapping), _pair(found), read_params(params))


def read_workflow_request(workflow: str, params: str, folder: Path) -> Request:
    """Check a workflow's file and the params.

    :param folder: the workflow files' folder.
    :raises Refused: with everything that is wrong with the file, or what is wrong with the params.
    """
    found = _load("workflow", workflow, folder, load_workflow)
    given = _read_object(params)
    try:
        campaign_params(given, [workflow])
    except Misconfigured as error:
        raise Refused(str(error)) from error
    params_of_run = {**given, "workflow": workflow}
    return Request(campaign_events_id(found.connections.antavo), _pair(found), params_of_run, found)


def _load(kind: str, name: str, folder: Path, load: Callable[[Path], File]) -> File:
    path = _find(kind, name, folder)
    try:
        return load(path)
    except BrokenFile as error:
        raise Refused(f"{error}\nNothing was started: mend {path.name} first.") from error


def _pair(file: Mapped | Workflow) -> Pair:
    return file.connections.antavo, file.connections.ometria


def _find(kind: str, name: str, folder: Path) -> Path:
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name in known:
        return folder / f"{name}.yaml"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise Refused(f"There is no {kind} `{name}` in {folder}. {hint}There are: {', '.join(known) or 'none'}.")


def read_params(text: str) -> dict[str, Any]:
    """Return the params of a run from JSON text; empty text is none.

    :raises Refused: when they are no JSON object, or one is unknown or wrong.
    """
    params = _read_object(text)
    try:
        run_params(params)
    except Misconfigured as error:
        raise Refused(str(error)) from error
    return params


def _read_object(text: str) -> dict[str, Any]:
    example = """PARAMS='{"dry_run": true}'"""
    try:
        params = json.loads(text.strip() or "{}")
    except json.JSONDecodeError as error:
        raise Refused(f"PARAMS is not JSON: {error.msg} at character {error.pos + 1}. Write {example}.") from error
    if not isinstance(params, dict):
        raise Refused(f"PARAMS must be a JSON object, such as {example}.")
    return params


def pairs_in(mappings: Path, workflows: Path) -> set[Pair]:
    """Return the connection pairs of all mapping and workflow files that can be read, and the default one.

    :raises Refused: when a folder is missing.
    """
    try:
        files: list[Mapped | Workflow] = [*read_mappings(mappings)[0], *read_workflows(workflows)[0]]
    except Misconfigured as error:
        raise Refused(str(error)) from error
    return {DEFAULT_PAIR, *map(_pair, files)}
