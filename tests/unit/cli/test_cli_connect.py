import pytest
from ometria_provider.cli import connect
from ometria_provider.cli.connect import ProcessLimiter


class Clock:
    """Time that passes only when somebody sleeps."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(connect, "time", clock)
    return clock


def test_pace_spaces_requests_by_the_buckets_rate(clock: Clock) -> None:
    pace = ProcessLimiter({"push": 8.0, "data": 4.0})
    for _ in range(5):
        pace.acquire("data")
    assert clock.now == 1_001.0
    pace.acquire("push")
    assert clock.now == 1_001.0


def test_pace_after_a_429_waits_as_long_as_asked(clock: Clock) -> None:
    pace = ProcessLimiter({"data": 4.0})
    pace.acquire("data")
    pace.yield_for("data", 30.0)
    pace.acquire("data")
    assert clock.now == 1_030.0


def test_airflow_leaves_standard_output_and_logging_as_they_were(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    with connect.airflow():
        print("chatter")
    print("answer")
    assert capsys.readouterr() == ("answer\n", "chatter\n")
