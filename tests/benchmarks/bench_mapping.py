"""Time mapping 100,000 customers × 15 fields against `pandas.json_normalize` and `apply` making the same records.

Prints JSON: seconds of CPU for both (reading the fields and making the records; making up the members is not counted),
and how many times as fast the mapping is. `python -m tests.benchmarks.bench_mapping [CUSTOMERS]`
"""

from __future__ import annotations

import datetime
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from ometria_provider.delivery.digests import encode
from ometria_provider.mapping.customers import Projection, resolve_language
from ometria_provider.mapping.formats import final_step
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import map_customers
from ometria_provider.mapping.transforms import make_steps, run_steps
from ometria_provider.mapping.values import Unconvertible
from ometria_provider.sandbox.members import Generator

from tests.benchmarks.figures import Row
from tests.benchmarks.world import CHECKOUT

AIM = 4
TODAY = datetime.date(2026, 1, 1)
MAPPING = Mapping.from_data(
    "bench",
    {
        "mode": "v2",
        "list": 1,
        "fields": [
            {"loyalty": "email", "remote": "email", "transform": ["strip", "lower"]},
            {"loyalty": "first_name", "remote": "firstname", "transform": ["strip"]},
            {"loyalty": "last_name", "remote": "lastname", "transform": ["strip"]},
            {"loyalty": "gender", "remote": "gender"},
            {"loyalty": "birth_date", "remote": "date_of_birth"},
            {"loyalty": "country", "remote": "country_id"},
            {"loyalty": "created_at", "remote": "timestamp_acquired"},
            {"loyalty": "score", "remote": "points"},
            {"loyalty": "tiers.basic_structure.name", "remote": "tier"},
            {"loyalty": "tiers.basic_structure.next.name", "remote": "next_tier"},
            {"loyalty": "accounts.prestige_balance.earned", "remote": "prestige_earned"},
            {"loyalty": "properties.favourite_store", "remote": "favourite_store"},
            {"loyalty": "properties.member_number", "remote": "member_number", "transform": ["string"]},
        ],
    },
)
_RAW = {"id": "_id"}


def ours(customers: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """Make the records as the product does."""
    projection = Projection(MAPPING)
    return map_customers(MAPPING, [projection.project(customer) for customer in customers], today=TODAY).records


def baseline(customers: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """Make the same records as a script would: one wide frame, a function applied to each cell, a loop over rows."""
    import pandas as pd

    frame = pd.json_normalize(customers)
    wanted = frame["status"].apply(lambda status: status in ("active", "inactive"))
    failed = pd.Series(False, index=frame.index)
    out = pd.DataFrame(index=frame.index)
    for row in MAPPING.rows:
        assert row.loyalty is not None
        steps = (*make_steps(row.transform), final_step(row.remote, TODAY))

        def convert(value: Any, steps: Any = steps) -> Any:
            try:
                return run_steps(steps, None if isinstance(value, float) and value != value else value)
            except Unconvertible:
                return Unconvertible

        column = _column(frame, _RAW.get(row.loyalty, row.loyalty)).apply(convert)
        failed |= column.apply(lambda value: value is Unconvertible)
        out[row.remote] = column.astype(object)
    top = {"id", "email", "customer_id", "firstname", "lastname", "gender", "date_of_birth", "country_id"}
    top.add("timestamp_acquired")

    def record(cells: Any) -> dict[str, Any]:
        held = {key: value for key, value in cells.items() if value is not None and value == value}
        made = {"@type": "contact", "@collection": "bench", "@merge": True}
        made |= {key: value for key, value in held.items() if key in top}
        made["@add_to_lists"] = [1]
        made["properties"] = {key: value for key, value in held.items() if key not in top}
        return made

    kept = wanted & ~failed
    made = out[kept].apply(record, axis=1)
    return [made.get(index) for index in range(len(frame))]


def _column(frame: Any, path: str) -> Any:
    """Return a column; a language map was taken apart by json_normalize and is put together again."""
    if not path.endswith(".name"):
        return frame[path].astype(object)
    maps = [column for column in frame.columns if column.startswith(f"{path}.")]

    def join(cells: Any) -> Any:
        if isinstance(cells[path], str):
            return cells[path]
        return resolve_language({column.rpartition(".")[2]: cells[column] for column in maps}, "en")

    return frame[[path, *maps]].apply(join, axis=1)


def timed(make: Callable[[list[dict[str, Any]]], Any], customers: list[dict[str, Any]]) -> tuple[float, Any]:
    """Return seconds of CPU and what was made."""
    start = time.process_time()
    made = make(customers)
    return time.process_time() - start, made


def measure(*, quick: bool = False) -> list[Row]:
    """Return how many times as fast the mapping is."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_mapping", "20000" if quick else "100000"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=CHECKOUT,
    )
    found = json.loads(done.stdout)
    return [
        Row(
            f"Mapping {found['customers']:,} customers × {found['fields']} fields",
            f"{found['seconds']} s of CPU: {found['times_as_fast']} × as fast",
            f"{found['baseline_seconds']} s: {found['baseline']}",
            f"{AIM} × as fast",
            found["times_as_fast"] >= AIM,
        )
    ]


def main(count: int) -> dict[str, Any]:
    """Run both and return the figures.

    :raises AssertionError: when the two do not make the same records.
    """
    generator = Generator(seed=1, count=count)
    customers = [generator.member(index) for index in range(count)]
    ours(customers[:10]), baseline(customers[:10])  # imports are not counted
    gc.collect()
    gc.freeze()  # nor is the collector's walk over the members, which no task holds all at once
    seconds, records = timed(ours, customers)
    baseline_seconds, expected = timed(baseline, customers)
    # As JSON: Python takes 1, 1.0 and True for equal.
    assert list(map(encode, records)) == list(map(encode, expected)), "the two do not make the same records"
    return {
        "name": "mapping",
        "customers": count,
        "fields": len(MAPPING.rows),
        "seconds": round(seconds, 2),
        "baseline": "json_normalize + apply",
        "baseline_seconds": round(baseline_seconds, 2),
        "times_as_fast": round(baseline_seconds / seconds, 1),
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)))
