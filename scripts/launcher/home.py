"""The local Airflow's home: one launcher at a time in it, its secrets, and what the running one says of itself."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from launcher.errors import Broken


@dataclass(frozen=True)
class Running:
    """The launcher that holds a home.

    :param command: ``run`` or ``up``.
    :param url: root of its API server; empty until that is known.
    :param accounts: :func:`launcher.accounts.fingerprint` of the accounts that its tasks use.
    :param ledger: SQLAlchemy URL of the ledger that its tasks write to; empty until that is known.
    :param sandbox: root of its sandbox; empty: it has none.
    """

    pid: int
    command: str
    url: str = ""
    accounts: str = ""
    ledger: str = ""
    sandbox: str = ""


@dataclass(frozen=True)
class Home:
    """Airflow's home folder.

    :param path: absolute; made private to the user, as it holds secrets and staged members.
    """

    path: Path

    @classmethod
    def prepare(cls, path: Path) -> Home:
        """Make the folder when it is not there.

        :raises Broken: when it cannot be written.
        """
        try:
            (path / "logs" / "launcher").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Broken(f"Airflow's home {path} cannot be made: {error.strerror}. Set AIRFLOW_HOME.") from error
        return cls(path.resolve())

    @property
    def config_file(self) -> Path:
        """Airflow's own configuration file; Airflow writes it when it is missing."""
        return self.path / "airflow.cfg"

    @property
    def sandbox_state(self) -> Path:
        """What the sandbox remembers between runs."""
        return self.path / "sandbox.db"

    def log_file(self, part: str) -> Path:
        """Return the file that a part of Airflow (or the sandbox) writes its output to."""
        return self.path / "logs" / "launcher" / f"{part}.log"

    def keys(self) -> dict[str, str]:
        """Return the keys that the parts of this Airflow share, made at the first call and kept (mode 0600)."""
        file = self.path / "launcher-keys.json"
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(file.read_text())
            if isinstance(known, dict) and {"jwt", "session"} <= known.keys():
                return {"jwt": str(known["jwt"]), "session": str(known["session"])}
        keys = {"jwt": secrets.token_urlsafe(64), "session": secrets.token_urlsafe(32)}
        _write_private(file, json.dumps(keys))
        return keys

    @contextlib.contextmanager
    def held(self, running: Running) -> Iterator[bool]:
        """Hold this home for the length of the block; yield False at once when another launcher holds it.

        The system lets go of the lock when its holder dies, however it dies.
        """
        with (self.path / "launcher.lock").open("a") as lock:
            if not _lock(lock):
                yield False
                return
            try:
                self.say(running)
                yield True
            finally:
                (self.path / "launcher.json").unlink(missing_ok=True)

    def say(self, running: Running) -> None:
        """Write down who holds this home, for the next launcher to read."""
        _write_private(self.path / "launcher.json", json.dumps(dataclasses.asdict(running)))

    def holder(self) -> Running | None:
        """Return who holds this home; None when it did not say so yet."""
        try:
            return Running(**json.loads((self.path / "launcher.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None


def _lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_private(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    new.replace(file)
