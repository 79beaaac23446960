"""What is sent, and what is not sent again."""

from __future__ import annotations

from sync import Sync


def test_run_with_nothing_known_sends_everybody_and_balances(sync: Sync) -> None:
    sync.mapping()
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["read"] == 300
    assert sync.received()["stored"] == run.row["accepted"] > 250


def test_run_with_nothing_changed_sends_nothing(sync: Sync) -> None:
    sync.mapping()
    sync.run()
    first = sync.received()
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert run.row["sent"] == run.row["accepted"] == 0
    assert sync.received() == first


def test_run_scheduled_by_airflow_ends_as_its_steps_do(sync: Sync, airflow_database: None) -> None:
    sync.mapping()
    run = sync.run_dag()
    assert run.green, run.text
    run.assert_balanced()
    assert run.tasks == dict.fromkeys(run.tasks, "success")
    assert [*run.tasks] == ["plan", "extract[0]", "map[0]", "validate[0]", "gate", "push[0]", "reconcile", "report"]
