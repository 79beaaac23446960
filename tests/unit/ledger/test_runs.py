import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from ometria_provider.exceptions import Halted, Misconfigured
from ometria_provider.ledger import findings, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch, SyncRun
from ometria_provider.ledger.runs import Run
from sqlalchemy import insert, select, update

DAG = "contact_sync__customers"


def open_run(ledger: Ledger, run_id: str = "first", *, dag_id: str = DAG, dry_run: bool = False) -> Run:
    run = runs.open_run(ledger, dag_id=dag_id, run_id=run_id, mapping="customers", dry_run=dry_run)
    runs.keep_plan(ledger, run, account="ometria_default", collection="customers")
    return run


def row_of(ledger: Ledger, run: Run) -> SyncRun:
    with ledger.read() as connection:
        return connection.execute(select(SyncRun).where(SyncRun.id == run.id)).one()


def test_open_run_of_a_new_dag_run_starts_a_row(ledger: Ledger) -> None:
    row = row_of(ledger, open_run(ledger))
    assert (row.state, row.mapping, row.strategy, row.read, row.ended_at) == ("running", "customers", "full", 0, None)
    assert abs(datetime.now(UTC) - row.started_at) < timedelta(minutes=1)


def test_open_run_of_a_cleared_dag_run_continues_its_row(ledger: Ledger) -> None:
    first = open_run(ledger)
    runs.keep_plan(ledger, first, planned_mapping="{}", plan="a plan")
    runs.close_run(ledger, first.id, state="failed", reason="broken", counts={"read": 7})
    again = open_run(ledger)
    row = row_of(ledger, again)
    assert (again.id, again.mapping_json, again.started_at) == (first.id, "{}", first.started_at)
    assert (row.state, row.reason, row.ended_at) == ("running", None, None)


def test_open_run_with_a_run_left_running_closes_that_one(ledger: Ledger) -> None:
    killed, elsewhere = open_run(ledger), open_run(ledger, dag_id="contact_sync__other")
    open_run(ledger, "second")
    row = row_of(ledger, killed)
    assert (row.state, row.reason) == ("failed", "The run was killed before it could report.")
    assert row.ended_at is not None
    assert row_of(ledger, elsewhere).state == "running"


def test_same_run_id_in_two_dags_are_two_runs(ledger: Ledger) -> None:
    assert open_run(ledger).id != open_run(ledger, dag_id="contact_sync__other").id


def test_get_run_unknown_says_to_start_a_new_one(ledger: Ledger) -> None:
    with pytest.raises(Misconfigured, match=r"knows no run nowhere of contact_sync__customers.*Start a new run"):
        runs.get_run(ledger, dag_id=DAG, run_id="nowhere")


def test_working_that_ends_well_keeps_facts_and_times(ledger: Ledger) -> None:
    run = open_run(ledger)
    with runs.working(ledger, run, "extract", 0) as step:
        step.facts.update(read=3)
    (row,) = runs.steps(ledger, run.id)
    assert (row.step, row.slice, row.state, row.reason, row.facts) == ("extract", 0, "done", None, {"read": 3})
    assert row.ended_at is not None
    assert row.ended_at >= row.started_at


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (Halted("Nothing was sent."), "halted", "Nothing was sent."),
        (Misconfigured("Mend the list."), "failed", "Mend the list."),
        (ValueError("ann@example.com"), "failed", "ValueError in map: see the task's log."),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt in map: see the task's log."),
    ],
    ids=["halted", "our own words", "a stranger's words stay out", "killed"],
)
def test_working_that_fails_keeps_facts_and_why(ledger: Ledger, error: BaseException, state: str, reason: str) -> None:
    run = open_run(ledger)
    with pytest.raises(type(error)), runs.working(ledger, run, "map", 0) as step:
        step.facts.update(read=3)
        raise error
    (row,) = runs.steps(ledger, run.id)
    assert (row.state, row.reason, row.facts) == (state, reason, {"read": 3})


