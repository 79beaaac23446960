"""Servers, disks and databases that fail: what can pass is tried again, what was acknowledged is not sent again."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ometria_provider import factory
from ometria_provider.exceptions import Halted, Retryable
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.hooks.pace import ATTEMPTS
from ometria_provider.ledger import engine
from sync import Sync
from work import Outcome

PUSH = "/v2/push"
SCAN = "/v1/customers"


def delivered(sync: Sync, run: Outcome) -> str:
    """The run is green, its books balance, and all that it accepted is at the receiving side; return what is there."""
    assert run.green, run.text
    run.assert_balanced()
    received = sync.received()
    assert run.row["accepted"] == received["stored"] > 0
    twice = received["received"] - received["contacts"]
    return f"{received['stored']} of {run.row['accepted']} members stored, {twice} records twice"


@pytest.mark.parametrize(
    ("kind", "api", "path"),
    [
        ("truncated", "read", SCAN),
        ("html", "read", SCAN),
        ("502_html", "read", SCAN),
        ("reset_before", "read", SCAN),
        ("reset_after", "read", SCAN),
        ("500", "read", SCAN),
        ("429", "read", SCAN),
        ("html", "ometria", "/v2/lists/*"),
        ("500", "ometria", PUSH),
        ("html", "ometria", PUSH),
        ("reset_before", "ometria", PUSH),
        ("429", "ometria", PUSH),
    ],
)
def test_fault_once_is_ridden_out(sync: Sync, kind: str, api: str, path: str) -> None:
    sync.mapping()
    sync.fault(kind, api=api, path=path, times=2)
    run = sync.run()
    delivered(sync, run)
    assert sync.received()["most_for_one"] == 1
    retried = run.facts("plan")["requests"] + run.facts("extract")["requests"] + run.facts("push")["requests"]
    assert sum(count for answers in sync.stats()["requests"].values() for count in answers.values()) >= retried > 5


@pytest.mark.parametrize("kind", ["reset_after", "truncated"])
def test_answer_lost_after_storing_sends_that_batch_again_and_no_other(sync: Sync, kind: str) -> None:
    sync.mapping()
    sync.fault(kind, path=PUSH, times=1)
    run = sync.run()
    delivered(sync, run)
    assert sync.received()["repeats"] <= 100
    assert sync.received()["most_for_one"] == 2


@pytest.mark.parametrize(
    ("kind", "says"),
    [("truncated", "broke off"), ("html", "an HTML page instead of JSON"), ("502_html", "502"), ("500", "500")],
)
def test_page_that_never_arrives_is_red_and_cleared_when_it_does(sync: Sync, kind: str, says: str) -> None:
    sync.mapping()
    sync.fault(kind, api="read", path=SCAN, skip=1)  # plan asks once
    run = sync.run()
    assert run.state == "failed"
    error = run.errors["extract[0]"]
    assert isinstance(error, Retryable)
    for part in ("antavo_default", "Read API", says, f"Tried {ATTEMPTS} times"):
        assert part in str(error)
        assert part in run.row["reason"]
    assert "read -" not in str(run.row)
    run.assert_balanced()
    assert sync.received()["received"] == 0

    sync.mend()
    delivered(sync, sync.clear(run, "extract", "map", "validate", "gate", "push", "reconcile"))


def test_push_that_never_arrives_is_red_and_goes_on_when_cleared(sync: Sync) -> None:
    sync.mapping()
    sync.connect(ometria={"extra": {"concurrency": 1}})
    sync.fault("500", path=PUSH, skip=1)
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert isinstance(run.errors["push[0]"], Retryable)
    assert "ometria_default" in run.row["reason"]
    assert run.row["sent"] == run.row["accepted"] == sync.received()["stored"] == 100
    assert run.row["pending"] > 100

    sync.mend()
    again = sync.clear(run, "push", "reconcile")
    delivered(sync, again)
    assert sync.received()["most_for_one"] == 1
    assert again.row["sent"] == again.row["accepted"]


def test_push_that_never_arrives_is_caught_up_by_the_next_run(sync: Sync) -> None:
    sync.mapping()
    sync.connect(ometria={"extra": {"concurrency": 1}})
    sync.fault("500", path=PUSH, skip=1)
    first = sync.run()
    sync.mend()
    second = sync.run()
    assert second.green, second.text
    second.assert_balanced()
    assert second.row["sent"] == sync.received()["stored"] - first.row["sent"] > 0
    assert sync.received()["most_for_one"] == 1


def test_push_that_fails_hears_the_answers_still_in_flight(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping()
    original, calls = OmetriaHook.push, iter(range(100))

    def push(self: OmetriaHook, body: bytes) -> Any:
        if next(calls) == 0:
            raise Retryable("out of reach")
        time.sleep(0.3)
        return original(self, body)

    with monkeypatch.context() as patch:
        patch.setattr(OmetriaHook, "push", push)
        run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert run.row["accepted"] == sync.received()["stored"] > 100, "acknowledged after the failure, and written down"
    delivered(sync, sync.clear(run, "push", "reconcile"))
    assert sync.received()["most_for_one"] == 1


def test_throttling_in_the_middle_holds_back_and_loses_nothing(sync: Sync) -> None:
    sync.mapping()
    sync.fault("429", path=PUSH, skip=1, times=3, retry_after=0.05)
    run = sync.run()
    delivered(sync, run)
    assert run.facts("push")["throttled"] == 3
    assert sync.received()["most_for_one"] == 1


def test_key_revoked_in_the_middle_stops_at_once_and_names_the_connection(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.mapping()
    _break_before_push(sync, monkeypatch, lambda: sync.connect(ometria={"password": "revoked-key"}))
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert "ometria_default" in run.row["reason"]
    assert "Check the API key" in run.row["reason"]
    assert "revoked-key" not in run.text
    assert run.facts("push")["requests"] <= 8
    assert sync.received()["received"] == 0


def test_poison_among_two_thousand_is_isolated(crowd: Sync) -> None:
    crowd.mapping()
    poison = crowd.members_to_send()[1234]
    crowd.fault("poison", contacts=[poison])
    run = crowd.run()
    assert run.green, run.text
    run.assert_balanced()
    (rejection,) = [row for row in run.rejections if row["stage"] == "push"]
    assert rejection["contact_id"] == poison
    assert "a record is not acceptable" in rejection["reason"]
    assert run.row["accepted"] == crowd.received()["stored"]
    assert run.row["sent"] == crowd.received()["received"]
    assert crowd.received()["most_for_one"] == 1
    assert run.facts("push")["requests"] < 20 + 2 * 8, "a halving costs two requests a step"

    second = crowd.run()
    assert second.green, second.text
    assert (second.row["sent"], second.row["rejected"]) == (0, run.row["rejected"])
    assert crowd.received()["most_for_one"] == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_poison_in_each_batch_is_isolated(sync: Sync, status: int) -> None:
    sync.mapping()
    poison = sync.members_to_send()[::60]
    sync.fault("poison", contacts=poison, status=status)
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert sorted(rejection["contact_id"] for rejection in run.rejections) == sorted(poison)
    assert str(status) in run.rejections[0]["reason"]
    assert run.row["accepted"] == sync.received()["stored"]


def test_every_record_refused_halts_and_convicts_nobody(sync: Sync) -> None:
    sync.mapping()
    everybody = sync.members_to_send()
    sync.fault("poison", contacts=everybody)
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert run.row["state"] == "halted"
    assert isinstance(run.errors["push[0]"], Halted)
    assert run.rejections == []
    assert run.row["rejected"] == run.row["sent"] == 0
    assert sync.query("SELECT * FROM contact_state WHERE state='rejected'") == []
    alone = [batch for batch in run.batches if batch["records"] == 1]
    assert 20 <= len(alone) <= 20 + 8, "twenty alone, and those in flight"
    came = sync.stats()["requests"]["ometria POST /v2/push"]
    assert len(run.batches) == sum(came.values()), "none was written as on its way that did not go"

    sync.mend()
    second = sync.run()
    delivered(sync, second)
    assert second.row["accepted"] == len(everybody)


def test_halted_push_cleared_after_the_fault_is_mended_delivers(sync: Sync) -> None:
    sync.mapping()
    sync.fault("poison", contacts=sync.members_to_send())
    run = sync.run()
    assert run.row["state"] == "halted"
    sync.mend()
    delivered(sync, sync.clear(run, "push", "reconcile"))


@pytest.mark.parametrize(
    ("fault", "attempts", "state"),
    [({"kind": "poison"}, 1, "failed"), ({"kind": "500", "path": PUSH, "times": ATTEMPTS}, 2, "success")],
    ids=["halted", "passes"],
)
def test_airflow_tries_again_what_can_pass_and_nothing_else(
    sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    airflow_database: None,
    fault: dict[str, Any],
    attempts: int,
    state: str,
) -> None:
    monkeypatch.setitem(factory.DEFAULT_ARGS, "retries", 2)
    monkeypatch.setitem(factory.DEFAULT_ARGS, "retry_delay", timedelta(milliseconds=10))
    sync.mapping()
    sync.connect(ometria={"extra": {"concurrency": 1}})
    sync.fault(**fault | ({"contacts": sync.members_to_send()} if fault["kind"] == "poison" else {}))
    run = sync.run_dag()
    assert run.work.attempts["push[0]"] == attempts
    assert run.state == state
    run.assert_balanced()


def test_answer_that_counts_rejected_and_is_not_read_back_leaves_its_records_pending_and_the_run_red(
    sync: Sync,
) -> None:
    sync.mapping(verify="off")
    victim = sync.members_to_send()[42]
    sync.fault("rejected", contacts=[victim])
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert run.row["pending"] == 100
    assert run.row["sent"] == run.row["accepted"] + 100
    assert "100 records are pending" in run.row["reason"]
    (doubtful,) = [batch for batch in run.batches if batch["state"] == "doubtful"]
    assert doubtful["request_id"]

    sync.mend()
    before = sync.received()["received"]
    second = sync.run()
    assert second.state == "failed", "not delivered for sure: nobody may take it for done"
    second.assert_balanced()
    assert second.row["pending"] == 100
    assert sync.received()["received"] == before, "not sent again"

    sync.change(victim, score=987_654)
    third = sync.run()
    third.assert_balanced()
    assert third.row["sent"] == 1
    assert sync.contact(victim)["properties"]["points"] == 987_654


def test_report_cleared_alone_says_the_same(sync: Sync) -> None:
    sync.mapping(verify="off")
    sync.fault("rejected", contacts=[sync.members_to_send()[0]])
    run = sync.run()
    again = sync.clear(run, "report")
    assert again.state == "failed"
    assert again.books == run.books
    assert again.row["reason"] == run.row["reason"]


@pytest.mark.parametrize("step", ["extract", "map"])
def test_disk_full_for_staging_says_where_and_is_cleared(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, proof: Any, step: str
) -> None:
    sync.mapping()
    with monkeypatch.context() as patch:
        _full_disk(patch, f"{step}-")
        run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    error = run.errors[f"{step}[0]"]
    assert isinstance(error, Retryable)
    for part in ("Staging cannot write", str(sync.staging), "No space left on device", "staging_path"):
        assert part in str(error)
        assert part in run.row["reason"]
    assert sync.received()["received"] == 0
    steps = ["extract", "map", "validate", "gate", "push", "reconcile"]
    seen = delivered(sync, sync.clear(run, *steps[steps.index(step) :]))
    proof(f"disk full: staging, in `{step}`", "ours", f"red, nothing sent; cleared: {seen}")


def test_staging_folder_that_cannot_be_made_says_where(sync: Sync) -> None:
    sync.mapping()
    sync.staging.write_text("a file in the way")
    run = sync.run()
    assert run.state == "failed"
    assert str(sync.staging) in run.row["reason"]
    assert "staging_path" in run.row["reason"]


def test_disk_full_for_ledger_says_so_and_is_cleared(sync: Sync, proof: Any) -> None:
    sync.mapping()
    assert sync.run(dry_run=True).green
    run = _with_pages_to_spare(sync, 2)
    assert run.state == "failed"
    text = "\n".join(str(error) for error in run.errors.values())
    assert "full" in text
    assert "Free some space" in text
    assert "ledger" in text
    assert all(isinstance(error, Retryable) for name, error in run.errors.items() if name != "report")
    sync.ledger.engine.dispose()
    proof("disk full: ledger", "ours", f"red; cleared: {delivered(sync, sync.run(again=run))}")


def test_ledger_locked_for_a_moment_is_waited_for(sync: Sync, proof: Any) -> None:
    sync.mapping()
    assert sync.run(dry_run=True).green
    with _locked(sync.ledger_file) as lock:
        threading.Timer(0.5, lock.rollback).start()
        proof("ledger locked for half a second", "ours", delivered(sync, sync.run()))


def test_ledger_locked_for_long_says_so_and_sends_nothing(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, proof: Any
) -> None:
    sync.mapping()
    assert sync.run(dry_run=True).green
    with monkeypatch.context() as patch, _locked(sync.ledger_file):
        patch.setattr(engine, "BUSY_SECONDS", 0)
        sync.ledger.engine.dispose()
        run = sync.run()
    sync.ledger.engine.dispose()
    assert run.state == "failed"
    error = run.errors["plan"]
    assert isinstance(error, Retryable)
    assert "database is locked" in str(error)
    assert str(sync.ledger_file) in str(error)
    assert "the task tries again" in str(error)
    assert sync.received()["received"] == 0
    seen = delivered(sync, sync.run(again=run))
    proof("ledger locked for longer than anybody waits", "ours", f"red, nothing sent; cleared: {seen}")


def test_ledger_locked_while_pushing_loses_no_acknowledged_record(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, proof: Any
) -> None:
    sync.mapping()
    sync.connect(ometria={"extra": {"concurrency": 1}})
    locks: list[sqlite3.Connection] = []

    def lock() -> None:
        monkeypatch.setattr(engine, "BUSY_SECONDS", 0)
        sync.ledger.engine.dispose()
        locks.append(sqlite3.connect(sync.ledger_file, check_same_thread=False))
        locks[0].execute("BEGIN IMMEDIATE")

    _break_after_push(sync, monkeypatch, lock)
    run = sync.run()
    locks[0].close()
    assert run.state == "failed"
    assert "locked" in run.text

    monkeypatch.setattr(engine, "BUSY_SECONDS", 30)
    sync.ledger.engine.dispose()
    seen = delivered(sync, sync.clear(run, "push", "reconcile"))
    assert sync.received()["repeats"] <= 100, "one request was in flight"
    proof("ledger locked while an answer is on its way", "ours", f"red; cleared: {seen}")


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def _full_disk(patch: pytest.MonkeyPatch, name: str) -> None:
    """Let every file of staging that begins with a name meet a full disk."""
    from airflow.sdk import ObjectStoragePath

    original = ObjectStoragePath.open

    def full(self: ObjectStoragePath, mode: str = "r", **options: Any) -> Any:
        if self.name.startswith(name) and "w" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, mode, **options)

    patch.setattr(ObjectStoragePath, "open", full)


def _with_pages_to_spare(sync: Sync, spare: int) -> Outcome:
    """Run under SQLite's own limit of the file's size: the same error as a full disk."""
    from sqlalchemy import event

    pages = sync.query("PRAGMA page_count")[0]["page_count"] + spare

    def limit(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    sync.ledger.engine.dispose()
    event.listen(sync.ledger.engine, "connect", limit)
    try:
        return sync.run()
    finally:
        event.remove(sync.ledger.engine, "connect", limit)


def _break_before_push(sync: Sync, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Do something between gate and push."""
    from ometria_provider.operators.ometria import OmetriaPushOperator

    original = OmetriaPushOperator.execute

    def execute(self: OmetriaPushOperator, context: Any) -> Any:
        act()
        return original(self, context)

    monkeypatch.setattr(OmetriaPushOperator, "execute", execute)


def _break_after_push(sync: Sync, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Do something once, when the first push was answered and not yet written down."""
    original, done = OmetriaHook.push, []

    def push(self: OmetriaHook, body: bytes) -> Any:
        answer = original(self, body)
        if not done:
            done.append(True)
            act()
        return answer

    monkeypatch.setattr(OmetriaHook, "push", push)
