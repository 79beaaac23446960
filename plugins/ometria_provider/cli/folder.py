"""Find mapping and workflow files by name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from ometria_provider.cli.output import Misused
from ometria_provider.settings import read_settings

if TYPE_CHECKING:
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.workflows.model import Workflow


def mapping_named(name: str) -> Mapping:
    """Return one mapping of the mappings folder.

    :param name: the file's name without `.yaml`.
    :raises Misused: when there is no such file; the nearest name is suggested.
    :raises MappingFileError: when the file is broken.
    """
    from ometria_provider.mapping.files import load_mapping

    return load_mapping(_file_named("mapping", name, read_settings().mappings_folder))


def workflow_named(name: str) -> Workflow:
    """Return one workflow of the workflows folder.

    :param name: the file's name without `.yaml`.
    :raises Misused: when there is no such file; the nearest name is suggested.
    :raises WorkflowFileError: when the file is broken.
    """
    from ometria_provider.workflows.files import load_workflow

    return load_workflow(_file_named("workflow", name, read_settings().workflows_folder))


def _file_named(kind: str, name: str, folder: Path) -> Path:
    names = mapping_names(folder)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}."
        raise Misused(f"There is no {kind} {name} in {folder}: {hint}")
    return folder / f"{name}.yaml"


def mapping_names(folder: Path) -> list[str]:
    """Return the names of a folder's mapping files, broken ones too."""
    return sorted(path.stem for path in folder.glob("*.yaml"))
