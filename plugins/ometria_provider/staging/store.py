"""Where a run's slices lie between its tasks.

A folder for each run, a folder for each slice, a Parquet file for each chunk of at most 50,000 members, and a manifest
for each step. The manifest is written last: a step is there wholly or not at all, on a file system and in a bucket.
Nothing is renamed, which a bucket cannot do, and nothing is remembered of what another worker may change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from ometria_provider.exceptions import Misconfigured, Retryable, SyncError

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
        self._folder = folder

    def begin(self, step: str) -> None:
        """Take back that a step is complete, before it is done again: its files are about to change."""
        with _storage(self._folder, "write"):
            (self._folder / f"{step}.json").unlink(missing_ok=True)

    def write_chunk(self, step: str, index: int, table: pa.Table) -> None:
        """Write one chunk of a step.

        :raises Retryable: when the storage refuses (disk full, no access, out of reach).
        """
        import pyarrow.parquet as pq

        with _storage(self._folder, "write"):
            self._folder.mkdir(parents=True, exist_ok=True)
            path: Any = self._folder / f"{step}-{index:04}.parquet"  # its `open` is untyped
            with path.open("wb") as file:
                # Nearly every value is the only one of its kind: a dictionary or statistics are work for nothing.
                pq.write_table(table, file, compression="zstd", use_dictionary=False, write_statistics=False)

    def read_chunk(self, step: str, index: int, columns: list[str] | None = None) -> pa.Table:
        """Read one chunk of a step.

        :param columns: only these; None: all.
        :raises Misconfigured: when it is gone.
        """
        path = self._folder / f"{step}-{index:04}.parquet"
        try:
            # Not `read_table`: it imports pandas.
            return _parquet(self._read(path)).read(columns)
        except ValueError as error:  # pyarrow's word for a file that was cut short
            raise Misconfigured(GONE.format(what=f"{path.name} is damaged")) from error

    def has(self, step: str) -> bool:
        """Say whether a step is complete."""
        with _storage(self._folder, "read"):
            return bool((self._folder / f"{step}.json").exists())

    def write_manifest(self, step: str, manifest: dict[str, Any]) -> None:
        """Declare a step complete.

        :param manifest: what the next step must know; JSON.
        """
        with _storage(self._folder, "write"):
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{step}.json").write_bytes(msgspec.json.encode(manifest))

    def read_manifest(self, step: str) -> dict[str, Any]:
        """Read what a step declared.

        :raises Misconfigured: when the step's files are gone.
        """
        path = self._folder / f"{step}.json"
        try:
            return msgspec.json.decode(self._read(path), type=dict[str, Any])
        except msgspec.DecodeError as error:  # a disk that was full, or a machine that died, cut it short
            raise Misconfigured(GONE.format(what=f"{path.name} is damaged")) from error

    def read_ready(self, index: int, columns: list[str]) -> pa.Table:
        """Read one chunk's records that are ready to be sent: `map` made them for that, `validate` let them pass.

        :raises Misconfigured: when the files of either are gone.
        """
        import pyarrow as pa

        refused = {row for row, *_ in self.read_manifest("validate")["refused"].get(str(index), ())}
        table = self.read_chunk("map", index, [*columns, "action"])
        actions = enumerate(table["action"].to_pylist())
        rows = [row for row, action in actions if action == "send" and row not in refused]
        return table.take(pa.array(rows, pa.int64())).select(columns)

    def keep_part(self, step: str, number: int, part: dict[str, Any]) -> None:
        """Keep a part of what a step has done so far: its next attempt takes it up."""
        self.write_manifest(f"{step}-part-{number:06}", part)

    def parts(self, step: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the parts that earlier attempts kept, numbered; one that was cut short is left out."""
        with _storage(self._folder, "read"):
            prefix = f"{step}-part-"
            files = self._folder.iterdir() if self._folder.exists() else ()
            for path in sorted((file for file in files if file.name.startswith(prefix)), key=lambda file: file.name):
                with suppress(msgspec.DecodeError):
                    part = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
                    yield int(path.name.removeprefix(prefix).removesuffix(".json")), part

    def _read(self, path: ObjectStoragePath) -> bytes:
        """Read a whole file, which costs one request of a bucket.

        :raises Misconfigured: when it is gone.
        """
        with _storage(self._folder, "read"):
            try:
                return path.read_bytes()
            except FileNotFoundError as error:
                raise Misconfigured(GONE.format(what=path.name)) from error


def staged_mappings(root: str) -> list[str]:
    """Return the names of the mappings that have staging.

    :param root: URI of the staging folder.
    """
    folder = _root(root)
    with _storage(folder, "read"):
        return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.exists() else []


class RunStore:
    """The files of one run.

    :param root: URI of the staging folder (`[ometria] staging_path`).
    :param run: the run's number in the ledger.
    """

    def __init__(self, root: str, mapping: str, run: int) -> None:
        self._mapping = _root(root) / mapping
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
        with _storage(self._mapping, "remove"):
            folders = list(self._mapping.iterdir()) if self._mapping.exists() else []
            old = [folder for folder in folders if folder.name.startswith("run-") and folder.name not in keep]
            for folder in old:
                folder.rmdir(recursive=True)
        return len(old)

    def remove(self) -> None:
        """Remove the staging of this run."""
        with _storage(self._folder, "remove"):
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
    folder = _root(root)
    with _storage(folder, "remove"):
        found = [
            each
            for mapping in staged_mappings(root)
            for each in (folder / mapping).iterdir()
            if each.name.startswith("run-") and _holds(each, ids)
        ]
        for each in found:
            each.rmdir(recursive=True)
    return len(found)


def _root(uri: str) -> ObjectStoragePath:
    """Open the staging folder without what the storage's client remembers of it: other workers change it.

    An API server lives for weeks, and would not see what tasks have written since it looked first.
    """
    from airflow.sdk import ObjectStoragePath

    try:
        root = ObjectStoragePath(uri)
        storage: Any = root.fs
    except (ImportError, ValueError) as error:
        raise Misconfigured(f"`[ometria] staging_path` {uri} cannot be used: {error}") from error
    except Exception as error:
        raise Retryable(f"The client of `[ometria] staging_path` {uri} does not start: {error}") from error
    storage.invalidate_cache()
    if (listings := getattr(storage, "dircache", None)) is not None:
        listings.use_listings_cache = False
    return root


@contextmanager
def _storage(folder: Any, verb: str) -> Iterator[None]:
    """Say of any error what the storage could not do: each kind of storage has errors of its own."""
    try:
        yield
    except SyncError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Retryable(
            f"Staging cannot {verb} in {folder}: {reason}. Is it full, out of reach, or not writable? "
            "See `[ometria] staging_path`."
        ) from error


def _parquet(content: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(content))


def _holds(folder: Any, ids: Collection[str]) -> bool:
    """Say whether a file below a folder names one of these ids; a damaged one may."""
    for path in folder.iterdir():
        if path.is_dir():
            if _holds(path, ids):
                return True
        elif path.name.endswith(".json"):
            if any(msgspec.json.encode(id_) in path.read_bytes() for id_ in ids):
                return True
        elif path.name.endswith(".parquet"):
            try:
                table = _parquet(path.read_bytes())
                names = [name for name in ("contact_id", "customer") if name in table.schema_arrow.names]
                columns = table.read(names).columns
            except ValueError:  # cut short
                return True
            if any(not set(ids).isdisjoint(column.to_pylist()) for column in columns):
                return True
    return False
