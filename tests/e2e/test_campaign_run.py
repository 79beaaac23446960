"""`make run WORKFLOW=reward_claimed` from nothing: members claim, the run delivers, the sandbox makes e-mails."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from launcher import processes
from launcher.campaign import BEFORE, DURING

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CHECKOUT = Path(__file__).parents[2]
LIMIT = 300.0  # seconds


class World:
    """A home of its own, and the sandbox's and the ledger's databases in it, read when nothing works on them."""

    def __init__(self, folder: Path) -> None:
        self.home = folder.resolve() / "home"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self.environment = {**inherited, "AIRFLOW_HOME": str(self.home)}

    def run(self, workflow: str, **more: str) -> tuple[int, str]:
        """Do what `make run WORKFLOW=…` does; return its exit code and what it said."""
        done = subprocess.run(
            [sys.executable, str(CHECKOUT / "scripts" / "local.py"), "run"],
            env={**self.environment, "WORKFLOW": workflow, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return done.returncode, done.stdout

    def ledger(self, query: str) -> list[Any]:
        return _ask(self.home / "sandbox_ledger.db", query)

    def sandbox(self, query: str) -> list[Any]:
        return _ask(self.home / "sandbox.db", query)


def _ask(database: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("campaign"))
    yield made
    processes.end(made.home, patience=0)


def test_run_of_a_workflow_mails_those_who_claimed_once_and_says_so(world):
    code, said = world.run("reward_claimed")
    assert code == 0, said
    states = dict(world.ledger("select state, count(*) from event_delivery group by 1"))
    acknowledged = states["acknowledged"]
    assert acknowledged > BEFORE // 2, said
    # Who claims is drawn: a few of the sandbox's members have values that no mapping lets through.
    assert states.keys() <= {"acknowledged", "skipped", "rejected"}
    refused = world.ledger("select reason from event_delivery where state = 'rejected'")
    assert all(reason.startswith("its contact was not delivered: ") for (reason,) in refused), refused
    assert world.ledger("select count(*) from event_delivery where state <> 'acknowledged' and reason is null") == [
        (0,)
    ]
    received = world.sandbox("select count(body), sum(received), max(received) from custom_event")
    assert received == [(acknowledged, acknowledged, 1)]
    outcomes = dict(world.sandbox("select outcome, count(*) from email group by 1"))
    assert "unknown_contact" not in outcomes, "the contact goes first"
    assert outcomes["sent"] > acknowledged // 2
    assert f"The newest of {outcomes['sent']:,} e-mails" in said
    assert re.search(r"  \| Subject: .+ is yours", said)
    assert f"acknowledged  {acknowledged}" in said
    assert re.search(r"median \d+\.\d s, p95 \d+\.\d s", said)
    assert re.search(r"Ometria +\d+ +8 a second +\d+%", said)
    assert "What to look at next" in said
    assert processes.find(world.home) == []


def test_next_run_delivers_what_is_new_and_nothing_again(world):
    before = dict(world.sandbox("select id, received from custom_event"))
    code, said = world.run("reward_claimed")
    assert code == 0, said
    after = dict(world.sandbox("select id, received from custom_event"))
    assert after.items() >= before.items(), "what was acknowledged stays at one"
    assert set(after.values()) == {1}
    assert len(after) > len(before)
    claims = world.sandbox("select count(*) from loyalty_event where action = 'reward'")[0][0]
    assert claims <= 2 * (BEFORE + DURING)
    told = world.ledger("select count(*) from event_delivery")[0][0]
    assert told <= claims


def test_run_that_cannot_push_contacts_is_red_and_the_next_one_delivers_what_waited(world, tmp_path):
    before = world.sandbox("select count(*) from custom_event")[0][0]
    code, said = world.run("reward_claimed", AIRFLOW__OMETRIA__MAPPINGS_FOLDER=str(tmp_path))
    assert code == 1, said
    assert "customers.yaml" in said
    assert "could not be sent yet, with the reason" in said
    waiting = world.ledger("select count(*) from event_delivery where state = 'waiting'")[0][0]
    assert waiting > BEFORE // 2
    assert world.sandbox("select count(*) from custom_event") == [(before,)]
    code, said = world.run("reward_claimed")
    assert code == 0, said
    assert world.ledger("select state from event_delivery where state in ('waiting', 'sending')") == []
    assert world.sandbox("select max(received) from custom_event") == [(1,)]
    assert world.sandbox("select count(*) from custom_event")[0][0] > before + waiting // 2


def test_wrong_name_is_refused_with_the_names(world):
    code, said = world.run("reward_claim")
    assert code == 2
    assert "Did you mean reward_claimed? There are: " in said
