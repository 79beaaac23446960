"""Approval: a run that would do something unlikely asks a person, and does what the person says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time import hitl
from ometria_provider.dagdefaults import CONTACT_SYNC
from ometria_provider.exceptions import Halted
from ometria_provider.ledger import approvals, incidents
from ometria_provider.notifications.telling import tell
from ometria_provider.operators.run import GateOperator
from ometria_provider.settings import read_settings
from services import posts
from sync import Sync
from work import Outcome

FEW = 5
PREPARE = ["plan", "extract", "map", "validate"]
YES = {"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "ann"}, "timedout": False}
NO = YES | {"chosen_options": ["Reject"]}
LATE = {"error": "The response timeout has passed.", "error_type": "timeout"}


class Desk:
    """Airflow's side of a gate: takes what it asks, and resumes it with an answer."""

    def __init__(self, sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sync, self.asked = sync, list[dict[str, Any]]()
        monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **asked: self.asked.append(asked))

    def gate(self, run: Outcome, event: dict[str, Any] | None = None) -> BaseException | None:
        """Do a run's gate as a worker does it, from the start or with an answer; return how it ended."""
        with DAG(run.work.dag_id):
            task = GateOperator(task_id="gate", mapping=run.work.dag_id.removeprefix(CONTACT_SYNC))
        context: Any = {
            "run_id": run.work.run_id,
            "ti": SimpleNamespace(id="0198"),
            "dag_run": SimpleNamespace(conf={}, triggering_user_name="ann"),
        }
        try:
            if event is None:
                task.execute(context)
            else:
                task.answered(context, event | {"responded_at": datetime.now(UTC)})
        except (TaskAwaitingInput, Halted) as end:
            return end
        return None

    def wait(self, **conf: Any) -> Outcome:
        """Start a run, up to the question."""
        run = self.sync.start(PREPARE)
        end = self.gate(run)
        assert isinstance(end, TaskAwaitingInput)
        assert self.row(run)["state"] == "awaiting_approval"
        return run

    def finish(self, run: Outcome) -> Outcome:
        """Do what comes behind the gate."""
        return self.sync.clear(run, "push", "reconcile")

    def report(self, run: Outcome, end: BaseException | None) -> Outcome:
        """Do the report of a run whose gate did not open."""
        work = replace(run.work, errors={"gate": end} if end else {}, tasks=dict(run.tasks))
        work.steps(["report"])
        return self.sync._outcome(work)

    def row(self, run: Outcome) -> dict[str, Any]:
        return self.sync.query("SELECT * FROM sync_run WHERE run_id=:id", id=run.work.run_id)[0]


