"""Clearing any task at any time, killing a worker, and runs that overtake each other."""

from __future__ import annotations

import shutil
from itertools import pairwise

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.operators import antavo as antavo_operators
from sync import Sync
from work import Outcome

FLOW = ("plan", "extract", "map", "validate", "gate", "push", "reconcile")


def complete(sync: Sync, run: Outcome) -> None:
    """The run is green, its books balance, and everybody is at the receiving side."""
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["accepted"] == run.row["sent"] == sync.received()["stored"]


@pytest.mark.parametrize("step", FLOW)
def test_task_cleared_in_a_green_run_sends_nothing_and_keeps_the_books(sync: Sync, step: str) -> None:
    sync.mapping()
    run = sync.run()
    before = sync.received()
    again = sync.clear(run, *FLOW[FLOW.index(step) :])
    complete(sync, again)
    assert again.books == run.books
    assert sync.received() == before


def test_task_cleared_alone_keeps_the_books(sync: Sync) -> None:
    sync.mapping()
    run = sync.run()
    for step in FLOW[1:]:  # plan begins the run's books afresh: what follows it has to follow
        again = sync.clear(run, step)
        assert again.green, (step, again.text)
        assert again.books == run.books, step
    assert sync.received()["most_for_one"] == 1


def test_run_cleared_as_a_whole_continues_its_row(sync: Sync) -> None:
    sync.mapping()
    run = sync.run()
    again = sync.run(again=run)
    complete(sync, again)
    assert again.row["id"] == run.row["id"]
    assert again.books == run.books
    assert sync.received()["most_for_one"] == 1


def test_run_cleared_after_members_changed_sends_the_changed_ones(sync: Sync) -> None:
    sync.mapping()
    run = sync.run()
    changed = sync.members_to_send()[:3]
    sync.change(*changed, score=424_242)
    again = sync.run(again=run)
    assert again.green, again.text
    again.assert_balanced()
    assert sync.received()["received"] == run.row["sent"] + 3
    assert all(sync.contact(member)["properties"]["points"] == 424_242 for member in changed)


def test_run_cleared_after_rejections_balances(sync: Sync) -> None:
    sync.mapping(fields=[{"loyalty": "birth_date", "remote": "date_of_birth"}])
    sync.nobody()
    good, bad, poison = sync.member(), sync.member(birth_date="2999-01-01"), sync.member()
    sync.fault("poison", contacts=[poison])
    run = sync.run()
    assert (run.row["accepted"], run.row["rejected"]) == (1, 2)
    for again in (sync.clear(run, "push", "reconcile"), sync.clear(run, *FLOW[2:]), sync.run(again=run)):
        assert again.green, again.text
        again.assert_balanced()
        assert (again.row["accepted"], again.row["rejected"]) == (1, 2)
        assert {row["contact_id"] for row in again.rejections} == {bad, poison}
    assert sync.contact(good)


@pytest.mark.parametrize("step", ["map", "validate", "push"])
def test_task_cleared_after_its_staging_is_gone_says_start_a_new_run(sync: Sync, step: str) -> None:
    sync.mapping()
    run = sync.run()
    shutil.rmtree(sync.staging)
    again = sync.clear(run, step)
    assert again.state == "failed"
    error = again.errors[f"{step}[0]"]
    assert isinstance(error, Misconfigured)
    assert "staging of this run is gone" in str(error)
    assert "Start a new run" in str(error)
    again.assert_balanced()
    assert sync.received()["most_for_one"] == 1
    fresh = sync.run()
    assert fresh.green, fresh.text
    assert fresh.row["sent"] == 0


def test_task_of_a_run_that_the_ledger_does_not_know_says_so(sync: Sync) -> None:
    sync.mapping()
    run = sync.run()
    sync.execute("DELETE FROM sync_run")
    again = sync.clear(run, "push")
    assert "ledger knows no run" in str(again.errors["push[0]"])
    assert "Start a new run" in str(again.errors["push[0]"])


def test_old_push_cleared_after_a_newer_run_sends_nothing_and_overwrites_nothing(sync: Sync) -> None:
    sync.mapping()
    sync.fault("500", path="/v2/push")
    old = sync.run()
    assert old.state == "failed"
    sync.mend()
    member = sync.members_to_send()[0]
    sync.change(member, score=31_337)
    newer = sync.run()
    complete(sync, newer)
    before = sync.received()
    again = sync.clear(old, "push", "reconcile")
    assert sync.received() == before
    assert sync.contact(member)["properties"]["points"] == 31_337
    assert again.green, again.text
    again.assert_balanced()
    assert again.row["sent"] == 0
    third = sync.run()
    assert third.row["sent"] == 0, "the old run withdrew nothing"


def test_old_run_cleared_while_a_newer_one_compared_but_did_not_push_sends_nothing(sync: Sync) -> None:
    sync.mapping()
    sync.fault("500", path="/v2/push")
    old = sync.run()
    newer = sync.run()
    sync.mend()
    sync.clear(old, "push", "reconcile")
    assert sync.received()["received"] == 0, "what differed is the newer run's to send"
    complete(sync, sync.clear(newer, "push", "reconcile"))


