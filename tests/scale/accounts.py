"""Fifty mappings over 5 Antavo and 10 Ometria accounts at once, and what one that only fails does to the others.

Airflow's own parts are left out: each mapping's whole run is a process of its own, all fifty side by side, as workers
with enough room would have them; ledger (PostgreSQL) and staging (S3) are shared as in a deployment.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from deployment import Deployment
from env_file import write_env_file
from object_store import ObjectStore, object_store
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from sqlalchemy import text

from tests.benchmarks.figures import Row, median
from tests.benchmarks.world import let_first
from tests.scale.site import say

ANTAVO, OMETRIA, MAPPINGS, MEMBERS, PUSH = 5, 10, 50, 600, 2
SLOWER = 1.15
#: The Ometria account that fails.
DEAD = OMETRIA - 1
#: What became of each mapping's run.
Round = dict[str, dict[str, Any]]
FIELDS = [
    {"loyalty": "email", "remote": "email", "transform": ["strip", "lower"]},
    {"loyalty": "first_name", "remote": "firstname"},
    {"loyalty": "score", "remote": "points"},
]


@dataclass
class World:
    """Accounts, ledger and staging.

    :param sandboxes: one for each Ometria account; the first of them are the Antavo accounts too.
    """

    sandboxes: Sequence[RunningSandbox]
    store: ObjectStore
    mappings: Path
    ledger: str

    def names(self, prefix: str) -> list[str]:
        """Write the mapping files of a round and return their names."""
        names = [f"{prefix}_{number:02}" for number in range(MAPPINGS)]
        for number, name in enumerate(names):
            content = {
                "mode": "v2",
                "list": 4821,
                "connections": {"antavo": f"antavo_{number % ANTAVO}", "ometria": f"ometria_{number % OMETRIA}"},
                "limits": {"max_rejected_share": None},
                "fields": FIELDS,
            }
            (self.mappings / f"{name}.yaml").write_text(json.dumps(content))
        return names

    def environment(self) -> dict[str, str]:
        """What each run's process has to know."""
        return {
            **{
                f"AIRFLOW_CONN_ANTAVO_{number}": each.antavo_connection(requests_per_minute=6_000)
                for number, each in enumerate(self.sandboxes[:ANTAVO])
            },
            **{
                f"AIRFLOW_CONN_OMETRIA_{number}": each.ometria_connection(settle_seconds=0)
                for number, each in enumerate(self.sandboxes)
            },
            "AIRFLOW_CONN_AWS_DEFAULT": self.store.connection,
            "AIRFLOW__OMETRIA__STAGING_PATH": self.store.staging_path,
            "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN": self.ledger,
            "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": str(self.mappings),
            "AIRFLOW__OMETRIA__EXPECTATIONS_FOLDER": str(self.mappings / "none"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }


def measure() -> Iterator[Row]:
    """Yield what fifty mappings came to, their budgets, and what a dead account did to the others."""
    with _world() as here:
        os.environ.update(here.environment())
        say(f"  {MAPPINGS} mappings at once")
        well = _round(here, "well")
        yield from _when_all_are_well(here, well)
        for each in here.sandboxes:
            each.control("reset", {"what": ["stats", "contacts"]})
        say("  … and one account answers 500 only")
        here.sandboxes[DEAD].control("faults", {"kind": "500", "api": "ometria"})
        yield from _when_one_is_dead(here, well, _round(here, "ill"))


def _when_all_are_well(here: World, well: Round) -> list[Row]:
    received = _received(here)
    limits = [each.control("stats")["limits"]["ometria push"] for each in here.sandboxes]
    green = [one for one in well.values() if one["green"]]
    accepted = sum(one["accepted"] for one in green)
    shares = [(each["admitted"] - 1) / each["seconds_from_first_to_last"] / PUSH for each in limits]
    refused = sum(each["refused"] for each in limits)
    return [
        Row(
            f"{MAPPINGS} mappings, {ANTAVO} Antavo and {OMETRIA} Ometria accounts at once",
            f"{len(green)} green in {max(one['seconds'] for one in well.values()):.0f} s; {received:,} contacts",
            f"{accepted:,} accepted",
            "all green, each contact there",
            len(green) == MAPPINGS and received == accepted,
        ),
        Row(
            f"… budgets apart, {PUSH} requests/s each",
            f"{min(shares):.1%} to {max(shares):.1%} of each account's limit, {refused} × 429",
            f"limit {PUSH}/s, any second",
            "no 429",
            refused == 0,
        ),
    ]


def _when_one_is_dead(here: World, well: Round, ill: Round) -> list[Row]:
    others = [name for name in ill if int(name[-2:]) % OMETRIA != DEAD]
    own = [name for name in ill if name not in others]
    before = median(well[name.replace("ill", "well")]["seconds"] for name in others)
    after = median(ill[name]["seconds"] for name in others)
    lost = sum(ill[name]["accepted"] for name in others) - _received(here)
    return [
        Row(
            f"… one account answers 500 only: median time of the other {len(others)}, a process each",
            f"{after:.1f} s = {after / before:.2f} ×; {sum(ill[name]['green'] for name in others)} green, {lost} lost",
            f"{before:.1f} s without it",
            f"{SLOWER} ×, all green",
            after <= SLOWER * before and all(ill[name]["green"] for name in others) and lost == 0,
        ),
        Row(
            f"… and its own {len(own)}",
            f"{sum(not ill[name]['green'] for name in own)} red, to be tried again, after "
            f"{median(ill[name]['seconds'] for name in own):.0f} s",
            "",
            "none green",
            not any(ill[name]["green"] for name in own),
        ),
    ]


def _received(here: World) -> int:
    collections = (each.control("stats")["contacts"].values() for each in here.sandboxes)
    return sum(counts["contacts"] for found in collections for counts in found)


def _round(here: World, prefix: str) -> Round:
    """Run all mappings at once, each in a process of its own that is forked from this one with all imported."""
    import airflow.sdk.execution_time.task_runner  # noqa: F401 (what a task's process has loaded)
    import great_expectations  # noqa: F401 (so that fifty processes share it)
    import pandas  # noqa: F401 (as above)
    from ometria_provider.operators import slice_push  # noqa: F401 (as above)

    names, forked = here.names(prefix), multiprocessing.get_context("fork")
    answers = forked.SimpleQueue()
    children = [forked.Process(target=_sync, args=(name, answers)) for name in names]
    for child in children:
        child.start()
    found = dict(answers.get() for _ in children)
    for child in children:
        child.join()
    for name, one in sorted(found.items()):
        if not one["green"]:
            say(f"    {name}: {one['why'][:200]}")
    return found


def _sync(mapping: str, answers: Any) -> None:
    """Do one run, step by step; a step that failed ends it, as far as this round is concerned."""
    from ometria_provider.exceptions import SyncError
    from ometria_provider.ledger.engine import open_ledger

    from tests.benchmarks.steps import SLICE_STEPS, execute, operator

    began, green, why = monotonic(), True, ""
    try:
        windows = execute(operator("plan", None, mapping), mapping)
        for window in windows:
            for step in SLICE_STEPS:
                execute(operator(step, window, mapping), mapping)
        execute(operator("gate", None, mapping), mapping)
        for window in windows:
            execute(operator("push", window, mapping), mapping)
        for step in ("reconcile", "report"):
            execute(operator(step, None, mapping), mapping)
    except Exception as error:  # noqa: BLE001 (whatever it was, the round goes on)
        green, why = False, f"{type(error).__name__}: {error}"
    accepted = 0
    with contextlib.suppress(SyncError), open_ledger(os.environ[_LEDGER]).read() as connection:
        query = text("SELECT accepted FROM sync_run WHERE mapping = :mapping")
        accepted = connection.execute(query, {"mapping": mapping}).scalar() or 0
    answers.put((mapping, {"seconds": monotonic() - began, "green": green, "accepted": accepted, "why": why}))


_LEDGER = "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN"


@contextlib.contextmanager
def _world() -> Iterator[World]:
    """Start the accounts, PostgreSQL and the bucket."""
    settings = SandboxSettings(
        port=0,
        members=MEMBERS,
        antavo_requests_per_minute=6_000,
        ometria_push_per_second=PUSH,
        ometria_data_per_second=20,
        validation_delay_ms=0,
    )
    folder = Path(tempfile.mkdtemp(prefix="accounts-")).resolve()
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        sandboxes = [stack.enter_context(running(settings)) for _ in range(OMETRIA)]
        for each in sandboxes:
            let_first(each)
        store = stack.enter_context(object_store())
        write_env_file(folder / ".env", [])
        (folder / "deployment").mkdir(mode=0o711)
        made = Deployment(folder / ".env", folder / "deployment")
        made.services = {"postgres": made.services["postgres"]}
        stack.callback(made.down)
        made.up()
        place = made.url("postgres", 5432).removeprefix("http://")
        ledger = f"postgresql+psycopg://ometria:{made.variables['LEDGER_DB_PASSWORD']}@{place}/ometria_ledger"
        forked = multiprocessing.get_context("fork").Process(target=_upgrade, args=(ledger,))
        forked.start()
        forked.join()
        (folder / "mappings").mkdir()
        (folder / "mappings" / "none").mkdir()
        yield World(sandboxes, store, folder / "mappings", ledger)


def _upgrade(ledger: str) -> None:
    """Make the ledger's tables; in a process of its own, so that those forked later share no connection."""
    from ometria_provider.ledger.engine import upgrade

    upgrade(ledger)
