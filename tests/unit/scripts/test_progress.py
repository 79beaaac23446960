"""A run's progress, as it prints where there is no terminal."""

from __future__ import annotations

import pytest
from launcher.progress import Progress, complaint


@pytest.fixture(autouse=True)
def ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'none.db'}")


def _task(task_id, state, *, map_index=-1, try_number=1):
    return {
        "task_id": task_id,
        "state": state,
        "map_index": map_index,
        "try_number": try_number,
        "duration": 1.25 if state == "success" else None,
        "start_date": None,
    }


def test_show_ended_task_once_with_its_slice(capsys):
    with Progress("d", "r", lambda _task: []) as progress:
        for _ in range(2):
            progress.show([_task("prepare.extract", "success", map_index=1), _task("gate", "running")])
    assert capsys.readouterr().out == "  ✓ extract [2]          1.2 s\n"


def test_show_task_to_be_tried_again_says_why(capsys):
    with Progress("d", "r", lambda _task: ["Retryable: 503 from Ometria"]) as progress:
        progress.show([_task("push", "up_for_retry", map_index=0)])
    assert capsys.readouterr().out == "  ↻ push [1] failed and will be tried again: Retryable: 503 from Ometria\n"


def test_complaint_takes_the_exceptions_words():
    lines = [
        {"level": "info", "event": "fine"},
        {
            "level": "error",
            "event": "Task failed with exception",
            "error_detail": [{"exc_type": "Halted", "exc_value": "Too many rejected."}],
        },
        {"level": "error", "event": "A plain line"},
    ]
    assert complaint(lines) == ["Halted: Too many rejected.", "A plain line"]


def test_complaint_of_an_error_with_a_cause_is_the_error():
    disk = {"exc_type": "OSError", "exc_value": "[Errno 28] No space left on device", "is_cause": True}
    raised = {"exc_type": "Retryable", "exc_value": "Staging cannot write in …: is the disk full?"}
    line = {"level": "error", "event": "Task failed with exception", "error_detail": [raised, disk]}
    assert complaint([line]) == ["Retryable: Staging cannot write in …: is the disk full?"]
