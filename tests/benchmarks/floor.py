"""What the libraries alone take for the work that `cpu` measures: no decision, no comparison, no conversion, no books.

Each is called barely, with everything made ready for it, on the files of a run that ended. The rest up to what `cpu`
shows is our own.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.benchmarks.bench_cpu import cpu

#: Records in a request, and answers written in one transaction (as often as the push does it by itself).
BATCH, TOGETHER = 100, 4

_UPSERT = """
insert into state values ('a', 'c', ?, ?, 'pending', ?, ?, 'now', 1, 1) on conflict do update set
fingerprint = excluded.fingerprint, state = excluded.state, source = excluded.source, filled = excluded.filled,
at = excluded.at, run = excluded.run, batch = excluded.batch
"""


class Floor:
    """Adds up the CPU of libraries.

    :param staging: folder of a run's files.
    :param ledger: file of its ledger.
    :param root: URL of the sandbox's Ometria.
    """

    def __init__(self, staging: Path, ledger: Path, root: str) -> None:
        import requests

        self.staging, self.url = staging, f"{root}/v2/push"
        self.taken: defaultdict[str, float] = defaultdict(float)
        self.suite = _suite(ledger)
        self.database = sqlite3.connect(staging / "floor.db", isolation_level=None)
        self.database.execute("pragma journal_mode = wal")
        self.database.execute("pragma synchronous = normal")
        self.database.execute(
            "create table state (account, collection, id, fingerprint, state, source, filled, at, run, batch,"
            " primary key (account, collection, id)) without rowid"
        )
        self.session = requests.Session()

    def measure(self) -> dict[str, float]:
        """Return CPU seconds by part."""
        self._validate({"id": ["1"], "email": [None], "customer_id": ["1"]})  # imports do not count
        self.taken.clear()
        read, made = (sorted(self.staging.rglob(f"{step}-*.parquet")) for step in ("extract", "map"))
        for extracted, mapped in zip(read, made, strict=True):
            self._slice(extracted, mapped)
        return dict(self.taken)

    @contextmanager
    def _clock(self, part: str) -> Iterator[None]:
        before = cpu()
        yield
        self.taken[part] += cpu() - before

    def _slice(self, extracted: Path, mapped: Path) -> None:
        import msgspec
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.ParquetFile(mapped).read()
        columns = {name: table[name].to_pylist() for name in table.column_names}
        rows = [row for row, action in enumerate(columns["action"]) if action == "send"]
        records = [msgspec.json.decode(columns["body"][row]) for row in rows]
        with self._clock("Parquet"):
            sources = pq.ParquetFile(extracted).read(["contact_id", "digest", "source"])["source"].to_pylist()
        with self._clock("JSON"):
            list(map(msgspec.json.Decoder(list[Any]).decode, sources))
            bodies = list(map(msgspec.json.Encoder().encode, records))
        with self._clock("digests"):
            digests = [hashlib.blake2b(body, digest_size=16).digest() for body in bodies]
        with self._clock("Parquet"):
            again = pa.table(columns, schema=table.schema)
            pq.write_table(again, self.staging / "floor.parquet", compression="zstd", use_dictionary=False)
            for names in (["contact_id", "action", "body"], None):  # for validate, and for push
                for column in pq.ParquetFile(self.staging / "floor.parquet").read(names).columns:
                    column.to_pylist()
        self._validate({name: [record.get(name) for record in records] for name in ("id", "email", "customer_id")})
        self._push(
            [(columns["contact_id"][row], one, one, b"12") for row, one in zip(rows, digests, strict=True)], bodies
        )

    def _validate(self, columns: dict[str, list[Any]]) -> None:
        from ometria_provider.validation.run import validate

        with self._clock("Great Expectations"):
            validate(self.suite, columns)

    def _push(self, states: list[tuple[Any, ...]], bodies: list[bytes]) -> None:
        headers = {"X-Ometria-Auth": "sandbox-ometria-key", "Content-Type": "application/json"}
        states.sort()
        bounds = [*range(0, len(states), BATCH * TOGETHER), len(states)]
        with self._clock("upserts"):
            for start, end in pairwise(bounds):
                self.database.execute("begin")
                for first in range(start, end, BATCH):
                    self.database.executemany(_UPSERT, states[first : min(first + BATCH, end)])
                self.database.execute("commit")
        with self._clock("requests"):
            for start in range(0, len(bodies), BATCH):
                body = b"[" + b",".join(bodies[start : start + BATCH]) + b"]"
                self.session.post(self.url, data=body, headers=headers, timeout=60).raise_for_status()


def _suite(ledger: Path) -> Any:
    """Return the suite of the newest run."""
    import msgspec
    from ometria_provider.validation.suites import Suite

    with sqlite3.connect(ledger) as database:
        planned = database.execute("select planned_suite from sync_run order by id desc").fetchone()[0]
    return msgspec.json.decode(planned, type=Suite, dec_hook=lambda kind, value: kind(value))


if __name__ == "__main__":
    gc.set_threshold(500_000, 20, 100)  # as our tasks do
    print(json.dumps(Floor(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]).measure()))
