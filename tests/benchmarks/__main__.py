"""Measure every figure, print one table and write it into docs/performance.md.

`python -m tests.benchmarks [--quick] [--only NAME …]`: quick takes fewer members and repetitions and leaves the page as
it is, and so does a choice of benchmarks.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.benchmarks import (
    bench_campaigns,
    bench_changes,
    bench_cpu,
    bench_delay,
    bench_history,
    bench_idle,
    bench_mapping,
    bench_memory,
    bench_pages,
    bench_rate,
    bench_read,
    bench_start,
    bench_upgrades,
    bench_verify,
    bench_webhooks,
)
from tests.benchmarks.figures import Row, markdown, rewrite
from tests.benchmarks.world import CHECKOUT

BENCHMARKS = {
    "rate": bench_rate,
    "read": bench_read,
    "cpu": bench_cpu,
    "mapping": bench_mapping,
    "memory": bench_memory,
    "changes": bench_changes,
    "campaigns": bench_campaigns,
    "history": bench_history,
    "idle": bench_idle,
    "pages": bench_pages,
    "start": bench_start,
    "upgrades": bench_upgrades,
    "verify": bench_verify,
    "webhooks": bench_webhooks,
    "delay": bench_delay,
}


def main() -> int:
    """Return 0 when every promise was kept, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer members and repetitions; docs stay as they are")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), help="some of them")
    options = parser.parse_args()

    rows: list[Row] = []
    for name in options.only:
        started = time.monotonic()
        print(f"{name} …", end=" ", file=sys.stderr, flush=True)
        found = BENCHMARKS[name].measure(quick=options.quick)
        # At once: a benchmark behind it may break off.
        print(f"{time.monotonic() - started:.0f} s\n{markdown(found)}", file=sys.stderr, flush=True)
        rows += found
    table = markdown(rows)
    print(table)
    if not options.quick and options.only == list(BENCHMARKS):
        rewrite(CHECKOUT / "docs" / "performance.md", table)
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
