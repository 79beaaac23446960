"""Which workflow files belong to which Antavo account: one DAG serves all of an account."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ometria_provider.mapping.model import Connections
from ometria_provider.mapping.source import Problem, read_source
from ometria_provider.workflows.files import load_folder
from ometria_provider.workflows.model import Workflow


@dataclass(frozen=True)
class Campaigns:
    """The workflows of one Antavo account.

    :param account: the Antavo connection.
    :param workflows: by name.
    :param broken: what is wrong in the account's files that cannot be used, by file name.
    :param unreadable: the names of all broken files in the folder: they may be anybody's.
    """

    account: str
    workflows: Mapping[str, Workflow] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()


def load_accounts(folder: Path) -> dict[str, Campaigns]:
    """Return the workflows of every Antavo account that a file names, by account.

    :raises Misconfigured: when there is no such folder.
    """
    found, problems = load_folder(folder)
    workflows: dict[str, dict[str, Workflow]] = defaultdict(dict)
    for workflow in found:
        workflows[workflow.connections.antavo][workflow.name] = workflow
    faults: dict[Path, list[Problem]] = defaultdict(list)
    for problem in problems:
        faults[Path(problem.file)].append(problem)
    broken: dict[str, dict[str, str]] = defaultdict(dict)
    for path, own in faults.items():
        broken[_account_of(path)][path.name] = "\n".join(problem.render() for problem in own)
    unreadable = frozenset(path.stem for path in faults)
    return {
        account: Campaigns(account, workflows[account], broken[account], unreadable)
        for account in sorted({*workflows, *broken})
    }


def _account_of(path: Path) -> str:
    """Return the Antavo account of a file that is broken elsewhere; the default one when it cannot be read either."""
    data = read_source(path).data
    connections = data.get("connections") if isinstance(data, dict) else None
    account = connections.get("antavo") if isinstance(connections, dict) else None
    return account if isinstance(account, str) and account else Connections().antavo
