from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ometria_provider.ledger.run_steps import StepRow
from ometria_provider.report import step_times, use_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def step(name: str, slice_: int, start: float, took: float, *, state: str = "done", **facts: object) -> StepRow:
    started = NOON + timedelta(seconds=start)
    ended = None if state == "running" else started + timedelta(seconds=took)
    return StepRow(name, slice_, state, None, facts, started, ended)


def test_api_use_of_slices_side_by_side_counts_their_time_once() -> None:
    rows = [
        step("push", 0, 0, 10, requests=40, rate=8.0, seconds=10.0),
        step("push", 1, 0, 10, requests=40, rate=8.0, seconds=10.0),
        step("push", 2, 100, 10, requests=80, rate=8.0, seconds=10.0),
    ]
    use = use_of("Ometria", ("push",), rows)
    assert use is not None
    assert use.share == pytest.approx(160 / (20 * 8))


def test_api_use_without_times_has_no_share() -> None:
    use = use_of("Antavo", ("plan",), [step("plan", -1, 0, 1, requests=2)])
    assert use is not None
    assert (use.requests, use.rate, use.share) == (2, None, None)


def test_api_use_of_a_push_with_nothing_to_send_is_no_request() -> None:
    use = use_of("Ometria", ("push",), [step("push", 0, 0, 1)])
    assert use is not None
    assert use.requests == 0
    assert use_of("Ometria", ("push",), [step("plan", -1, 0, 1, requests=2)]) is None


def test_step_times_merges_slices_from_first_start_to_last_end() -> None:
    rows = [
        step("push", 1, 30, 5),
        step("extract", 0, 0, 10),
        step("extract", 1, 2, 18),
        step("plan", -1, -3, 1),
        step("push", 0, 25, 1, state="running"),
    ]
    plan, extract, push = step_times(rows)
    assert (plan.step, plan.slices, plan.seconds) == ("plan", 0, 1.0)
    assert (extract.slices, extract.seconds, extract.state) == (2, 20.0, "done")
    assert (push.slices, push.seconds, push.state) == (2, None, "running")


def test_step_times_of_a_failed_slice_show_the_failure() -> None:
    rows = [step("push", 0, 0, 1), replace(step("push", 1, 0, 1, state="failed"), reason="no answer")]
    (push,) = step_times(rows)
    assert (push.state, push.reason) == ("failed", "no answer")
