"""Reach Antavo and Ometria from the command line, through Airflow's connections."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.hooks.ometria import OmetriaHook
    from ometria_provider.ledger.engine import Ledger


@contextlib.contextmanager
def airflow() -> Iterator[None]:
    """Work with Airflow, whose imports and logs may write: standard output stays free for the answer.

    Connections may stand in the environment, in a secrets backend or in Airflow's database. The last is read by
    server processes only (`airflow.sdk.execution_time.supervisor.ensure_secrets_backend_loaded`), and Airflow's own
    `airflow connections` calls itself one in the same way.
    """
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
    with contextlib.redirect_stdout(sys.stderr):
        for name in ("airflow", "alembic", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
        yield


def ready_ledger() -> Ledger | None:
    """Return the ledger, whose rate budget every process shares, or None when there is none that could be used."""
    from ometria_provider.cli.reading import open_for_reading
    from ometria_provider.exceptions import SyncError

    try:
        return open_for_reading()
    except SyncError:
        return None


class ProcessLimiter:
    """The rates within this process alone: what there is to keep to while there is no ledger (a hooks' `Limiter`).

    :param rates: requests a second, by bucket.
    """

    def __init__(self, rates: Mapping[str, float]) -> None:
        self._rates = rates
        self._next: dict[str, float] = {}

    def acquire(self, bucket: str) -> None:
        """Wait for this request's turn."""
        time.sleep(max(self._next.get(bucket, 0.0) - time.monotonic(), 0.0))
        self._next[bucket] = time.monotonic() + 1 / self._rates[bucket]

    def departed(self, bucket: str) -> None:
        """Count the next turn from now: the request has left."""
        self._next[bucket] = time.monotonic() + 1 / self._rates[bucket]

    def yield_for(self, bucket: str, seconds: float) -> None:
        """Go no earlier than that: the server said 429."""
        self._next[bucket] = max(self._next.get(bucket, 0.0), time.monotonic() + seconds)


def antavo(conn_id: str) -> AntavoHook:
    """Return a hook that keeps to the account's rate budget."""
    if ledger := ready_ledger():
        from ometria_provider.operators.accounts import antavo_hook

        return antavo_hook(ledger, conn_id)
    from ometria_provider.hooks.antavo import AntavoHook

    hook = AntavoHook(conn_id)
    hook.limiter = ProcessLimiter({"requests": hook.requests_per_minute / 60})
    return hook


def ometria(conn_id: str) -> OmetriaHook:
    """Return a hook that keeps to the account's rate budgets."""
    if ledger := ready_ledger():
        from ometria_provider.operators.accounts import ometria_hook

        return ometria_hook(ledger, conn_id)
    from ometria_provider.hooks.ometria import OmetriaHook

    hook = OmetriaHook(conn_id)
    hook.limiter = ProcessLimiter({"push": hook.push_requests_per_second, "data": hook.data_requests_per_second})
    return hook
