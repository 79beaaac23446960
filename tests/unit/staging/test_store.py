"""A step's files are there wholly or not at all, and a missing one says what to do."""

from pathlib import Path

import pyarrow as pa
import pytest
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.staging.store import RunStore
from ometria_provider.staging.tables import mapped_table, source_table


def store(folder: Path, run: int = 1) -> RunStore:
    return RunStore(f"file://{folder}", "customers", run)


def test_chunk_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = source_table(["ä", "1234567890123456789"], [b"[1]", b"[1.5]"], [b"\0" * 16, b"\xff" * 16], [True, False])
    store(tmp_path).slice(3).write_chunk("extract", 0, table)
    assert store(tmp_path).slice(3).read_chunk("extract", 0).equals(table)
    assert table["whole"].to_pylist() == [True, False]


def test_mapped_table_keeps_missing_records_apart_from_empty_ones() -> None:
    table = mapped_table(contact_id=["1", "2"], body=[None, b""])
    assert table["body"].to_pylist() == [None, b""]
    assert table["consent"].null_count == 2
    assert table.schema.field("body").type == pa.binary()


def test_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    store(tmp_path).slice(0).write_manifest("map", {"chunks": [{"rows": 5}]})
    assert store(tmp_path).slice(0).read_manifest("map") == {"chunks": [{"rows": 5}]}


@pytest.mark.parametrize("read", ["manifest", "chunk"])
def test_staging_that_is_gone_says_start_a_new_run(tmp_path: Path, read: str) -> None:
    files = store(tmp_path).slice(0)
    with pytest.raises(Misconfigured, match="Start a new run"):
        files.read_manifest("map") if read == "manifest" else files.read_chunk("map", 0)


def test_staging_that_cannot_be_written_is_retryable_and_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "customers").write_text("a file where the folder should be")
    with pytest.raises(Retryable, match=r"Staging cannot write in .*customers.*staging_path"):
        store(tmp_path).slice(0).write_manifest("map", {})


def test_remove_older_leaves_the_runs_to_keep(tmp_path: Path) -> None:
    for run in (1, 2, 3):
        store(tmp_path, run).slice(0).write_manifest("map", {})
    assert store(tmp_path, 3).remove_older({RunStore.name(2), RunStore.name(3)}) == 1
    assert store(tmp_path, 2).slice(0).read_manifest("map") == {}
    with pytest.raises(Misconfigured):
        store(tmp_path, 1).slice(0).read_manifest("map")


def test_remove_older_without_any_staging_removes_nothing(tmp_path: Path) -> None:
    assert store(tmp_path).remove_older(set()) == 0


def test_parts_come_back_in_order_without_the_one_that_was_cut_short(tmp_path: Path) -> None:
    files = store(tmp_path).slice(0)
    assert list(files.parts("details")) == []
    files.keep_part("details", 1, {"rows": [2]})
    files.keep_part("details", 0, {"rows": [1]})
    files.keep_part("other", 0, {"rows": [3]})
    (damaged,) = (tmp_path / "customers").rglob("details-part-000001.json")
    assert list(files.parts("details")) == [(0, {"rows": [1]}), (1, {"rows": [2]})]
    damaged.write_text('{"rows": [')
    assert list(files.parts("details")) == [(0, {"rows": [1]})]
