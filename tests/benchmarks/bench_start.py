"""What starting costs: the DAG folder's parsing, and the command line's help."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Row, median
from tests.benchmarks.world import CHECKOUT

MAPPINGS, PARSING, HELP = 50, 2.0, 0.5
_PARSE = """
import json, sys, time
start, cpu = time.monotonic(), time.process_time()
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1])
seconds, cpu = time.monotonic() - start, time.process_time() - cpu
print(json.dumps({"seconds": seconds, "cpu": cpu, "dags": len(bag.dags), "errors": len(bag.import_errors)}))
"""


def measure(*, quick: bool = False) -> list[Row]:
    """Return the seconds that 50 mappings add to Airflow's own start, and those of `--help`."""
    repetitions = 3 if quick else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        full, empty = folder / "dags", folder / "empty"
        _make_mappings(folder / "mappings")
        shutil.copytree(CHECKOUT / "dags", full, ignore=shutil.ignore_patterns("__pycache__"))
        empty.mkdir()
        _parse(full, folder)  # bytecode and caches
        runs = [(_parse(empty, folder), _parse(full, folder)) for _ in range(repetitions)]
    assert all(one["dags"] == MAPPINGS and not one["errors"] for _, one in runs), runs
    beyond = median(one["seconds"] - nothing["seconds"] for nothing, one in runs)
    own = median(nothing["seconds"] for nothing, _ in runs)
    cpu = median(one["cpu"] - nothing["cpu"] for nothing, one in runs)
    help_ = median(_help() for _ in range(repetitions))
    python = median(_wall([sys.executable, "-c", "pass"]) for _ in range(repetitions))
    return [
        Row(
            f"Parsing the DAG folder with {MAPPINGS} mappings",
            f"{beyond:.2f} s more ({cpu:.2f} s of CPU)",
            f"{own:.2f} s: an empty folder",
            f"under {PARSING:g} s more",
            beyond < PARSING,
        ),
        Row(
            "`ometria-sync --help`",
            f"{help_:.2f} s",
            f"{python:.2f} s: python -c pass",
            f"under {HELP} s",
            help_ < HELP,
        ),
    ]


def _make_mappings(folder: Path) -> None:
    folder.mkdir()
    text = (CHECKOUT / "include" / "mappings" / "customers.yaml").read_text(encoding="utf-8")
    for number in range(MAPPINGS):
        (folder / f"brand_{number:02}.yaml").write_text(f"{text}\ncollection: brand_{number:02}\n", encoding="utf-8")


def _parse(dags: Path, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(dags)],
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    parsed: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return parsed


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": str(Path(sys.executable).parent),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": str(folder / "mappings"),
    }


def _help() -> float:
    return _wall([str(Path(sys.executable).with_name("ometria-sync")), "--help"])


def _wall(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


if __name__ == "__main__":
    for row in measure():
        print(row)