def test_old_run_cleared_as_a_whole_reads_afresh_and_sends_what_changed_since(sync: Sync) -> None:
    sync.mapping()
    old = sync.run()
    assert sync.run().green
    member = sync.members_to_send()[0]
    sync.change(member, score=31_337)
    again = sync.run(again=old)
    assert again.green, again.text
    again.assert_balanced()
    assert sync.contact(member)["properties"]["points"] == 31_337, "green means done"
    assert sync.run().row["sent"] == 0


def test_run_that_was_killed_is_closed_by_the_next(sync: Sync) -> None:
    sync.mapping()
    killed = sync.run_until_push()
    assert killed.row["state"] == "running"
    complete(sync, sync.run())
    row = sync.query("SELECT state, reason FROM sync_run WHERE id=:id", id=killed.row["id"])[0]
    assert row["state"] == "failed"
    assert "killed" in row["reason"]


@pytest.mark.parametrize("kills", [(1,), (4, 3)], ids=["early", "twice"])
def test_push_killed_and_cleared_sends_no_acknowledged_record_again(crowd: Sync, kills: tuple[int, ...]) -> None:
    crowd.mapping()
    crowd.connect(ometria={"extra": {"concurrency": 3}})
    run = crowd.run_until_push()
    crowd.sandbox.control("settings", {"latency_ms": 150})
    in_flight = 0
    for acknowledged in kills:
        in_flight += crowd.push_and_kill(run, acknowledged=acknowledged)
    assert 0 < in_flight <= 3 * len(kills)
    crowd.sandbox.control("settings", {"latency_ms": 0})

    again = crowd.clear(run, "push", "reconcile")
    assert again.green, again.text
    again.assert_balanced()
    received = crowd.received()
    assert received["stored"] == again.row["accepted"] > 1_900
    assert received["received"] - received["contacts"] <= in_flight * 100
    assert again.row["sent"] == received["contacts"], "each record was acknowledged once"
    states = [batch["state"] for batch in again.batches]
    assert states.count("unanswered") == in_flight
    assert states.count("sending") == 0
    assert crowd.run().row["sent"] == 0


def test_push_killed_is_caught_up_by_a_new_run(crowd: Sync) -> None:
    crowd.mapping()
    crowd.connect(ometria={"extra": {"concurrency": 3}})
    run = crowd.run_until_push()
    crowd.sandbox.control("settings", {"latency_ms": 150})
    in_flight = crowd.push_and_kill(run, acknowledged=4)
    crowd.sandbox.control("settings", {"latency_ms": 0})
    acknowledged = sum(
        row["records"] for row in crowd.query("SELECT records FROM push_batch WHERE state='acknowledged'")
    )
    fresh = crowd.run()
    assert fresh.green, fresh.text
    fresh.assert_balanced()
    assert fresh.row["unchanged"] == acknowledged >= 400
    received = crowd.received()
    assert received["contacts"] == fresh.row["sent"] + acknowledged
    assert received["received"] - received["contacts"] <= in_flight * 100


def test_slices_share_nothing_and_miss_nobody(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping()
    monkeypatch.setattr(antavo_operators, "CHUNK", 60)
    run = sync.run()
    complete(sync, run)
    assert len(run.work.windows) >= 3
    assert all(before["lt"] == after["gte"] for before, after in pairwise(run.work.windows))
    assert run.work.windows[0]["gte"] is run.work.windows[-1]["lt"] is None
    assert run.row["read"] == 300
    assert sync.received()["most_for_one"] == 1
    assert sync.run().row["sent"] == 0


def test_slices_scheduled_by_airflow_run_as_mapped_tasks(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, airflow_database: None
) -> None:
    sync.mapping()
    monkeypatch.setattr(antavo_operators, "CHUNK", 100)
    run = sync.run_dag()
    complete(sync, run)
    assert {"extract[0]", "extract[1]", "push[0]", "push[1]"} <= run.tasks.keys()


def test_reconcile_cleared_after_its_staging_is_gone_says_so_and_the_next_run_looks(sync: Sync) -> None:
    sync.mapping()
    member = sync.members_to_send()[0]
    sync.fault("late_error", field="id", contacts=[member])
    run = sync.run_until_push()
    sync.clear(run, "push")
    shutil.rmtree(sync.staging)
    again = sync.clear(run, "reconcile")
    assert again.state == "failed"
    assert "staging of this run is gone" in str(again.errors["reconcile"])
    again.assert_balanced()
    sync.mend()
    fresh = sync.run()
    fresh.assert_balanced()
    assert [row["contact_id"] for row in fresh.rejections] == [member], "it was under suspicion still"
    assert fresh.row["unverified"] == 0


def test_reconcile_that_needs_no_records_needs_no_staging(sync: Sync) -> None:
    sync.mapping()
    assert sync.run().green
    sync.change(sync.members_to_send()[0], score=77)
    run = sync.run()
    shutil.rmtree(sync.staging)
    again = sync.clear(run, "reconcile")
    assert again.green, again.text
    assert again.books == run.books