def test_working_again_starts_the_step_afresh(ledger: Ledger) -> None:
    run = open_run(ledger)
    with pytest.raises(ValueError, match="once"), runs.working(ledger, run, "map", 0) as step:
        step.facts.update(old=1)
        raise ValueError("once")
    with runs.working(ledger, run, "map", 0) as step:
        (during,) = runs.steps(ledger, run.id)
        step.facts.update(new=2)
    (after,) = runs.steps(ledger, run.id)
    assert (during.state, during.facts, during.reason, during.ended_at) == ("running", {}, None, None)
    assert (after.state, after.facts) == ("done", {"new": 2})


def test_total_adds_one_fact_over_slices(ledger: Ledger) -> None:
    run = open_run(ledger)
    for slice_, facts in enumerate([{"read": 3}, {"read": 4}, {}]):
        with runs.working(ledger, run, "extract", slice_) as step:
            step.facts.update(facts)
    assert runs.total(runs.steps(ledger, run.id), "extract", "read") == 7
    assert runs.total(runs.steps(ledger, run.id), "map", "read") == 0


def test_count_rejections_counts_members_not_fields(ledger: Ledger) -> None:
    run, other = open_run(ledger), open_run(ledger, dag_id="contact_sync__other")
    findings.reject(ledger, run.id, 0, "mapping", [("1", "a", "bad"), ("1", "b", "bad"), ("2", "a", "bad")])
    findings.reject(ledger, run.id, 1, "validation", [("3", "a", "bad")])
    findings.reject(ledger, other.id, 0, "mapping", [("4", "a", "bad")])
    assert runs.count_rejections(ledger, run.id, "mapping") == 2
    assert runs.count_rejections(ledger, run.id, "validation") == 1
    assert runs.count_rejections(ledger, run.id, "push") == 0


def test_drop_rejections_forgets_one_stage_of_one_slice(ledger: Ledger) -> None:
    run = open_run(ledger)
    for slice_, stage, id_ in [(0, "mapping", "1"), (0, "validation", "2"), (1, "mapping", "3")]:
        findings.reject(ledger, run.id, slice_, stage, [(id_, None, "bad")])
    runs.drop_rejections(ledger, run.id, 0, "mapping")
    assert runs.count_rejections(ledger, run.id, "mapping") == 1
    assert runs.count_rejections(ledger, run.id, "validation") == 1


def test_newly_rejected_adds_the_stages(ledger: Ledger) -> None:
    run = open_run(ledger)
    for step, facts in [("map", {"rejected": 3, "remembered": 9}), ("validate", {"rejected": 2}), ("push", {})]:
        with runs.working(ledger, run, step, 0) as work:
            work.facts.update(facts)
    findings.reject(ledger, run.id, 0, "push", [("7", None, "refused"), ("7", None, "refused")])
    assert runs.newly_rejected(ledger, run.id, runs.steps(ledger, run.id)) == 6


def test_count_records_counts_batches_by_state_and_slice(ledger: Ledger) -> None:
    run = open_run(ledger)
    rows = [(0, "acknowledged", 100), (0, "unanswered", 100), (1, "acknowledged", 7), (1, "doubtful", 5)]
    with ledger.write() as connection:
        for slice_, state, records in rows:
            values = {"records": records, "size": 1, "state": state, "started_at": datetime.now(UTC)}
            connection.execute(insert(PushBatch).values(sync_run_id=run.id, slice=slice_, **values))
    assert runs.count_records(ledger, run.id, "acknowledged", "doubtful") == 112
    assert runs.count_records(ledger, run.id, "acknowledged", slice_=1) == 7
    assert runs.count_records(ledger, run.id, "refused") == 0


def scan(ledger: Ledger, run_id: str, read: int, *, opens: bool = True, dry_run: bool = False) -> None:
    run = open_run(ledger, run_id, dry_run=dry_run)
    with contextlib.suppress(Halted), runs.working(ledger, run, "gate"):
        if not opens:
            raise Halted("a limit")
    if read:
        runs.close_run(ledger, run.id, state="succeeded", reason=None, counts={"read": read})


