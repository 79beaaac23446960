"""A process that asks for each page as Airflow's API server would; bench_pages starts it.

`python -m tests.benchmarks.page_times RUNS`: the last of so many runs is the one that is shown.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from tests.benchmarks.figures import median
from tests.benchmarks.world import CHECKOUT

#: The mapping whose editor is shown, with v2's many fields.
MAPPING = "customers_v2"


def main() -> None:
    """Print the seconds of each page, and the seconds and requests of each question to the systems."""
    sys.path.insert(0, str(CHECKOUT / "tests" / "support"))
    from airflow.utils.db import initdb
    from pages import FORM, pages

    initdb()  # looks at members are written into Airflow's log
    client = pages("USER")
    run = f"/ometria/runs/{int(sys.argv[1])}"
    addresses = {
        "overview": "/ometria/",
        "runs": "/ometria/runs",
        "runs, of one state": "/ometria/runs?state=failed",
        "a run": run,
        "its rejections": f"{run}/rejections",
        "what it changes": f"{run}/changes",
        "a customer": "/ometria/customers/m0000000",  # whom every run rejected
        "a campaign": "/ometria/campaigns/busy",
        "a campaign with few events": "/ometria/campaigns/rare",
        "mappings": "/ometria/mappings",
        "a mapping's editor": f"/ometria/mappings/{MAPPING}",
    }
    editor = f"/ometria/mappings/{MAPPING}"
    draft = {"digest": _digest()}

    def get(path: str) -> Any:
        return _good(client.get(path))

    def post(path: str, **content: Any) -> Any:
        return _good(client.post(path, headers=FORM, **content))

    live = {
        "Offer Ometria's lists": _live(lambda: post(f"{editor}/lists")),
        "Look which fields members fill": _live(lambda: post(f"{editor}/fields")),
        "Preview on live members": _live(lambda: post(f"{editor}/preview", json=draft)),
    }
    member = post(f"{editor}/preview", json=draft).json()["members"][0]["customer"]
    live["Explain now"] = _live(lambda: post(f"/ometria/customers/{member}"))
    shown = {name: _middle(lambda address=address: get(address)) for name, address in addresses.items()}
    print(json.dumps({"pages": shown, "live": live}))


def _digest() -> str:
    from ometria_provider.mapping.saving import digest_of

    return digest_of((Path(os.environ["AIRFLOW__OMETRIA__MAPPINGS_FOLDER"]) / f"{MAPPING}.yaml").read_bytes())


def _good(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer


def _middle(ask: Callable[[], Any]) -> float:
    ask()  # what is compiled once in a process is
    return median(_seconds(ask) for _ in range(5))


def _live(ask: Callable[[], Any]) -> tuple[float, int]:
    before = _requests()
    return _seconds(ask), _requests() - before


def _seconds(ask: Callable[[], Any]) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


def _requests() -> int:
    """Return how many requests the sandbox has had."""
    ometria = json.loads(os.environ["AIRFLOW_CONN_OMETRIA_DEFAULT"])["host"]
    with urllib.request.urlopen(urljoin(ometria, "/_sandbox/stats"), timeout=60) as answer:
        return sum(count for statuses in json.load(answer)["requests"].values() for count in statuses.values())


if __name__ == "__main__":
    main()