@pytest.fixture
def desk(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(sync, monkeypatch)


def changed(sync: Sync, count: int = 21, **keys: Any) -> list[str]:
    """Let more members change than a limit allows, after a first run."""
    sync.nobody()
    good = [sync.member() for _ in range(40)]
    mapping: dict[str, Any] = {"limits": {"max_changed_share": 0.5, "min_count": FEW}}
    sync.mapping(**mapping)
    assert sync.run().green
    sync.mapping(**(mapping | keys))
    sync.change(*good[:count], score=77)
    return good


@pytest.mark.parametrize("status", [200, 500], ids=["told", "not told"])
def test_person_is_told_as_the_run_begins_to_wait_and_a_failing_alert_does_not_matter(
    sync: Sync, desk: Desk, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    changed(sync)
    with posts() as service:
        service.status = status
        config = {"path": service.url}
        monkeypatch.setenv("AIRFLOW_CONN_ALERTS", json.dumps({"conn_type": "apprise", "extra": {"config": config}}))
        sync.set("alerts_conn_id", "alerts")
        run = desk.wait()
        (incident,) = incidents.list_incidents(sync.ledger)
        assert (incident.kind, incident.told_at is not None) == ("approval", status == 200)
        assert incident.words.startswith(f"Run {run.row['id']} waits until ")
        if status == 200:
            ((title, body),) = service.texts()
            assert title == f"Ometria sync members: run {run.row['id']} waits for approval"
            assert "members would change" in body.splitlines()[0] or "max_changed_share" in body.splitlines()[0]
        assert desk.gate(run, YES) is None
        service.status = 200
        tell(sync.ledger, read_settings())
        titles = [title for title, _ in service.texts()][1:]
        assert titles == ([f"Ometria sync members: run {run.row['id']} is decided"] if status == 200 else [])


def test_limit_broken_approved_run_goes_on_as_it_was_asked(sync: Sync, desk: Desk) -> None:
    good = changed(sync)
    before = sync.received()["received"]
    run = desk.wait()
    assert sync.received()["received"] == before, "nothing goes while it waits"
    assert sync.query("SELECT state FROM sync_step WHERE sync_run_id=:id AND step='gate'", id=run.row["id"]) == [
        {"state": "waiting"}
    ]
    assert desk.gate(run, YES) is None
    done = desk.finish(run)
    assert done.green, done.text
    done.assert_balanced()
    assert sync.contact(good[0])["properties"]["points"] == 77
    given = approvals.find(sync.ledger, run.row["id"])
    assert given
    assert (given.answer, given.answered_by, given.covers) == ("approved", "ann", {"max_changed_share": 21})
    text = sync.show(done)
    assert "Approved by ann" in text
    assert "21 of 40 members would change" in text


def test_question_holds_counts_and_a_link_and_no_member(sync: Sync, desk: Desk) -> None:
    good = changed(sync)
    run = desk.wait()
    (asked,) = desk.asked
    text = f"{asked['subject']} {asked['body']}"
    for part in ("21 of 40 members would change", f"/ometria/runs/{run.row['id']}/changes", "12 h", "mapping members"):
        assert part in text
    assert asked["options"] == ["Approve", "Reject"]
    assert not [word for word in (*good, "Ann", "Lee", "example.com") if word in text]


@pytest.mark.parametrize(("event", "words"), [(NO, "ann refused it"), (LATE, "nobody approved it within 12 h")])
def test_limit_broken_refused_or_unanswered_run_is_halted_and_the_next_one_asks_anew(
    sync: Sync, desk: Desk, event: dict[str, Any], words: str
) -> None:
    changed(sync)
    before = sync.received()["received"]
    run = desk.wait()
    end = desk.gate(run, event)
    assert isinstance(end, Halted)
    halted = desk.report(run, end)
    assert halted.state == "failed"
    halted.assert_balanced()
    assert halted.row["state"] == "halted"
    for part in ("Nothing was sent", words, "limits.max_changed_share"):
        assert part in halted.row["reason"]
    assert sync.received()["received"] == before
    second = desk.wait()
    assert desk.gate(second, YES) is None
    assert desk.finish(second).green


def test_gate_cleared_after_approval_stays_open_for_the_same_numbers_only(sync: Sync, desk: Desk) -> None:
    good = changed(sync)
    run = desk.wait()
    assert desk.gate(run, YES) is None
    assert desk.gate(run) is None, "approved already"
    assert len(desk.asked) == 1
    sync.change(*good[21:25], score=78)
    prepared = sync.clear(run, "extract", "map", "validate")
    assert isinstance(desk.gate(prepared), TaskAwaitingInput), "four members more: nobody approved those"
    assert desk.gate(prepared, YES) is None
    done = desk.finish(prepared)
    assert done.green, done.text
    assert done.row["sent"] == 25


def test_gate_cleared_after_refusal_asks_again(sync: Sync, desk: Desk) -> None:
    changed(sync)
    run = desk.wait()
    assert isinstance(desk.gate(run, NO), Halted)
    assert isinstance(desk.gate(run), TaskAwaitingInput)
    assert desk.gate(run, YES) is None
    assert desk.finish(run).green


def test_push_cleared_after_approval_sends_nothing_twice(sync: Sync, desk: Desk) -> None:
    changed(sync)
    run = desk.wait()
    assert desk.gate(run, YES) is None
    assert desk.finish(run).green
    received = sync.received()["received"]
    assert desk.finish(run).green
    assert sync.received()["received"] == received


def test_changed_while_waiting_halts_and_says_how_to_ask_again(sync: Sync, desk: Desk) -> None:
    changed(sync)
    run = desk.wait()
    sync.execute("""UPDATE approval SET covers='{"max_changed_share": 20}'""")
    end = desk.gate(run, YES)
    assert isinstance(end, Halted)
    assert "Clear `gate`" in str(end)


def test_rejections_beyond_those_approved_are_red_after_the_push(sync: Sync, desk: Desk) -> None:
    sync.nobody()
    good = [sync.member() for _ in range(40)]
    for _ in range(6):
        sync.member(birth_date="2999-01-01")
    rows = [{"loyalty": "birth_date", "remote": "date_of_birth"}, {"loyalty": "score", "remote": "points"}]
    sync.mapping(fields=rows, limits={"max_rejected_share": 0.1, "max_outstanding_share": None, "min_count": FEW})
    run = desk.wait()
    assert desk.gate(run, YES) is None
    sync.fault("poison", contacts=good[:2])
    done = desk.finish(run)
    assert done.state == "failed"
    assert "8 of 46 members would be newly rejected" in done.row["reason"]


def test_never_halts_at_once(sync: Sync, desk: Desk) -> None:
    changed(sync, approve="never")
    assert isinstance(desk.gate(sync.start(PREPARE)), Halted)
    assert desk.asked == []


def test_nobody_to_ask_halts_at_once(sync: Sync, desk: Desk) -> None:
    changed(sync)
    sync.set("ask_for_approval", "False")
    end = desk.gate(sync.start(PREPARE))
    assert isinstance(end, Halted)
    assert "start a new run" in str(end)
    assert desk.asked == []


@pytest.mark.parametrize("silently", [True, False], ids=["missing", "opted out"])
def test_many_first_absences_halt_at_once_and_many_opt_outs_ask(sync: Sync, desk: Desk, silently: bool) -> None:
    sync.nobody()
    good = [sync.member() for _ in range(40)]
    sync.mapping(limits={"max_departed_share": 0.2, "max_drop_share": None, "min_count": FEW})
    assert sync.run().green
    sync.leave(*good[:9], silently=silently)
    run = sync.start(PREPARE)
    end = desk.gate(run)
    assert isinstance(end, Halted if silently else TaskAwaitingInput)
    if not silently:
        assert desk.gate(run, YES) is None
        assert desk.finish(run).green
        assert sync.on_list() == set(good[9:])


def test_table_rule_halts_at_once(sync: Sync, desk: Desk) -> None:
    changed(sync, approve="always")
    sync.suite({"type": "expect_table_row_count_to_be_between", "kwargs": {"max_value": 3}})
    assert isinstance(desk.gate(sync.start(PREPARE)), Halted)
    assert desk.asked == []


def test_nobody_in_antavo_halts_at_once(sync: Sync, desk: Desk) -> None:
    changed(sync, approve="always")
    sync.nobody()
    assert isinstance(desk.gate(sync.start(PREPARE)), Halted)
    assert desk.asked == []


def test_always_asks_whenever_something_is_to_be_sent(sync: Sync, desk: Desk) -> None:
    sync.nobody()
    sync.member()
    sync.mapping(approve="always")
    run = desk.wait()
    assert "1 record is to be sent" in desk.asked[0]["body"]
    assert desk.gate(run, YES) is None
    assert desk.finish(run).green
    assert desk.gate(sync.start(PREPARE)) is None, "nothing to send, nothing to approve"


def test_changed_mapping_asks_first_and_when_it_changed(sync: Sync, desk: Desk) -> None:
    sync.nobody()
    some = [sync.member() for _ in range(3)]
    sync.mapping(approve="changed_mapping")
    first = desk.wait()
    assert "No run has sent by this mapping yet" in desk.asked[0]["body"]
    assert desk.gate(first, YES) is None
    assert desk.finish(first).green
    sync.change(some[0], score=77)
    same = sync.start(PREPARE)
    assert desk.gate(same) is None
    assert desk.finish(same).green
    sync.mapping(approve="changed_mapping", fields=[{"loyalty": "score", "remote": "balance"}])
    changed_run = desk.wait()
    assert f"not the one that run {same.row['id']} sent by" in desk.asked[1]["body"]
    assert desk.gate(changed_run, NO) is not None
    again = desk.wait()
    assert again.row["id"] != changed_run.row["id"], "what was refused is no mapping that was sent by"


def test_run_for_chosen_members_asks_nobody(sync: Sync) -> None:
    good = changed(sync, approve="always")
    run = sync.run(customer_ids=[good[0]])
    assert run.green, run.text


def test_dry_run_waits_for_nobody_and_says_that_a_real_one_would(sync: Sync) -> None:
    sync.nobody()
    sync.member()
    sync.mapping(approve="always")
    run = sync.run(dry_run=True)
    assert run.green, run.text
    text = sync.show(run)
    assert "A real run would wait for approval" in text
    assert "1 record is to be sent" in text


def test_run_ended_while_it_waited_is_closed_by_its_report_or_the_next_run(sync: Sync, desk: Desk) -> None:
    changed(sync)
    run = desk.wait()
    ended = desk.report(run, None)
    assert ended.row["state"] == "halted"
    assert "ended while it waited" in ended.row["reason"]
    left = desk.wait()
    desk.wait()
    assert desk.row(left)["state"] == "halted"
    assert "ended while it waited" in desk.row(left)["reason"]


def test_scheduled_by_dag_test_nobody_can_answer_and_the_run_is_halted(sync: Sync, airflow_database: None) -> None:
    changed(sync)
    run = sync.run_dag()
    assert run.state == "failed"
    assert run.row["state"] == "halted"
