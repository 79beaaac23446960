"""kill -9 at every ledger write, every request and every file of every task; then the task is done again."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.delivery import batches
from ometria_provider.hooks.base import JsonApiHook
from ometria_provider.ledger.engine import Ledger
from ometria_provider.staging.store import SliceStore
from sync import FIELDS, Sync
from work import Outcome

STEPS = ["plan", "extract", "map", "validate", "gate", "push", "reconcile", "report"]

#: Of the points at which a worker may die, every so many-th in the daily run; `make prove` takes all.
STRIDE = 1 if "PROOFS" in os.environ else 4


class Killer:
    """Dies at the n-th point that it is told of."""

    def __init__(self, at: int) -> None:
        self._left = at

    def point(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a point before it and one behind it."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.point()
            result = function(*args, **kwargs)
            self.point()
            return result

        return call

    def lie_in_wait(self) -> None:
        """Be told of every ledger transaction (before it, before its commit, after it), request and file."""
        write = Ledger.write

        @contextmanager
        def watched(ledger: Ledger) -> Iterator[Any]:
            self.point()
            with write(ledger) as connection:
                yield connection
                self.point()
            self.point()

        Ledger.write = watched  # type: ignore[method-assign]
        JsonApiHook.run_and_check = self.around(JsonApiHook.run_and_check)  # type: ignore[method-assign]
        for name in ("begin", "write_chunk", "write_manifest"):
            setattr(SliceStore, name, self.around(getattr(SliceStore, name)))


@pytest.fixture
def eight(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Eight members: six to be delivered in batches of three, one whom the mapping rejects, one whom Ometria does."""
    monkeypatch.setattr(batches, "MAX_RECORDS", 3)
    sync.connect(ometria={"extra": {"concurrency": 2}})
    sync.mapping(fields=[*FIELDS, {"loyalty": "birth_date", "remote": "date_of_birth"}])
    sync.nobody()
    members = [sync.member(email=f"{number}@example.com") for number in range(7)]
    sync.member(birth_date="2999-01-01", email="bad@example.com")
    sync.fault("poison", contacts=members[:1])
    return sync


@pytest.mark.parametrize("step", STEPS)
def test_kill_at_every_point_of(eight: Sync, proof: Any, tmp_path: Path, step: str) -> None:
    sync, at = eight, STEPS.index(step)
    run = sync.start(STEPS[:at])
    saved = _save(sync, tmp_path / "saved")
    kills = most_twice = 0
    for point in range(1, 1_000, STRIDE):
        _restore(sync, saved)
        if at <= STEPS.index("push"):
            sync.sandbox.control("reset", {"what": ["contacts", "stats"]})
        if not _dies(sync, run, step, point):
            break
        kills += 1
        in_flight = _in_flight(sync) if step == "push" else 0
        again = sync.clear(run, *STEPS[at:])
        most_twice = max(most_twice, _whole(sync, again, in_flight))
    assert kills
    proof(
        f"kill -9 in `{step}`, at each of its {kills} ledger writes, requests and files",
        "ours",
        f"6 of 6 members stored each time, 2 rejected, at most {most_twice} records twice (they were in flight)",
    )


def _dies(sync: Sync, run: Outcome, step: str, point: int) -> bool:
    """Do a step in a process of its own that dies at a point; say whether it came to that."""
    sync.ledger.engine.dispose()
    child = os.fork()
    if child == 0:
        Killer(point).lie_in_wait()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        run.work.steps([step])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _in_flight(sync: Sync) -> int:
    """Return how many records' requests the ledger knows as on their way."""
    found = sync.query("SELECT coalesce(sum(records), 0) AS n FROM push_batch WHERE state='sending'")
    count: int = found[0]["n"]
    return count


def _whole(sync: Sync, run: Outcome, in_flight: int) -> int:
    """Hold the run against the promises; return how many records came twice."""
    assert run.green, run.text
    run.assert_balanced()
    assert (run.row["accepted"], run.row["rejected"], run.row["pending"]) == (6, 2, 0)
    assert len({row["contact_id"] for row in run.rejections}) == len(run.rejections) == 2
    received = sync.received()
    assert received["stored"] == 6
    twice = received["received"] - received["contacts"]
    assert twice <= in_flight
    return twice


def _save(sync: Sync, place: Path) -> Path:
    """Copy ledger and staging as they are."""
    place.mkdir()
    if sync.ledger_file.exists():
        sync.ledger.engine.dispose()
        with sqlite3.connect(sync.ledger_file) as source, sqlite3.connect(place / "ledger.db") as copy:
            source.backup(copy)
    if sync.staging.exists():
        shutil.copytree(sync.staging, place / "staging")
    return place


def _restore(sync: Sync, place: Path) -> None:
    sync.ledger.engine.dispose()
    for part in sync.ledger_file.parent.glob(f"{sync.ledger_file.name}*"):
        part.unlink()
    shutil.rmtree(sync.staging, ignore_errors=True)
    if (place / "ledger.db").exists():
        shutil.copy(place / "ledger.db", sync.ledger_file)
    if (place / "staging").exists():
        shutil.copytree(place / "staging", sync.staging)
