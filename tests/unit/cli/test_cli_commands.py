"""Every command of the app: JSON and nothing else on standard output, and the exit codes that its help names.

The commands are walked from the app itself, so a new one is red here until it has cases.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ledgers import PastRun, green_run, unchanged_run, write_contact
from ometria_provider.hooks.base import JsonApiHook
from ometria_provider.ledger.engine import Ledger
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from reference.cli import commands

COMMANDS = {words.removeprefix("ometria-sync "): command for words, (command, _) in commands().items()}


@dataclass(frozen=True)
class Case:
    """One call of a command.

    :param code: how it ends.
    :param when: the situation that it meets (a name in `SITUATIONS`).
    """

    code: int
    arguments: str = ""
    when: str = "all is well"


def case(code: int, arguments: str = "", when: str = "all is well") -> Case:
    return Case(code, arguments, when)


#: Asks the ledger alone.
NO_LEDGER = case(1, when="there is no ledger")

CASES: dict[str, tuple[Case, ...]] = {
    "alerts": (case(0), case(1, when="the last run is red"), NO_LEDGER, case(1, "--test"), case(2, "--limit 0")),
    "doctor": (case(0), case(1, when="the systems are dead"), case(2, "--nope")),
    "events": (case(0), NO_LEDGER, case(2, "--workflow claimd"), case(2, "--state gone")),
    "events retry": (case(0), NO_LEDGER, case(2, "--workflow claimd")),
    "forget": (
        case(0, "nobody --yes"),
        case(1, "nobody --yes", "a run is at work"),
        case(1, "nobody --yes", "the systems are dead"),
        case(2),
    ),
    "history": (case(0), NO_LEDGER, case(2, "--state nope")),
    "ledger prune": (case(0), NO_LEDGER, case(2, "--keep-days 0")),
    "ledger rebuild": (
        case(0, "customers --dry-run"),
        case(0, "customers"),
        case(1, "customers", "a run is at work"),
        case(1, "customers", "the systems are dead"),
        case(2, "custmers"),
    ),
    "ledger restored": (
        case(0, "--yes"),
        case(0, "--yes --until 2026-03-01T12:00", "a run is at work"),
        case(1, "--yes", "the files are broken"),
        case(2, "--yes --until yesterday"),
    ),
    "ledger upgrade": (case(0), case(1, when="the ledger's database is dead"), case(2, "--nope")),
    "lists": (case(0), case(1, when="the systems are dead"), case(1, "--connection nowhere"), case(2, "--nope")),
    "mappings check": (case(0), case(1, when="the files are broken"), case(2, "no-such-folder")),
    "mappings fields": (
        case(0),
        case(0, "--live"),
        case(1, "--live", "the systems are dead"),
        case(2, "--mode v3"),
    ),
    "mappings preview": (
        case(0, "customers"),
        case(1, "customers", "the systems are dead"),
        case(1, "customers", "the files are broken"),
        case(2, "custmers"),
    ),
    "plan": (
        case(0, "customers"),
        case(0, "customers --dry-run"),
        case(1, "customers", "the systems are dead"),
        case(1, "customers", "the list is gone"),
        case(1, "customers", "the files are broken"),
        case(2, "custmers"),
    ),
    "rejections": (case(0, "1"), case(1, "1", "there is no ledger"), case(2, "99"), case(2, "nobody:latest")),
    "retry": (case(0, "2"), case(1, "2", "there is no ledger"), case(2, "99"), case(2)),
    "sandbox": (
        case(0, "--port 0 --members 1 --until-stdin-closes"),
        case(1, "--host 192.0.2.1 --members 1"),
        case(2, "--unknown-fields burn"),
    ),
    "show": (
        case(0, "1"),
        case(0, "customers:latest", "the last run is red"),
        case(1, "1", "there is no ledger"),
        case(2, "99"),
    ),
    "trace": (
        case(0, "m0"),
        case(0, "m0 --now"),
        case(1, "nobody"),
        case(1, "nobody --now"),
        case(1, "m0 --now", "the systems are dead"),
        case(1, "m0", "there is no ledger"),
        case(2, "m0 --now --mapping custmers"),
    ),
    "workflows check": (case(0), case(1, when="the files are broken"), case(2, "no-such-folder")),
    "workflows fields": (case(0), case(2, "--nope")),
    "workflows preview": (
        case(0, "claimed"),
        case(1, "claimed", "the systems are dead"),
        case(1, "claimed", "the files are broken"),
        case(2, "claimd"),
        case(2, "claimed --event none-of-them"),
    ),
}


@dataclass
class Place:
    """What a situation can change."""

    ledger: Ledger
    folder: Path
    patch: pytest.MonkeyPatch

    def connect(self, antavo: str, ometria: str) -> None:
        self.patch.setenv("AIRFLOW_CONN_ANTAVO_DEFAULT", antavo)
        self.patch.setenv("AIRFLOW_CONN_OMETRIA_DEFAULT", ometria)

    def use_ledger(self, url: str) -> None:
        self.patch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", url)

    def kill_systems(self) -> None:
        dead = {"host": "http://127.0.0.1:1", "login": "k", "password": "s", "extra": {"signing": "none"}}
        self.connect(*(json.dumps({"conn_type": kind, **dead}) for kind in ("antavo", "ometria")))

    def break_files(self) -> None:
        for file in (self.folder / "customers.yaml", self.folder.parent / "workflows" / "claimed.yaml"):
            file.write_text("fields: 1\n")

    def lose_list(self) -> None:
        file = self.folder / "customers.yaml"
        file.write_text(file.read_text().replace("4821", "999"))


SITUATIONS: dict[str, Callable[[Place], Any]] = {
    "all is well": lambda place: None,
    "there is no ledger": lambda place: place.use_ledger(f"sqlite:///{place.folder / 'none.db'}"),
    "the ledger's database is dead": lambda place: place.use_ledger("postgresql+psycopg://x:secret@127.0.0.1:1/x"),
    "the last run is red": lambda place: PastRun(run_id="3", state="failed", reason="It broke.").write(place.ledger),
    "a run is at work": lambda place: PastRun(run_id="3", state=None).write(place.ledger),
    "the systems are dead": Place.kill_systems,
    "the files are broken": Place.break_files,
    "the list is gone": Place.lose_list,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    unlimited = {"antavo_requests_per_minute": 0, "ometria_push_per_second": 0, "ometria_data_per_second": 0}
    with running(SandboxSettings(port=0, members=20, lists=(4821,), **unlimited)) as sandbox:
        yield sandbox


@pytest.fixture
def place(ledger: Ledger, folder: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Two runs, a member who was rejected, files, and systems that answer."""
    found = Place(ledger, folder, monkeypatch)
    found.connect(
        sandbox.antavo_connection(requests_per_minute=60_000),
        sandbox.ometria_connection(push_requests_per_second=500, data_requests_per_second=500),
    )
    monkeypatch.setitem(JsonApiHook.__init__.__kwdefaults__, "first_wait", 0.001)
    write_contact(ledger, green_run().write(ledger), "m0", state="rejected", reason="phone_number: is none")
    unchanged_run().write(ledger)
    return found


