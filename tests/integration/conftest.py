from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from ometria_provider import factory
from ometria_provider.hooks.base import JsonApiHook
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from sync import UNLIMITED, Sync


class Prove(Protocol):
    """Takes down what was seen at the receiving side, for docs/reliability.md."""

    def __call__(self, fault: str, side: str, seen: str) -> None: ...


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Prove:
    """Take down what a test saw, when `make prove` asks for it (a file named by PROOFS)."""

    def take_down(fault: str, side: str, seen: str) -> None:
        if file := os.environ.get("PROOFS"):
            line = json.dumps({"fault": fault, "side": side, "seen": seen, "test": request.node.nodeid})
            with Path(file).open("a", encoding="utf-8") as proofs:
                proofs.write(line + "\n")

    return take_down


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is taken down, so that `make prove` finds it."""
    for item in items:
        if "proof" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.proof)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Let a test use ``run_dag``: Airflow's own database is there."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[RunningSandbox]:
    with running(SandboxSettings(port=0, members=300, validation_delay_ms=0, **UNLIMITED)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def running_crowd() -> Iterator[RunningSandbox]:
    with running(SandboxSettings(port=0, members=2_000, validation_delay_ms=0, **UNLIMITED)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: RunningSandbox) -> RunningSandbox:
    """The sandbox as it was at first: 300 members, no contacts, no faults, no latency."""
    return as_at_first(running_sandbox)


def as_at_first(sandbox: RunningSandbox) -> RunningSandbox:
    sandbox.control("reset", {})
    sandbox.control("settings", {"latency_ms": 0, "validation_delay_ms": 0, **UNLIMITED})
    return sandbox


@pytest.fixture
def make_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[RunningSandbox], Sync]]:
    # A failed task stays failed here, and a request is tried again at once: the waiting is the unit tests' matter.
    monkeypatch.setitem(factory.DEFAULT_ARGS, "retries", 0)
    monkeypatch.setitem(JsonApiHook.__init__.__kwdefaults__, "first_wait", 0.01)
    corners = []

    def make(sandbox: RunningSandbox) -> Sync:
        corners.append(Sync(sandbox, tmp_path, monkeypatch))
        return corners[-1]

    yield make
    for corner in corners:
        corner.ledger.engine.dispose()


@pytest.fixture
def sync(make_sync: Callable[[RunningSandbox], Sync], sandbox: RunningSandbox) -> Sync:
    return make_sync(sandbox)


@pytest.fixture
def crowd(make_sync: Callable[[RunningSandbox], Sync], running_crowd: RunningSandbox) -> Sync:
    """Beside 2,000 members: a push of 20 batches."""
    return make_sync(as_at_first(running_crowd))


@pytest.fixture
def strict_lists(make_sync: Callable[[RunningSandbox], Sync]) -> Iterator[Sync]:
    """A sandbox that has list 4821 and no other."""
    with running(SandboxSettings(port=0, members=20, lists=(4821,), **UNLIMITED)) as sandbox:
        yield make_sync(sandbox)


@pytest.fixture
def strict_fields(make_sync: Callable[[RunningSandbox], Sync]) -> Iterator[Callable[..., Sync]]:
    """Make a sandbox with these custom fields and no others; it drops unknown ones, or rejects their records."""
    with contextlib.ExitStack() as stack:

        def make(unknown: str, *declared: str) -> Sync:
            settings = SandboxSettings(
                port=0,
                members=60,
                validation_delay_ms=0,
                unknown_fields=unknown,  # type: ignore[arg-type]
                declared_fields=declared or ("nothing",),
                **UNLIMITED,
            )
            return make_sync(stack.enter_context(running(settings)))

        yield make


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The records that go over the wire, in their order."""
    sent: list[dict[str, Any]] = []
    original = OmetriaHook.push

    def push(self: OmetriaHook, body: bytes) -> Any:
        sent.extend(msgspec.json.decode(body))
        return original(self, body)

    monkeypatch.setattr(OmetriaHook, "push", push)
    return sent
