"""CPU of a whole sync behind the extraction, against a bare script that posts the same ready-made records.

`python -m tests.benchmarks.bench_cpu profile` prints where the time goes.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Row, median
from tests.benchmarks.world import World, world

AIM, LIMIT = 1.5, 2.5
REPETITIONS = 3
WARM_UP = 500  # members of a whole run beforehand, so that no import is counted


def measure(*, quick: bool = False) -> list[Row]:
    """Return the ratio, and what each step takes."""
    members = 20_000 if quick else 100_000
    ours, bare, threaded, libraries = [], [], [], []
    with world(members=WARM_UP) as small, world(members=members) as here:
        for number in range(REPETITIONS):
            environment = _environment(here, number)
            ours.append(here.task("bench_cpu", "ours", json.dumps(small.environment), environment=environment))
            staged = environment["AIRFLOW__OMETRIA__STAGING_PATH"]
            bare.append(here.task("bench_cpu", "bare", staged, here.sandbox.ometria, "1"))
            threaded.append(here.task("bench_cpu", "bare", staged, here.sandbox.ometria, "8"))
            ledger = environment["AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")
            libraries.append(here.task("floor", staged.removeprefix("file://"), ledger, here.sandbox.ometria))
            here.sandbox.control("reset", {"what": ["contacts", "stats"]})
    total = median(sum(steps.values()) for steps in ours)
    script, with_threads = median(one["cpu"] for one in bare), median(one["cpu"] for one in threaded)
    ratio = median(sum(steps.values()) / one["cpu"] for steps, one in zip(ours, bare, strict=True))
    steps, parts = (
        {name: median(each[name] for each in measured) for name in measured[0]} for measured in (ours, libraries)
    )
    alone = sum(parts.values())
    what = f"{members:,} customers, CPU behind extract"
    return [
        Row(
            what,
            f"{total:.2f} s = {ratio:.2f} ×",
            f"{script:.2f} s: bare script",
            f"{AIM} × (not done above {LIMIT} ×)",
            ratio <= AIM,
        ),
        Row("… the script with 8 threads", f"{total / with_threads:.2f} ×", f"{with_threads:.2f} s"),
        *(Row(f"… {step}", f"{seconds:.2f} s") for step, seconds in steps.items() if seconds >= 0.05),
        Row(
            "… the libraries alone, called barely",
            f"{alone:.2f} s = {alone / script:.2f} ×",
            ", ".join(f"{part} {seconds:.2f}" for part, seconds in parts.items()),
        ),
    ]


def _environment(here: World, number: int) -> dict[str, str]:
    """A ledger and a staging folder for each repetition: every one begins with nothing."""
    return {
        "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN": f"sqlite:///{here.folder}/ledger-{number}.db",
        "AIRFLOW__OMETRIA__STAGING_PATH": f"file://{here.folder}/staging-{number}",
    }


def cpu() -> float:
    """Return this process's user and system time so far, its children's too, in seconds."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _ours(small: dict[str, str], around: Callable[[Callable[[], Any]], Any] = lambda work: work()) -> dict[str, float]:
    """Run a small sync first and the real one then; return each step's CPU.

    :param around: what to call the real one's steps with (a profiler).
    """
    import airflow.sdk.execution_time.task_runner  # noqa: F401 (what a real task's process has loaded)

    real = dict(os.environ)
    os.environ.update(small)
    _run(lambda work: work())
    os.environ.update(real)
    return _run(around)


def _run(around: Callable[[Callable[[], Any]], Any]) -> dict[str, float]:
    from tests.benchmarks.steps import execute, operator

    taken: defaultdict[str, float] = defaultdict(float)

    def step(name: str, window: dict[str, Any] | None = None) -> Any:
        task = operator(name, window)
        if name in ("plan", "extract"):
            return execute(task, "run")
        before = cpu()
        returned = around(lambda: execute(task, "run"))
        taken[name] += cpu() - before
        return returned

    windows = step("plan")
    for window in windows:
        for name in ("extract", "map", "validate"):
            step(name, window)
    step("gate")
    for window in windows:
        step("push", window)
    step("reconcile")
    step("report")
    return dict(taken)


def _bare(staging: str, root: str, threads: int) -> dict[str, float]:
    """Post what the run has sent, as a script would that finds the records made."""
    from concurrent.futures import ThreadPoolExecutor

    import msgspec
    import pyarrow.parquet as pq
    import requests

    records: list[Any] = []
    for path in sorted(Path(staging.removeprefix("file://")).rglob("map-*.parquet")):
        table = pq.ParquetFile(path).read()
        records += [
            msgspec.json.decode(body)
            for body, action in zip(table["body"].to_pylist(), table["action"].to_pylist(), strict=True)
            if action == "send"
        ]
    headers = {"X-Ometria-Auth": "sandbox-ometria-key", "Content-Type": "application/json"}

    def post(batch: list[Any]) -> None:
        session.post(f"{root}/v2/push", data=json.dumps(batch), headers=headers, timeout=60).raise_for_status()

    batches = [records[start : start + 100] for start in range(0, len(records), 100)]
    with requests.Session() as session:
        post(batches[0])
        before = cpu()
        if threads == 1:
            for batch in batches:
                post(batch)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(post, batches))
        return {"cpu": cpu() - before, "records": len(records)}


def _profiled(small: dict[str, str]) -> None:
    """Print the functions that take the most time, those of the push's threads too."""
    import cProfile
    import pstats
    import threading

    profiles: list[cProfile.Profile] = []

    def begin(*_event: Any) -> None:
        profile = cProfile.Profile(time.thread_time)  # CPU, not waiting for another thread
        profiles.append(profile)
        profile.enable()

    def around(work: Callable[[], Any]) -> Any:
        threading.setprofile(begin)
        profile = cProfile.Profile(time.thread_time)  # CPU, not waiting for another thread
        profiles.append(profile)
        try:
            return profile.runcall(work)
        finally:
            threading.setprofile(None)

    print(_ours(small, around))
    stats = pstats.Stats(*profiles)
    stats.sort_stats("tottime").print_stats(45)
    stats.sort_stats("cumtime").print_stats(90)


def _main(what: str, *arguments: str) -> None:
    if what == "ours":
        print(json.dumps(_ours(json.loads(arguments[0]))))
    elif what == "bare":
        print(json.dumps(_bare(arguments[0], arguments[1], int(arguments[2]))))
    elif what == "profiled":
        _profiled(json.loads(arguments[0]))
    else:
        members = int(arguments[0]) if arguments else 100_000
        with world(members=WARM_UP) as small, world(members=members) as here:
            command = [sys.executable, "-m", "tests.benchmarks.bench_cpu", "profiled", json.dumps(small.environment)]
            subprocess.run(command, env=here.environment, check=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
