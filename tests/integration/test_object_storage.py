"""A contact sync whose staging lies in a bucket, and what becomes of it when the bucket fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import ObjectStore
from ometria_provider.exceptions import Retryable
from sync import Sync


@pytest.fixture
def staged(sync: Sync, bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sync]:
    """A sync that stages in the bucket, and whose disk has no place for it."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", bucket.connection)
    sync.set("staging_path", f"{bucket.staging_path}/{tmp_path.name}")
    sync.mapping()
    yield sync
    bucket.mend()
    assert not sync.staging.exists()


def test_sync_staged_in_a_bucket_delivers_and_the_next_sends_what_changed(staged: Sync, bucket: ObjectStore) -> None:
    run = staged.run()
    assert run.green, run.text
    run.assert_balanced()
    assert staged.received()["contacts"] == run.row["accepted"] > 200
    assert bucket.stats()["bytes"] > 10_000
    changed = staged.change(*staged.members_to_send()[20:23], score=4_711)
    again = staged.run()
    assert again.green, again.text
    assert again.row["sent"] == len(changed)
    assert staged.received()["repeats"] == 0


@pytest.mark.parametrize("step", ["extract", "map", "push"])
def test_bucket_that_fails_in_a_step_is_red_and_cleared_loses_and_repeats_nothing(
    staged: Sync, bucket: ObjectStore, step: str
) -> None:
    steps = ["plan", "extract", "map", "validate", "gate", "push", "reconcile"]
    before = staged.start(steps[: steps.index(step)])
    bucket.fail(status=403, code="QuotaExceeded")
    run = staged.clear(before, step)
    error = run.errors[f"{step}[0]"]
    assert isinstance(error, Retryable)
    assert "staging_path" in str(error)
    bucket.mend()
    assert staged.received()["received"] == 0
    cleared = staged.clear(run, *steps[steps.index(step) :])
    assert cleared.green, cleared.text
    cleared.assert_balanced()
    received = staged.received()
    assert received["received"] == received["contacts"] == cleared.row["accepted"] > 200
