"""Reach Antavo and Ometria from the command line, through Airflow's connections."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
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
    from ometria_provider.cli.ledger import open_for_reading
    from ometria_provider.exceptions import SyncError

    try:
        return open_for_reading()
    except SyncError:
        return None


def antavo(conn_id: str) -> AntavoHook:
    """Return a hook that keeps to the account's rate budget, if there is a ledger to keep it."""
    if ledger := ready_ledger():
        from ometria_provider.operators.accounts import antavo_hook

        return antavo_hook(ledger, conn_id)
    from ometria_provider.hooks.antavo import AntavoHook

    return AntavoHook(conn_id)


def ometria(conn_id: str) -> OmetriaHook:
    """Return a hook that keeps to the account's rate budgets, if there is a ledger to keep them."""
    if ledger := ready_ledger():
        from ometria_provider.operators.accounts import ometria_hook

        return ometria_hook(ledger, conn_id)
    from ometria_provider.hooks.ometria import OmetriaHook

    return OmetriaHook(conn_id)
