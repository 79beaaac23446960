"""A step's files are there wholly or not at all, and a missing one says what to do: in a folder and in a bucket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from object_store import ObjectStore
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.staging.store import RunStore, remove_runs_with, staged_mappings
from ometria_provider.staging.tables import mapped_table, source_table

MakeStore = Callable[..., RunStore]


@pytest.fixture
def in_bucket(bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return the URI of a folder in the bucket."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", bucket.connection)
    return f"{bucket.staging_path}/{tmp_path.name}"


@pytest.fixture(params=["file", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URI of an empty staging folder, on each storage in turn."""
    return f"file://{tmp_path}" if request.param == "file" else str(request.getfixturevalue("in_bucket"))


@pytest.fixture
def store(root: str) -> MakeStore:
    return lambda run=1: RunStore(root, "customers", run)


def damage(root: str, name: str) -> None:
    """Cut the second half of a file of the first run's first slice off."""
    from airflow.sdk import ObjectStoragePath

    path = ObjectStoragePath(root) / "customers" / "run-00000001" / "slice-0000" / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_chunk_comes_back_as_it_was_written(store: MakeStore) -> None:
    table = source_table(["ä", "1234567890123456789"], [b"[1]", b"[1.5]"], [b"\0" * 16, b"\xff" * 16], [True, False])
    store().slice(3).write_chunk("extract", 0, table)
    assert store().slice(3).read_chunk("extract", 0).equals(table)
    assert store().slice(3).read_chunk("extract", 0, ["digest"]).column_names == ["digest"]
    assert table["whole"].to_pylist() == [True, False]


def test_mapped_table_keeps_missing_records_apart_from_empty_ones() -> None:
    table = mapped_table(contact_id=["1", "2"], body=[None, b""])
    assert table["body"].to_pylist() == [None, b""]
    assert table["consent"].null_count == 2
    assert table.schema.field("body").type == pa.binary()


def test_manifest_comes_back_as_it_was_written_and_is_taken_back(store: MakeStore) -> None:
    files = store().slice(0)
    assert not files.has("map")
    files.begin("map")
    files.write_manifest("map", {"chunks": [{"rows": 5}]})
    assert files.has("map")
    assert files.read_manifest("map") == {"chunks": [{"rows": 5}]}
    files.begin("map")
    assert not files.has("map")


@pytest.mark.parametrize(
    ("refused", "ready"),
    [({}, ["a", "c"]), ({"0": [[2, "a rule", []]]}, ["a"]), ({"0": [[0, "r", []], [2, "r", []]], "1": []}, [])],
    ids=["all passed", "one did not", "none did"],
)
def test_ready_records_are_those_to_be_sent_that_were_not_refused(
    store: MakeStore, refused: dict[str, Any], ready: list[str]
) -> None:
    files = store(1).slice(0)
    files.write_chunk("map", 0, pa.table({"contact_id": ["a", "b", "c"], "action": ["send", "unchanged", "send"]}))
    files.write_manifest("validate", {"refused": refused})
    assert files.read_ready(0, ["contact_id"]).to_pydict() == {"contact_id": ready}


@pytest.mark.parametrize("read", ["manifest", "chunk"])
def test_staging_that_is_gone_says_start_a_new_run(store: MakeStore, read: str) -> None:
    files = store().slice(0)
    with pytest.raises(Misconfigured, match="Start a new run"):
        files.read_manifest("map") if read == "manifest" else files.read_chunk("map", 0)


def test_staging_that_was_cut_short_says_start_a_new_run(store: MakeStore, root: str) -> None:
    files = store().slice(0)
    files.write_chunk("map", 0, mapped_table(contact_id=["1"]))
    files.write_manifest("map", {"chunks": [{"rows": 1}]})
    for name in ("map-0000.parquet", "map.json"):
        damage(root, name)
    with pytest.raises(Misconfigured, match=r"map\.json is damaged.*Start a new run"):
        files.read_manifest("map")
    with pytest.raises(Misconfigured, match=r"map-0000\.parquet is damaged.*Start a new run"):
        files.read_chunk("map", 0)


def test_staging_that_cannot_be_written_is_retryable_and_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "customers").write_text("a file where the folder should be")
    with pytest.raises(Retryable, match=r"Staging cannot write in .*customers.*staging_path"):
        RunStore(f"file://{tmp_path}", "customers", 1).slice(0).write_manifest("map", {})


