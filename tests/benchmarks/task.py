"""One task in a process of its own, as Airflow starts it: `python -m tests.benchmarks.task STEP RUN_ID WINDOW`.

Prints JSON: what it returned, its peak memory, its CPU, and which heavy packages it imported.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

HEAVY = ("pandas", "great_expectations", "phonenumbers", "pyarrow", "requests")


def peak_memory() -> int:
    """Return this process's peak memory in bytes.

    VmHWM is `ru_maxrss` without its flaw: that one begins with what the process had that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def main(step: str, run_id: str, window: str) -> None:
    """Import what a task process has before it begins, then do one step."""
    import airflow.sdk.execution_time.task_runner  # noqa: F401 (what a real task's process has loaded)

    from tests.benchmarks.steps import execute, operator

    task = operator(step, json.loads(window))
    before = resource.getrusage(resource.RUSAGE_SELF)
    returned = execute(task, run_id)
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "returned": returned,
                "peak": peak_memory(),
                "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                "imported": [name for name in HEAVY if name in sys.modules],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:4])
