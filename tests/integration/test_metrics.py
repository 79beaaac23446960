"""Whole runs, as a StatsD server sees them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from services import Statsd, statsd
from sync import FIELDS, Sync

BIRTHDAY = {"loyalty": "birth_date", "remote": "date_of_birth"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Statsd]:
    with statsd(monkeypatch) as found:
        yield found


def counted(server: Statsd) -> dict[str, float]:
    """Return the counters of records and runs, without the names' common beginning."""
    wanted = ("sent", "accepted", "rejected", "runs")
    start = "airflow.ometria."
    return {
        name.removeprefix(start): value
        for name, value in server.values().items()
        if name.removeprefix(start).partition(".")[0] in wanted
    }


def test_run_is_counted_as_it_was_and_a_cleared_one_adds_nothing(sync: Sync, server: Statsd) -> None:
    sync.nobody()
    for _ in range(3):
        sync.member()
    sync.member(birth_date="2999-01-01")
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    sync.fault("429", api="ometria", path="/v2/push", times=1, retry_after=0)
    run = sync.run()
    assert run.green, run.text
    (reason,) = {row["reason"] for row in run.rejections}
    found = counted(server)
    (rejected,) = (name for name in found if name.startswith("rejected."))
    assert found == {"sent.members": 3, "accepted.members": 3, rejected: 1, "runs.members.succeeded": 1}
    assert rejected.startswith("rejected.members.mapping.date_of_birth."), reason
    values = server.values()
    assert values["airflow.ometria.throttled.Ometria.members"] == 1
    assert values["airflow.ometria.retried.Ometria.members"] == 1
    assert 0 < values["airflow.ometria.budget_used.Ometria.members"] <= 1
    assert values["airflow.ometria.requests.Antavo.members"] >= 3

    sync.clear(run, "push", "reconcile")
    assert counted(server) == found, "nothing was sent or judged anew"


def test_push_that_was_killed_is_counted_on_by_the_next_attempt_with_what_that_sent(
    crowd: Sync, server: Statsd
) -> None:
    crowd.mapping()
    crowd.connect(ometria={"extra": {"concurrency": 3}})
    planned = crowd.run_until_push()
    crowd.sandbox.control("settings", {"latency_ms": 150})
    crowd.push_and_kill(planned, acknowledged=4)
    crowd.sandbox.control("settings", {"latency_ms": 0})
    (before,) = crowd.query("SELECT sum(records) AS records FROM push_batch WHERE state = 'acknowledged'")
    done = crowd.clear(planned, "push", "reconcile")
    assert done.green, done.text
    found = counted(server)
    assert 0 < before["records"] < done.row["sent"]
    assert found["sent.members"] == done.row["sent"] - before["records"]
    assert found["accepted.members"] == done.row["accepted"]


@pytest.mark.usefixtures("airflow_database")
def test_task_in_airflow_counts_as_well(sync: Sync, server: Statsd) -> None:
    sync.nobody()
    sync.member()
    sync.mapping()
    assert sync.run_dag().green
    assert counted(server)["sent.members"] == 1
