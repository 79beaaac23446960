"""Start a connection's campaigns as soon as a webhook put an event into the ledger's inbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import Asset, AssetWatcher
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.triggers.pace import Pace

if TYPE_CHECKING:
    from ometria_provider.ledger.engine import Ledger

#: Seconds between two looks at the inbox. One look is one query of an index.
INTERVAL = 0.25

#: Seconds until the next look when the ledger cannot be read, and when a person has to mend something first.
PATIENCE = 5.0
PATIENCE_FOR_A_PERSON = 60.0


def inbox_asset(connection: str) -> Asset:
    """Return the asset that changes when a webhook put something into the inbox of an Antavo connection.

    :param connection: Antavo connection id.
    """
    name = f"ometria_inbox__{connection}"
    watcher = AssetWatcher(name=name, trigger=InboxTrigger(account=connection))
    return Asset(name=name, uri=f"ometria://inbox/{quote(connection, safe='')}", watchers=[watcher])


class InboxTrigger(BaseEventTrigger):
    """Fire when events of webhooks wait in the inbox, no more often than :class:`Pace` allows.

    It remembers in memory what it announced. Started anew it announces once more what still waits: nothing is lost, and
    the run that finds nothing to do costs a second. What waits for long (a call that fails) is announced once, and
    tried again by the run of every minute.

    :param account: Antavo connection id.
    """

    def __init__(self, account: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.account = account

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"account": self.account}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch the inbox for ever."""
        announced, pace = 0, Pace()
        while True:
            try:
                newest, last = await asyncio.to_thread(_look, self.account, announced)
            except SyncError as error:
                # To end would help nobody: Airflow starts a trigger that ended again, at once.
                self.log.warning("The inbox of %s cannot be read: %s", self.account, error)
                await asyncio.sleep(PATIENCE_FOR_A_PERSON if isinstance(error, Misconfigured) else PATIENCE)
                continue
            if pace.start(time.time(), waiting=newest is not None):
                yield TriggerEvent({"inbox": self.account, "newest": newest})  # type: ignore[no-untyped-call]  # Airflow's
                announced = newest or last
            elif newest is None:
                # SQLite gives numbers out again after the newest events were pruned.
                announced = last if last >= announced else 0
            await asyncio.sleep(INTERVAL)


def _look(account: str, after: int) -> tuple[int | None, int]:
    from ometria_provider.ledger import installations
    from ometria_provider.ledger.arrivals import look

    ledger = _ledger()
    installations.note(ledger, "triggerer")
    return look(ledger, account, after)


@cache
def _ledger() -> Ledger:
    """Return the ledger, ready: the triggerer may be the first that opens it."""
    from ometria_provider.ledger.engine import open_ledger
    from ometria_provider.settings import read_settings

    ledger = open_ledger(read_settings().ledger_url)
    ledger.ready()
    return ledger
