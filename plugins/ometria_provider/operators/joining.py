"""Which mappings join two accounts: who opted out through any of them starts no campaign, whichever it names."""

from __future__ import annotations

from pathlib import Path

from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.files import check_folder, mapping_files
from ometria_provider.mapping.model import Connections, Mapping
from ometria_provider.operators.base import planned_then


def joining(ledger: Ledger, folder: Path, connections: Connections) -> list[Mapping]:
    """Return the mappings that join two accounts.

    A file that cannot be used counts as it was when its last run was planned: by that its contacts were sent. When no
    run of it was ever planned, nothing was sent through it, and it says nothing.

    :raises Misconfigured: when what such a file was cannot be read by this version of the package.
    """
    if not folder.is_dir():
        return []
    usable = {mapping.name: mapping for mapping in check_folder(folder)[0]}
    names = sorted(path.stem for paths in mapping_files(folder).values() for path in paths)
    found = [usable.get(name) or _as_planned(ledger, name) for name in names]
    return [mapping for mapping in found if mapping is not None and mapping.connections == connections]


def _as_planned(ledger: Ledger, name: str) -> Mapping | None:
    run = runs.last_planned_by(ledger, name)
    if run is None:
        return None
    then = planned_then(run)
    if then is None:
        raise Misconfigured(
            f"The mapping file {name}.yaml cannot be used, and this version of the package cannot read what "
            f"run {run.id} was planned with, so that nobody can tell who opted out through it: mend {name}.yaml."
        )
    return then.mapping
