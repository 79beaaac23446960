"""A file of contacts that Ometria acknowledges and then rejects some of (docs/how-to/push-your-own-file.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from ometria_provider.cli.app import app
from ometria_provider.exceptions import Misconfigured
from ometria_provider.operators import readback
from ometria_provider.operators.contact_file import NothingArrived
from ometria_provider.operators.ometria import OmetriaPushOperator
from sync import Sync
from typer.testing import CliRunner

Push = Callable[..., dict[str, int]]


@pytest.fixture
def push(sync: Sync, tmp_path: Path) -> Push:
    """Write 30 contacts into a file and push it; some with another last name."""

    def do(run_id: str, *, renamed: tuple[str, ...] = (), **options: Any) -> dict[str, int]:
        file = tmp_path / "contacts.jsonl"
        ids = [f"c-{number:02}" for number in range(30)]
        rows = [
            {
                "id": id_,
                "email": f"{id_}@example.com",
                "lastname": "New" if id_ in renamed else "Lee",
                "properties": {"shop": 7},
            }
            for id_ in ids
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        with DAG("shop"):
            task = OmetriaPushOperator(task_id="push", records=str(file), collection="shop", **options)
        found: dict[str, int] = task.execute({"run_id": run_id, "params": {}})  # type: ignore[typeddict-item]
        accounts = ("unchanged", "filtered", "rejected", "accepted", "pending")
        assert found["read"] == 30 == sum(found[name] for name in accounts)
        return found

    return do


def rejections(sync: Sync) -> dict[str, tuple[str, str]]:
    rows = sync.query("SELECT contact_id, stage, reason FROM rejection")
    return {row["contact_id"]: (row["stage"], row["reason"]) for row in rows}


def data_requests(sync: Sync) -> int:
    return sum(
        sum(answers.values())
        for request, answers in sync.stats()["requests"].items()
        if "/contacts/" in request or "_errors" in request
    )


def test_record_that_ometria_rejects_later_is_found_and_withdrawn(sync: Sync, push: Push) -> None:
    sync.fault("late_error", contacts=["c-07"])
    first = push("first")
    assert (first["sent"], first["accepted"], first["rejected"]) == (30, 29, 1)
    stage, reason = rejections(sync)["c-07"]
    assert stage == "ometria"
    assert reason.startswith("not a valid value (root > lastname)")
    assert list(rejections(sync)) == ["c-07"], "the others carry the field and arrived"

    sync.mend()
    before, asked = sync.received()["received"], data_requests(sync)
    second = push("second")
    assert (second["unchanged"], second["rejected"], second["sent"]) == (29, 1, 0)
    assert (sync.received()["received"], data_requests(sync)) == (before, asked), "nothing is in doubt"

    third = push("third", renamed=("c-07",))
    assert (third["unchanged"], third["accepted"], third["sent"]) == (29, 1, 1)


def test_cleared_push_gives_the_same_books_and_sends_nothing_again(sync: Sync, push: Push) -> None:
    sync.fault("late_error", contacts=["c-07"])
    first = push("first")
    assert first["rejected"] == 1
    before = sync.received()["received"]
    assert push("first") == first
    assert sync.received()["received"] == before


def test_request_in_which_ometria_counts_rejected_records_is_read_back(sync: Sync, push: Push) -> None:
    sync.fault("rejected", contacts=["c-03"])
    found = push("first")
    assert (found["accepted"], found["rejected"], found["pending"]) == (29, 1, 0)
    assert set(rejections(sync)) == {"c-03"}


def test_push_that_had_no_time_is_gone_on_with_by_the_next(
    sync: Sync, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.fault("late_error", contacts=["c-07"])
    with monkeypatch.context() as patch:
        patch.setattr(readback.Reader, "is_over", property(lambda _: True))
        first = push("first")
    sync.mend()
    assert (first["accepted"], first["rejected"]) == (30, 0)
    assert sync.query("SELECT unverified FROM sync_run")[0]["unverified"] == 30
    second = push("second")
    assert (second["unchanged"], second["rejected"], second["sent"]) == (29, 1, 0)
    assert set(rejections(sync)) == {"c-07"}
    assert sync.query("SELECT unverified FROM sync_run ORDER BY id DESC")[0]["unverified"] == 0


def test_verify_off_asks_ometria_nothing_and_leaves_what_is_doubtful_pending(sync: Sync, push: Push) -> None:
    sync.fault("rejected", contacts=["c-03"])
    with pytest.raises(NothingArrived, match="30 records are pending"):
        push("first", verify="off")
    assert data_requests(sync) == 0


def test_file_push_is_not_retried_by_a_mapping(sync: Sync, push: Push) -> None:
    sync.fault("late_error", contacts=["c-07"])
    push("first")
    sync.mapping("shop")
    assert "start the DAG shop again" in str(sync.planned("shop", retry_run=1).errors["plan"])
    result = CliRunner().invoke(app, ["retry", "1"])
    assert result.exit_code == 1
    assert "start the DAG shop again" in result.stderr


def test_verify_of_another_word_is_refused(push: Push) -> None:
    with pytest.raises(Misconfigured, match="write suspects or off"):
        push("first", verify="full")
