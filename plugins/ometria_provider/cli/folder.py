"""Find mapping files by name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from ometria_provider.cli.output import Misused
from ometria_provider.settings import read_settings

if TYPE_CHECKING:
    from ometria_provider.mapping.model import Mapping


def mapping_named(name: str) -> Mapping:
    """Return one mapping of the mappings folder.

    :param name: the file's name without `.yaml`.
    :raises Misused: when there is no such file; the nearest name is suggested.
    :raises MappingFileError: when the file is broken.
    """
    from ometria_provider.mapping.files import load_mapping

    folder = read_settings().mappings_folder
    names = mapping_names(folder)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}."
        raise Misused(f"There is no mapping {name} in {folder}: {hint}")
    return load_mapping(folder / f"{name}.yaml")


def mapping_names(folder: Path) -> list[str]:
    """Return the names of a folder's mapping files, broken ones too."""
    return sorted(path.stem for path in folder.glob("*.yaml"))
