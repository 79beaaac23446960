"""Where a run's slices lie between its tasks.

A folder for each run, a folder for each slice, a Parquet file for each chunk of at most 50,000 members, and a manifest
for each step. The manifest is written last: a step is there wholly or not at all, on a file system and in a bucket.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from ometria_provider.exceptions import Misconfigured, Retryable

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.sdk import ObjectStoragePath

#: Members in one chunk: what bounds a task's memory.
CHUNK = 50_000

GONE = "The staging of this run is gone ({what}). Start a new run: it reads today's data and sends only what differs."


class SliceStore:
    """The files of one slice.

    :param folder: the slice's own folder.
    """

    def __init__(self, folder: ObjectStoragePath) -> None:
        self._folder: Any = folder  # Airflow's `open` is untyped

    def begin(self, step: str) -> None:
        """Take back that a step is complete, before it is done again: its files are about to change."""
        with self._storage("write"):
            (self._folder / f"{step}.json").unlink(missing_ok=True)

    def write_chunk(self, step: str, index: int, table: pa.Table) -> None:
        """Write one chunk of a step.

        :raises Retryable: when the storage refuses (disk full, no access, out of reach).
        """
        import pyarrow.parquet as pq

        with self._storage("write"):
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / f"{step}-{index:04}.parquet").open("wb") as file:
                # Nearly every value is the only one of its kind: a dictionary or statistics are work for nothing.
                pq.write_table(table, file, compression="zstd", use_dictionary=False, write_statistics=False)

    def read_chunk(self, step: str, index: int, columns: list[str] | None = None) -> pa.Table:
        """Read one chunk of a step.

        :param columns: only these; None: all.
        :raises Misconfigured: when it is gone.
        """
        import pyarrow.parquet as pq

        path = self._folder / f"{step}-{index:04}.parquet"
        with self._storage("read"):
            if not path.exists():
                raise Misconfigured(GONE.format(what=path.name))
            with path.open("rb") as file:
                try:
                    # Not `read_table`: it imports pandas.
                    return pq.ParquetFile(file).read(columns)
                except ValueError as error:  # pyarrow's word for a file that was cut short
                    raise Misconfigured(GONE.format(what=f"{path.name} is damaged")) from error

    def has(self, step: str) -> bool:
        """Say whether a step is complete."""
        with self._storage("read"):
            return bool((self._folder / f"{step}.json").exists())

    def write_manifest(self, step: str, manifest: dict[str, Any]) -> None:
        """Declare a step complete.

        :param manifest: what the next step must know; JSON.
        """
        with self._storage("write"):
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{step}.json").write_bytes(msgspec.json.encode(manifest))

    def read_manifest(self, step: str) -> dict[str, Any]:
        """Read what a step declared.

        :raises Misconfigured: when the step's files are gone.
        """
        path = self._folder / f"{step}.json"
        with self._storage("read"):
            if not path.exists():
                raise Misconfigured(GONE.format(what=path.name))
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])

    def refused_rows(self) -> dict[int, set[int]]:
        """Return the rows of each chunk that `validate` refused, by the chunk's number; chunks without any may lack.

        :raises Misconfigured: when the files of `validate` are gone.
        """
        refused = self.read_manifest("validate")["refused"]
        return {int(chunk): {row for row, *_ in rows} for chunk, rows in refused.items()}

    def keep_part(self, step: str, number: int, part: dict[str, Any]) -> None:
        """Keep a part of what a step has done so far: its next attempt takes it up."""
        self.write_manifest(f"{step}-part-{number:06}", part)

    def parts(self, step: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the parts that earlier attempts kept, numbered; one that was cut short is left out."""
        with self._storage("read"):
            prefix = f"{step}-part-"
            files = self._folder.iterdir() if self._folder.exists() else ()
            for path in sorted((file for file in files if file.name.startswith(prefix)), key=lambda file: file.name):
                with suppress(msgspec.DecodeError):
                    part = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
                    yield int(path.name.removeprefix(prefix).removesuffix(".json")), part

    @contextmanager
    def _storage(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Retryable(
                f"Staging cannot {verb} in {self._folder}: {error.strerror or type(error).__name__}. "
                "Is the disk full, or the folder not writable? See `[ometria] staging_path`."
            ) from error


def staged_mappings(root: str) -> list[str]:
    """Return the names of the mappings that have staging.

    :param root: URI of the staging folder.
    """
    from airflow.sdk import ObjectStoragePath

    folder = ObjectStoragePath(root)
    return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.exists() else []


class RunStore:
    """The files of one run.

    :param root: URI of the staging folder (`[ometria] staging_path`).
    :param run: the run's number in the ledger.
    """

    def __init__(self, root: str, mapping: str, run: int) -> None:
        from airflow.sdk import ObjectStoragePath

        self._mapping = ObjectStoragePath(root) / mapping
        self._folder = self._mapping / f"run-{run:08}"

    @property
    def own(self) -> SliceStore:
        """The store of the run as a whole."""
        return SliceStore(self._folder)

    def slice(self, index: int) -> SliceStore:
        """Return the store of one slice."""
        return SliceStore(self._folder / f"slice-{index:04}")

    def remove_older(self, keep: set[str]) -> int:
        """Remove the staging of this mapping's runs that are not to be kept, and return how many were removed.

        :param keep: names of run folders (:meth:`name`).
        """
        if not self._mapping.exists():
            return 0
        old = [
            folder for folder in self._mapping.iterdir() if folder.name.startswith("run-") and folder.name not in keep
        ]
        for folder in old:
            folder.rmdir(recursive=True)
        return len(old)

    def remove(self) -> None:
        """Remove the staging of this run."""
        if self._folder.exists():
            self._folder.rmdir(recursive=True)

    @staticmethod
    def name(run: int) -> str:
        """Return the name of a run's folder."""
        return f"run-{run:08}"


def remove_runs_with(root: str, ids: Collection[str]) -> int:
    """Remove the staging of every run that holds one of these ids, and return of how many.

    A whole run's: rows cannot be taken out of files whose places other files name. A task of it that is cleared says
    that a new run is needed.

    :param root: URI of the staging folder.
    """
    from airflow.sdk import ObjectStoragePath

    found = [
        folder
        for mapping in staged_mappings(root)
        for folder in (ObjectStoragePath(root) / mapping).iterdir()
        if folder.name.startswith("run-") and _holds(folder, ids)
    ]
    for folder in found:
        folder.rmdir(recursive=True)
    return len(found)


def _holds(folder: Any, ids: Collection[str]) -> bool:
    """Say whether a file below a folder names one of these ids; a damaged one may."""
    import pyarrow.parquet as pq

    for path in folder.iterdir():
        if path.is_dir():
            if _holds(path, ids):
                return True
        elif path.name.endswith(".json"):
            if any(msgspec.json.encode(id_) in path.read_bytes() for id_ in ids):
                return True
        elif path.name.endswith(".parquet"):
            with path.open("rb") as file:
                try:
                    table = pq.ParquetFile(file)
                    names = [name for name in ("contact_id", "customer") if name in table.schema_arrow.names]
                    columns = table.read(names).columns
                except ValueError:  # cut short
                    return True
                if any(not set(ids).isdisjoint(column.to_pylist()) for column in columns):
                    return True
    return False
