from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ometria_provider import factory
from ometria_provider.hooks.base import JsonApiHook
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from sync import Sync

#: No limits: these tests are about what is sent, not about when.
UNLIMITED = {"antavo_requests_per_minute": 0, "ometria_push_per_second": 0, "ometria_data_per_second": 0}


@pytest.fixture(scope="session", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[RunningSandbox]:
    with running(SandboxSettings(port=0, members=300, validation_delay_ms=0, **UNLIMITED)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: RunningSandbox) -> RunningSandbox:
    """The sandbox as it was at first: 300 members, no contacts, no faults, no latency."""
    running_sandbox.control("reset", {})
    running_sandbox.control("settings", {"latency_ms": 0, **UNLIMITED})
    return running_sandbox


@pytest.fixture
def sync(sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sync]:
    # A failed task stays failed here, and a request is tried again at once: the waiting is the unit tests' matter.
    monkeypatch.setitem(factory.DEFAULT_ARGS, "retries", 0)
    monkeypatch.setitem(JsonApiHook.__init__.__kwdefaults__, "first_wait", 0.01)
    corner = Sync(sandbox, tmp_path, monkeypatch)
    yield corner
    open_ledger(f"sqlite:///{corner.ledger_file}").engine.dispose()
