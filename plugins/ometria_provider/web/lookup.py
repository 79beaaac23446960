"""Look at what may change while the API server runs: the receiver's connection and the workflow files."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from ometria_provider.exceptions import Misconfigured
from ometria_provider.web import CONNECTION
from ometria_provider.web.credentials import Connection, Credentials
from ometria_provider.workflows.files import load_folder
from ometria_provider.workflows.model import Workflow

log = logging.getLogger(__name__)

#: Seconds for which a connection and the state of the workflows folder are believed.
FRESH_CONNECTION = 5.0
FRESH_FOLDER = 1.0


class CurrentCredentials:
    """The receiver's credentials as its connection has them now, a few seconds old at most.

    :param get: returns the connection, None when there is none.
    """

    def __init__(self, get: Callable[[], Connection | None]) -> None:
        self._get = get
        self._lock = asyncio.Lock()
        self._until = float("-inf")
        self._found: Credentials | Misconfigured | None = None
        self._failures = 0
        self._failure: Exception | None = None

    async def get(self) -> Credentials | None:
        """Return the credentials; None when the connection does not exist.

        :raises Misconfigured: when it cannot be used.
        """
        before = self._failures
        async with self._lock:
            if self._failure is not None and self._failures != before:
                raise self._failure  # of the look that this one waited for
            if time.monotonic() >= self._until:
                try:
                    self._found = await asyncio.to_thread(self._read)
                except Exception as error:
                    self._failures, self._failure = self._failures + 1, error
                    raise
                self._until = time.monotonic() + FRESH_CONNECTION
        if isinstance(self._found, Misconfigured):
            raise self._found
        return self._found

    def _read(self) -> Credentials | Misconfigured | None:
        connection = self._get()
        if connection is None:
            return None
        try:
            credentials = Credentials.read(connection)
        except Misconfigured as error:
            return error
        if isinstance(self._found, Credentials) and self._found.warnings == credentials.warnings:
            return credentials
        for warning in credentials.warnings:
            log.warning("Connection %s: %s", CONNECTION, warning)
        return credentials


def airflow_connection() -> Connection | None:
    """Return the receiver's connection from wherever this Airflow keeps connections."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection: Connection = BaseHook.get_connection(CONNECTION)
    except AirflowNotFoundException:
        return None
    return connection


class WorkflowFolder:
    """The workflow files as they are now, read anew when one of them changed.

    :param folder: `[ometria] workflows_folder`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._until = float("-inf")
        self._seen: object = None
        self._workflows: list[Workflow] = []
        #: Files that cannot be read: whether they would want an event is unknown.
        self.broken: list[str] = []

    def wanting(self, account: str, action: str) -> tuple[str, ...]:
        """Return the names of the workflows that an event of an Antavo connection triggers.

        :raises Misconfigured: when there is no such folder.
        """
        if time.monotonic() >= self._until:
            self._refresh()
            self._until = time.monotonic() + FRESH_FOLDER
        return tuple(
            each.name for each in self._workflows if (each.connections.antavo, each.trigger.event) == (account, action)
        )

    def _refresh(self) -> None:
        stats = ((path, path.stat()) for path in sorted(self._folder.glob("*.yaml")))
        seen = [(path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for path, stat in stats]
        if seen == self._seen and seen:
            return
        # Without the mappings: while a contact mapping is missing or broken its events wait in the inbox, as those do
        # that a run collects. To refuse them here would lose them after Antavo's five tries.
        self._workflows, problems = load_folder(self._folder)
        self.broken = sorted({Path(problem.file).name for problem in problems})
        if self.broken:
            log.warning("Workflow files that cannot be read: %s. See `ometria-sync workflows check`.", self.broken)
        self._seen = seen
