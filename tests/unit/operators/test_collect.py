"""How far back a collection reads, and which spans of time it asks for again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ometria_provider.ledger.inbox import Bodiless
from ometria_provider.operators.collect import TICK, reach, windows
from ometria_provider.workflows.model import Workflow

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def workflow(name: str, hours: int = 24) -> Workflow:
    least: dict[str, Any] = {"trigger": {"event": "reward"}, "action": {"event_type": "claimed"}}
    return Workflow.from_data(name, least | {"expires_after": f"PT{hours}H"})


def marks(name: str, collected: timedelta, swept: timedelta) -> dict[str, datetime]:
    return {f"collected:{name}": NOW - collected, f"swept:{name}": NOW - swept}


ONE = {"thanks": workflow("thanks")}
TWO = ONE | {"survey": workflow("survey", 48)}


def test_first_collection_reads_as_far_back_as_an_event_is_mailed() -> None:
    assert reach(ONE, {}, NOW, sweep=False) == (NOW - 24 * HOUR, True)


def test_next_collection_looks_fifteen_minutes_behind_the_last() -> None:
    assert reach(ONE, marks("thanks", MINUTE, 30 * MINUTE), NOW, sweep=False) == (NOW - 16 * MINUTE, False)


def test_sweep_comes_every_hour_and_reads_as_far_as_the_longest_expiry() -> None:
    known = marks("thanks", MINUTE, HOUR) | marks("survey", MINUTE, MINUTE)
    assert reach(TWO, known, NOW, sweep=False) == (NOW - 48 * HOUR, True)
    assert reach(TWO, known | {"swept:thanks": NOW - MINUTE}, NOW, sweep=True) == (NOW - 48 * HOUR, True)


def test_workflow_that_was_broken_for_days_goes_on_where_it_stopped() -> None:
    known = marks("thanks", MINUTE, MINUTE) | marks("survey", 96 * HOUR, 96 * HOUR)
    assert reach(TWO, known, NOW, sweep=False) == (NOW - 96 * HOUR - 15 * MINUTE, True)


def test_workflow_that_is_new_sweeps_at_once() -> None:
    assert reach(TWO, marks("thanks", MINUTE, MINUTE), NOW, sweep=False) == (NOW - 48 * HOUR, True)


def missed(*ages: timedelta | None) -> list[Bodiless]:
    return [Bodiless(n, str(n), None if age is None else NOW - age) for n, age in enumerate(ages)]


def test_windows_leave_out_the_long_times_between_events() -> None:
    found = list(windows(missed(MINUTE, 30 * MINUTE, None, 50 * HOUR, 2 * MINUTE)))
    assert found == [
        (NOW - 50 * HOUR, NOW - 50 * HOUR + TICK),
        (NOW - 30 * MINUTE, NOW - MINUTE + TICK),
    ]
    assert list(windows(missed(None))) == []
