"""What a person asked `run` for: a mapping and params, checked before anything starts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ometria_provider.exceptions import Misconfigured
from ometria_provider.mapping.files import MappingFileError, check_folder, load_mapping
from ometria_provider.operators.params import run_params

from launcher.accounts import Pair
from launcher.errors import Refused

DEFAULT_PAIR = ("antavo_default", "ometria_default")


@dataclass(frozen=True)
class Request:
    """A run to make.

    :param pair: connection ids of the mapping.
    """

    mapping: str
    pair: Pair
    params: Mapping[str, Any]

    @property
    def dag_id(self) -> str:
        """The mapping's DAG."""
        return f"contact_sync__{self.mapping}"


def read_request(mapping: str, params: str, folder: Path) -> Request:
    """Check a mapping's file and the params.

    :param folder: the mapping files' folder.
    :raises Refused: with everything that is wrong with the file, or what is wrong with the params.
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if mapping not in known:
        near = difflib.get_close_matches(mapping, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known) or 'none'}."
        raise Refused(f"There is no mapping `{mapping}` in {folder}. {hint}")
    try:
        found = load_mapping(folder / f"{mapping}.yaml")
    except MappingFileError as error:
        raise Refused(f"{error}\nNothing was started: mend {mapping}.yaml first.") from error
    return Request(mapping, (found.connections.antavo, found.connections.ometria), read_params(params))


def read_params(text: str) -> dict[str, Any]:
    """Return the params of a run from JSON text; empty text is none.

    :raises Refused: when they are no JSON object, or one is unknown or wrong.
    """
    example = """PARAMS='{"dry_run": true}'"""
    try:
        params = json.loads(text.strip() or "{}")
    except json.JSONDecodeError as error:
        raise Refused(f"PARAMS is not JSON: {error.msg} at character {error.pos + 1}. Write {example}.") from error
    if not isinstance(params, dict):
        raise Refused(f"PARAMS must be a JSON object, such as {example}.")
    try:
        run_params(params)
    except Misconfigured as error:
        raise Refused(str(error)) from error
    return params


def pairs_in(folder: Path) -> set[Pair]:
    """Return the connection pairs of all mapping files that can be read, and the default one."""
    try:
        mappings, _ = check_folder(folder)
    except Misconfigured as error:
        raise Refused(str(error)) from error
    return {DEFAULT_PAIR, *((each.connections.antavo, each.connections.ometria) for each in mappings)}
