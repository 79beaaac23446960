"""The file that prepares a shell to see a home, and what a launcher makes of a shell that was prepared so: nothing.

`make run` chooses ledger, staging and connections anew each time. Were what the file says taken for the caller's own
choice, a run with real accounts would go on with the sandbox's ledger, or with a sandbox that ended long ago.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

from launcher.home import Home

#: Says which variables the file set, each with a digest of its value: `NAME:1f3870be274f6c49 …`.
OURS = "OMETRIA_SHELL"


def shell_file(home: Home) -> Path:
    """Return the file to source in a shell of one's own."""
    return home.path / "environment.sh"


def way_on(home: Home, *, sandbox_ended: bool) -> str:
    """Say how a shell gets to see a home after a run.

    :param sandbox_ended: the run's accounts were the sandbox's, which ended with it.
    """
    words = f"To use `ometria-sync` in this shell: . {shell_file(home)}"
    if not sandbox_ended:
        return words
    return (
        f"{words}\nThe sandbox ended with this run: commands that ask Antavo or Ometria (doctor, lists, plan,\n"
        "previews, trace --now) find no connections. `make up` starts it again, with the same members."
    )


def write_shell_file(
    home: Home, environment: Mapping[str, str], more: Iterable[str], *, asked: Mapping[str, str]
) -> None:
    """Write what a shell needs for `airflow` and `ometria-sync` to see this home; no key of a real account is in it.

    :param more: names of variables beside home and folders.
    :param asked: the caller's own environment: what is in it stays the caller's.
    """
    names = ["AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__CORE__PLUGINS_FOLDER", "AIRFLOW__CORE__LOAD_EXAMPLES"]
    names += [name for name in environment if name.startswith("AIRFLOW__OMETRIA__") and name.endswith("_FOLDER")]
    values = {name: environment[name] for name in (*names, *more) if name in environment}
    ours = " ".join(f"{name}:{_digest(value)}" for name, value in values.items() if asked.get(name) != value)
    exported = {"AIRFLOW_HOME": environment["AIRFLOW_HOME"], **values, OURS: ours}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exported.items()]
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    shell_file(home).write_text("\n".join(lines) + "\n")


def leave_shell(environment: MutableMapping[str, str]) -> None:
    """Take out what the file of a launcher put there and nobody changed since; the home stays."""
    for name, _, digest in (each.partition(":") for each in environment.pop(OURS, "").split()):
        if name in environment and _digest(environment[name]) == digest:
            del environment[name]


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:16]