def test_bucket_that_is_full_is_retryable_and_names_the_folder(bucket: ObjectStore, in_bucket: str) -> None:
    files = RunStore(in_bucket, "customers", 1).slice(0)
    bucket.fail(status=403, code="QuotaExceeded", methods="PUT POST")
    try:
        with pytest.raises(Retryable, match=r"Staging cannot write in s3:.*customers.*QuotaExceeded.*staging_path"):
            files.write_manifest("map", {})
    finally:
        bucket.mend()
    assert not files.has("map")


def test_bucket_out_of_reach_is_retryable_though_its_error_is_no_oserror(
    bucket: ObjectStore, in_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RunStore(in_bucket, "customers", 1).slice(0)
    from botocore.exceptions import EndpointConnectionError

    def refuse(*_: object) -> bytes:
        raise EndpointConnectionError(endpoint_url=bucket.url)

    monkeypatch.setattr(type(files._folder), "read_bytes", refuse)
    with pytest.raises(Retryable, match=r"Staging cannot read in s3:.*Could not connect.*staging_path"):
        files.read_manifest("map")


@pytest.mark.parametrize("uri", ["nosuch://bucket/folder", "gs://bucket/folder"])
def test_storage_that_nothing_here_speaks_to_is_a_wrong_setting(uri: str) -> None:
    with pytest.raises(Misconfigured, match=r"staging_path.* cannot be used"):
        RunStore(uri, "customers", 1)


def test_files_of_another_worker_are_seen_by_a_process_that_looked_before(store: MakeStore, root: str) -> None:
    files = store().slice(0)
    files.keep_part("details", 0, {"n": 0})
    assert [number for number, _ in files.parts("details")] == [0]
    assert staged_mappings(root) == ["customers"]
    other = (
        "import sys; from ometria_provider.staging.store import RunStore\n"
        "for mapping in ('customers', 'others'):\n"
        "    files = RunStore(sys.argv[1], mapping, 1).slice(0)\n"
        "    files.keep_part('details', 1, {'n': 1}); files.write_manifest('map', {})\n"
    )
    subprocess.run([sys.executable, "-c", other, root], check=True)
    assert files.has("map")
    assert [number for number, _ in files.parts("details")] == [0, 1]
    assert staged_mappings(root) == ["customers", "others"]


def test_remove_older_leaves_the_runs_to_keep(store: MakeStore) -> None:
    for run in (1, 2, 3):
        store(run).slice(0).write_manifest("map", {})
    assert store(3).remove_older({RunStore.name(2), RunStore.name(3)}) == 1
    assert store(2).slice(0).read_manifest("map") == {}
    with pytest.raises(Misconfigured):
        store(1).slice(0).read_manifest("map")


def test_remove_older_without_any_staging_removes_nothing(store: MakeStore) -> None:
    assert store().remove_older(set()) == 0


def test_runs_that_hold_an_id_are_removed_whole_and_no_others(store: MakeStore, root: str) -> None:
    for run, id_ in ((1, "ann"), (2, "bob")):
        table = source_table([id_], [b"[1]"], [b"\0" * 16], [True])
        store(run).slice(0).write_chunk("extract", 0, table)
        store(run).slice(0).write_manifest("extract", {"chunks": [{"rows": 1}]})
    assert remove_runs_with(root, ["ann"]) == 1
    assert not store(1).slice(0).has("extract")
    assert store(2).slice(0).has("extract")
    store(2).remove()
    assert staged_mappings(root) in ([], ["customers"])
    assert not store(2).slice(0).has("extract")


def test_parts_come_back_in_order_without_the_one_that_was_cut_short(store: MakeStore, root: str) -> None:
    files = store().slice(0)
    assert list(files.parts("details")) == []
    files.keep_part("details", 1, {"rows": [2]})
    files.keep_part("details", 0, {"rows": [1]})
    files.keep_part("other", 0, {"rows": [3]})
    assert list(files.parts("details")) == [(0, {"rows": [1]}), (1, {"rows": [2]})]
    damage(root, "details-part-000001.json")
    assert list(files.parts("details")) == [(0, {"rows": [1]})]
