"""How long each page takes at 1,000 runs and 1,000,000 contact states: the whole answer, through the app as mounted.

What a page asks Antavo and Ometria on a button is measured apart: it waits for the systems, and for the rate limits.
"""

from __future__ import annotations

from tests.benchmarks.bench_history import CONTACTS, fill
from tests.benchmarks.figures import Row
from tests.benchmarks.world import CHECKOUT, world

#: The last run rejected 20,000 members.
RUNS = 1_000
#: Seconds that a page may take.
TARGET = 0.3
#: What Antavo and Ometria let through, as the connections have it.
LIMITS = {"antavo_requests_per_minute": 1500, "ometria_push_per_second": 8, "ometria_data_per_second": 4}


def measure(*, quick: bool = False) -> list[Row]:
    """Return the seconds of each page, and of each question to the systems."""
    contacts, runs = (CONTACTS // 10, RUNS // 10) if quick else (CONTACTS, RUNS)
    with world(members=2_000, **LIMITS) as here:
        fill(here.folder / "ledger.db", contacts, runs)
        workflows = {"AIRFLOW__OMETRIA__WORKFLOWS_FOLDER": str(CHECKOUT / "include" / "workflows")}
        seen = here.task("page_times", str(runs), environment=workflows)
    of = f"at {runs:,} runs and {contacts:,} contact states"
    return [
        *(_row(f"Page “{name}” {of}", seconds) for name, seconds in seen["pages"].items()),
        *(
            Row(
                f"Button “{name}”, of Ometria's 4 reads a second and Antavo's 25", f"{seconds:.1f} s, requests: {count}"
            )
            for name, (seconds, count) in seen["live"].items()
        ),
    ]


def _row(figure: str, seconds: float) -> Row:
    return Row(figure, f"{seconds * 1000:,.0f} ms", "", f"under {TARGET * 1000:,.0f} ms", seconds < TARGET)
