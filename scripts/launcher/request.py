"""What a person asked `run` for: a mapping or a workflow, and params, checked before anything starts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping.files import MappingFileError, load_mapping
from ometria_provider.mapping.files import check_folder as read_mappings
from ometria_provider.mapping.model import Mapping as Mapped
from ometria_provider.operators.params import campaign_params, run_params
from ometria_provider.workflows.files import WorkflowFileError, load_workflow
from ometria_provider.workflows.files import check_folder as read_workflows
from ometria_provider.workflows.model import Workflow

from launcher.accounts import Pair
from launcher.errors import Refused

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
    path = _find("mapping", mapping, folder)
    try:
        found = load_mapping(path)
    except MappingFileError as error:
        raise Refused(f"{error}\nNothing was started: mend {path.name} first.") from error
    pair = (found.connections.antavo, found.connections.ometria)
    return Request(f"contact_sync__{mapping}", pair, read_params(params))


def read_workflow_request(workflow: str, params: str, folder: Path) -> Request:
    """Check a workflow's file and the params.

    :param folder: the workflow files' folder.
    :raises Refused: with everything that is wrong with the file, or what is wrong with the params.
    """
    path = _find("workflow", workflow, folder)
    try:
        found = load_workflow(path)
    except WorkflowFileError as error:
        raise Refused(f"{error}\nNothing was started: mend {path.name} first.") from error
    pair = (found.connections.antavo, found.connections.ometria)
    given = _read_object(params)
    try:
        campaign_params(given, [workflow])
    except Misconfigured as error:
        raise Refused(str(error)) from error
    return Request(f"campaign_events__{found.connections.antavo}", pair, {**given, "workflow": workflow}, found)


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
    return {DEFAULT_PAIR, *((each.connections.antavo, each.connections.ometria) for each in files)}
