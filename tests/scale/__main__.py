"""Measure at scale, print one table and write it into docs/scale.md: `make scale-test SCALE='--only faults'`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
sys.path[:0] = [str(CHECKOUT / "tests" / "support"), str(CHECKOUT / "scripts")]

from tests.benchmarks.figures import Row, broken_off, markdown, rewrite  # noqa: E402 (the path is set above)

PARTS = ("members", "faults", "accounts", "upgrades")
PAGE = CHECKOUT / "docs" / "scale.md"


def main() -> int:
    """Return 0 when every promise was kept, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="make scale-test", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of them, by commas: {','.join(PARTS)}")
    parser.add_argument(
        "--members", type=int, default=1_000_000, help="of the large run; fewer leave the page as it is"
    )
    parser.add_argument("--faults", default=None, help="some faults, by words of their names")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")

    rows: list[Row] = []
    for name in chosen:
        started = time.monotonic()
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += _measured(name, options)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        print(markdown(rows), file=sys.stderr, flush=True)
    table = markdown(rows)
    print(table)
    if set(chosen) == set(PARTS) and options.members >= 1_000_000 and not options.faults:
        rewrite(PAGE, table, note="Everything ran on this one machine.")
    return 1 if any(row.met is False for row in rows) else 0


def _measured(name: str, options: argparse.Namespace) -> list[Row]:
    """Measure one part; what breaks it off is a row that is missed, behind those so far, and the other parts go on."""
    more: dict[str, object] = {"only": options.faults} if name == "faults" else {}
    if name == "members":
        more = {"members": options.members}
    if name == "upgrades":
        more = {"quick": options.members < 1_000_000}
    # The ledger's upgrades are one of the benchmarks: they need no deployment.
    measure: Callable[..., Iterable[Row]] = import_module(
        "tests.benchmarks.bench_upgrades" if name == "upgrades" else f"tests.scale.{name}"
    ).measure
    rows: list[Row] = []
    try:
        for row in measure(**more):
            rows.append(row)
    except Exception as error:  # noqa: BLE001 (whatever it was, it is shown)
        traceback.print_exc()
        rows.append(broken_off(name, error))
    return rows


if __name__ == "__main__":
    sys.exit(main())