def test_every_command_has_cases_for_each_exit_code_that_its_help_names() -> None:
    assert CASES.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        named = re.fullmatch(r"Exit codes: 0 [^;]+; 1 (.+); 2 used wrongly\.", command.epilog or "")
        assert named, f"{name}: say when it ends with 1 (`exits` in cli/output.py)"
        codes = {0, 2} if named[1] == "never" else {0, 1, 2}
        assert {one.code for one in CASES[name]} == codes, name


@pytest.mark.parametrize(
    ("name", "one"),
    [
        pytest.param(name, one, id=" ".join(filter(None, (name, one.arguments, f"when {one.when}"))))
        for name, cases in CASES.items()
        for one in cases
    ],
)
def test_command_ends_as_its_help_says_and_prints_json_alone(command: Any, place: Place, name: str, one: Case) -> None:
    SITUATIONS[one.when](place)
    words = [*name.split(), *one.arguments.split(), "-o", "json"]
    if "--until-stdin-closes" in words:  # a server, which this process could not end
        code, stdout, stderr = _in_a_process(words)
    else:
        result = command(*words)
        assert isinstance(result.exception, SystemExit | None), repr(result.exception)
        code, stdout, stderr = result.exit_code, result.stdout, result.stderr
    assert code == one.code, stdout + stderr
    if stdout:
        json.loads(stdout)
    if code != 0 and not stdout:
        assert stderr.strip(), "it says nothing of why"
    assert bool(stdout) or code != 0
    assert not stdout or code != 2
    assert "Traceback" not in stderr
    assert "secret" not in stderr


def _in_a_process(words: list[str]) -> tuple[int, str, str]:
    script = "from ometria_provider.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, input="", check=False)
    return done.returncode, done.stdout, done.stderr