def test_last_scan_is_the_latest_whose_gate_opened_and_that_was_closed(ledger: Ledger) -> None:
    scan(ledger, "old", 10)
    scan(ledger, "complete", 20)
    scan(ledger, "dry", 30, dry_run=True)
    scan(ledger, "halted", 40, opens=False)
    scan(ledger, "killed", 0)
    now = open_run(ledger, "now")
    assert runs.last_scan(ledger, now, account="ometria_default", collection="customers") == 20
    assert runs.last_scan(ledger, now, account="ometria_default", collection="another") is None


def test_superseded_by_names_a_newer_run_whose_gate_opened(ledger: Ledger) -> None:
    old = open_run(ledger, "old")
    dry = open_run(ledger, "dry", dry_run=True)
    new = open_run(ledger, "new")

    before = datetime.now(UTC)

    def newer(read_at: datetime = before) -> int | None:
        return runs.superseded_by(ledger, old, account="ometria_default", collection="customers", snapshot_at=read_at)

    with runs.working(ledger, dry, "gate"):
        pass
    assert newer() is None
    with runs.working(ledger, new, "gate"):
        assert newer() is None
    assert newer() == new.id
    assert newer(datetime.now(UTC)) is None, "what was read after the newer run's gate is newer than what it compared"


def step_row(step: str, slice_: int, state: str = "done") -> runs.StepRow:
    return runs.StepRow(step, slice_, state, None, {}, datetime.now(UTC), None)


def test_in_force_leaves_out_what_came_after_a_step_that_was_begun_anew_and_failed() -> None:
    slices = [step_row(step, slice_) for slice_ in (0, 1) for step in ("map", "validate", "push")]
    rows = [step_row("plan", -1), step_row("extract", 1), *slices, step_row("gate", -1)]
    rows.append(step_row("extract", 0, "failed"))
    kept = {(row.step, row.slice) for row in runs.in_force(rows)}
    assert kept == {("plan", -1), ("extract", 0), ("extract", 1), ("map", 1), ("validate", 1), ("push", 1)}


def test_in_force_keeps_a_reconcile_that_came_after_a_push_that_failed() -> None:
    rows = [step_row("push", 0, "halted"), step_row("push", 1), step_row("reconcile", -1)]
    assert runs.in_force(rows) == rows


def test_in_force_of_a_run_without_an_open_end_is_everything() -> None:
    rows = [step_row(step, -1) for step in runs.STEPS]
    assert runs.in_force(rows) == rows


def test_drop_slices_from_forgets_the_slices_that_are_gone(ledger: Ledger) -> None:
    run, other = open_run(ledger, "cleared"), open_run(ledger, "other")
    for each in (run, other):
        for slice_ in (-1, 0, 1, 2):
            with runs.working(ledger, each, "map", slice_):
                findings.reject(ledger, each.id, slice_, "mapping", [(str(slice_), "a", "bad")])
    runs.drop_slices_from(ledger, run, 1)
    assert [row.slice for row in runs.steps(ledger, run.id)] == [-1, 0]
    assert runs.count_rejections(ledger, run.id, "mapping") == 2
    assert runs.count_rejections(ledger, other.id, "mapping") == 4


def test_open_or_started_since_lists_a_mappings_recent_runs_and_those_at_work(ledger: Ledger) -> None:
    _, waiting, new = (open_run(ledger, name) for name in ("old", "waiting", "new"))
    with ledger.write() as connection:
        long_ago = datetime.now(UTC) - timedelta(days=9)
        connection.execute(update(SyncRun).where(SyncRun.id != new.id).values(started_at=long_ago))
        connection.execute(update(SyncRun).where(SyncRun.id != waiting.id).values(ended_at=datetime.now(UTC)))
        connection.execute(update(SyncRun).where(SyncRun.id == waiting.id).values(ended_at=None))
    since = datetime.now(UTC) - timedelta(days=3)
    assert runs.open_or_started_since(ledger, "customers", since) == [waiting.id, new.id]
    assert runs.open_or_started_since(ledger, "other", long_ago) == []
