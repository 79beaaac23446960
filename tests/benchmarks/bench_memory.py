"""Peak memory of every task's process, at 100,000 members and at a million."""

from __future__ import annotations

import json
from typing import Any

from tests.benchmarks.figures import Row
from tests.benchmarks.world import World, world

FEW, MANY, MOST_MB, GROWTH = 100_000, 1_000_000, 600, 1.1


def measure(*, quick: bool = False) -> list[Row]:
    """Return the peak of the largest task, for many members beside few, and each step's."""
    many = 200_000 if quick else MANY
    few_peaks, many_peaks = _peaks(FEW), _peaks(many)
    few, most = max(few_peaks.values()), max(many_peaks.values())
    each = ", ".join(f"{step} {peak:.0f}" for step, peak in many_peaks.items())
    return [
        Row(
            f"Peak memory of any task, {many:,} customers",
            f"{most:.0f} MB = {most / few:.2f} ×",
            f"{few:.0f} MB: {FEW:,} customers",
            f"{GROWTH} ×, under {MOST_MB} MB",
            most <= GROWTH * few and most < MOST_MB,
        ),
        Row("… by step, MB", each),
    ]


def _peaks(members: int) -> dict[str, float]:
    """Return each step's peak in MB, the largest of its slices."""
    peaks: dict[str, float] = {}
    with world(members=members) as here:
        for step, done in run_tasks(here, "run"):
            peaks[step] = max(peaks.get(step, 0.0), done["peak"] / 1e6)
        sent = here.sandbox.control("stats")["pushed"]["records"]
    assert sent > members * 0.8, f"only {sent} records were sent"
    return peaks


def run_tasks(here: World, run_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Run a whole sync, each task in a process of its own; return what each says of itself."""
    done: list[tuple[str, dict[str, Any]]] = []

    def task(step: str, window: Any = None) -> Any:
        result = here.task("task", step, run_id, json.dumps(window))
        done.append((step, result))
        return result["returned"]

    windows = task("plan")
    for window in windows:
        for step in ("extract", "map", "validate"):
            task(step, window)
    task("gate")
    for window in windows:
        task("push", window)
    task("reconcile")
    task("report")
    return done


if __name__ == "__main__":
    for row in measure(quick=True):
        print(row)
