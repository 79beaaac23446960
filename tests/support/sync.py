"""Run a mapping's DAG in this process against a sandbox, and see what became of it.

Most tests do the steps one after the other, a tenth of a second a run; ``run_dag`` lets Airflow schedule them. A step
is cleared by doing it again with the same run id, as a worker would.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from ometria_provider import factory
from ometria_provider.dagdefaults import CONTACT_SYNC
from ometria_provider.exceptions import SyncError
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.report import run_report
from ometria_provider.report_text import render
from ometria_provider.sandbox.process import RunningSandbox
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from work import OPERATORS, Outcome, Work, step_name, watched

#: A tidied e-mail, names, a 19-digit number, points and a tier's name, which is null for members at the top.
FIELDS: list[dict[str, Any]] = [
    {"loyalty": "email", "remote": "email", "transform": ["strip", "lower"]},
    {"loyalty": "first_name", "remote": "firstname"},
    {"loyalty": "last_name", "remote": "lastname"},
    {"loyalty": "score", "remote": "points"},
    {"loyalty": "properties.member_number", "remote": "member_number"},
    {"loyalty": "tiers.basic_structure.next.name", "remote": "next_tier"},
]


#: A member with whom nothing is wrong.
VALID = {
    "status": "active",
    "email": "ann@example.com",
    "first_name": "Ann",
    "last_name": "Lee",
    "birth_date": "1980-01-31",
    "mobile_phone": None,
    "country": "GB",
    "score": 10,
}


#: No limits: these tests are about what is sent, not about when.
UNLIMITED = {"antavo_requests_per_minute": 0, "ometria_push_per_second": 0, "ometria_data_per_second": 0}

#: Rates beyond what any test needs; the sandbox validates before it answers, or a test says otherwise.
FAST = {"push_requests_per_second": 500, "data_requests_per_second": 500, "settle_seconds": 0}


class Sync:
    """One test's corner: folders, ledger and staging of its own, beside a sandbox."""

    def __init__(self, sandbox: RunningSandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox, self.folder, self._monkeypatch = sandbox, folder, monkeypatch
        self.mappings, self.suites, self.staging = folder / "mappings", folder / "expectations", folder / "staging"
        self.workflows = folder / "workflows"
        for made in (self.mappings, self.workflows, self.suites):
            made.mkdir()
        self.ledger_file = folder / "ledger.db"
        self.set("ledger_sql_alchemy_conn", f"sqlite:///{self.ledger_file}")
        self.set("staging_path", f"file://{self.staging}")
        self.set("mappings_folder", self.mappings)
        self.set("workflows_folder", self.workflows)
        self.set("expectations_folder", self.suites)
        self.connect()

    def set(self, option: str, value: object) -> None:
        """Set an option of ``[ometria]``."""
        self._monkeypatch.setenv(f"AIRFLOW__OMETRIA__{option.upper()}", str(value))

    def connect(self, antavo: dict[str, Any] | None = None, ometria: dict[str, Any] | None = None) -> None:
        """Define the default connections, with these things in them that are not the sandbox's."""
        made = {
            "ANTAVO": (json.loads(self.sandbox.antavo_connection(requests_per_minute=60_000)), antavo or {}),
            "OMETRIA": (
                json.loads(self.sandbox.ometria_connection(**FAST)),
                ometria or {},
            ),
        }
        for name, (connection, other) in made.items():
            merged = connection | other | {"extra": connection["extra"] | other.get("extra", {})}
            self._monkeypatch.setenv(f"AIRFLOW_CONN_{name}_DEFAULT", json.dumps(merged))

    def mapping(self, name: str = "members", /, **keys: Any) -> Path:
        """Write a mapping file: v2, the names and points of ``FIELDS``, unless told otherwise."""
        return self.file(name, json.dumps({"mode": "v2", "list": 4821, "fields": FIELDS} | keys))

    def file(self, name: str, content: str) -> Path:
        path = self.mappings / f"{name}.yaml"
        path.write_text(content)
        return path

    def suite(self, *rules: dict[str, Any], name: str = "members") -> Path:
        """Write a suite of validation rules."""
        path = self.suites / f"{name}.json"
        path.write_text(json.dumps({"name": name, "expectations": list(rules)}))
        return path

    @property
    def ledger(self) -> Ledger:
        return open_ledger(f"sqlite:///{self.ledger_file}")

    def query(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with self.ledger.read() as connection:
            return [dict(row) for row in connection.execute(text(statement), values).mappings()]

    def execute(self, statement: str, **values: Any) -> None:
        with self.ledger.write() as connection:
            connection.execute(text(statement), values)

    # Running

    def run(self, name: str = "members", /, *, again: Outcome | None = None, **conf: Any) -> Outcome:
        """Do a run's steps one after the other, as its DAG wires them: the report comes whatever happened before.

        :param again: clear this whole run in place of a new one.
        """
        return self.run_steps(factory.contact_sync_dags()[f"contact_sync__{name}"], again=again, **conf)

    def run_steps(self, dag: DAG, *, again: Outcome | None = None, **conf: Any) -> Outcome:
        """Do the steps of a DAG that was made before."""
        run = Work(dag.dag_id, again.work.run_id if again else f"manual__{uuid.uuid4()}", conf)
        wired = {task_id.rpartition(".")[2] for task_id in dag.task_dict}
        run.steps([step for step in OPERATORS if step in wired])
        return self._outcome(run)

    def run_dag(self, name: str = "members", /, **conf: Any) -> Outcome:
        """Run a mapping's DAG through ``dag.test()``: Airflow schedules, and judges colour and params."""
        dag = factory.contact_sync_dags()[f"contact_sync__{name}"]
        now = datetime.now(UTC)
        run = Work(dag.dag_id, f"manual__{now.isoformat()}", conf)
        with watched(run):
            run.state = dag.test(run_after=now, logical_date=now, run_conf=conf).state.value
        return self._outcome(run)

    def planned(self, name: str = "members", /, **conf: Any) -> Outcome:
        """Do the plan of a new run."""
        run = Work(CONTACT_SYNC + name, f"manual__{uuid.uuid4()}", conf)
        run.steps(["plan"])
        return self._outcome(run)

    def show(self, outcome: Outcome) -> str:
        """Return a run's report."""
        return render(run_report(self.ledger, outcome.row["id"]))

    def run_until_push(self, name: str = "members", /) -> Outcome:
        """Do the steps of a new run up to the gate."""
        return self.start(["plan", "extract", "map", "validate", "gate"], name)

    def start(self, steps: list[str], name: str = "members", /) -> Outcome:
        """Do the first steps of a new run."""
        run = Work(CONTACT_SYNC + name, f"manual__{uuid.uuid4()}", {})
        run.steps(steps)
        return self._outcome(run)

    def start_push(self, outcome: Outcome) -> subprocess.Popen[bytes]:
        """Push in a process of its own, as a worker does."""
        run = outcome.work
        arguments = [run.dag_id, run.run_id, run.dag_id.removeprefix(CONTACT_SYNC), json.dumps(run.windows[0])]
        script = str(Path(__file__).with_name("push_once.py"))
        return subprocess.Popen([sys.executable, script, *arguments], stderr=subprocess.DEVNULL)

    def push_and_kill(self, outcome: Outcome, *, acknowledged: int) -> int:
        """Push in a process of its own, and kill -9 it when so many requests are acknowledged.

        :returns: how many requests the ledger knew as on their way when the process was dead.
        """
        count = "SELECT count(*) AS n FROM push_batch WHERE sync_run_id=:id AND state=:state"
        own = {"id": outcome.row["id"]}
        before = self.query(count, **own, state="acknowledged")[0]["n"]
        process = self.start_push(outcome)
        try:
            while self.query(count, **own, state="acknowledged")[0]["n"] < before + acknowledged:
                assert process.poll() is None, "the push ended before it could be killed: slow the sandbox down"
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
        sending: int = self.query(count, **own, state="sending")[0]["n"]
        return sending

    def clear(self, outcome: Outcome, *steps: str) -> Outcome:
        """Do some steps of a run again, one after the other until one fails, and then the report."""
        run = dataclasses.replace(outcome.work, errors={}, tasks=dict(outcome.tasks), state="")
        run.steps([*(step for step in steps if step != "report"), "report"])
        return self._outcome(run)

    def _outcome(self, run: Work) -> Outcome:
        row: dict[str, Any] = {}
        found: dict[str, list[dict[str, Any]]] = {"sync_step": [], "rejection": [], "push_batch": []}
        with contextlib.suppress(SyncError, DatabaseError, IndexError):
            own = {"dag": run.dag_id, "run": run.run_id}
            row = self.query("SELECT * FROM sync_run WHERE dag_id=:dag AND run_id=:run", **own)[0]
            for table in found:
                found[table] = self.query(f"SELECT * FROM {table} WHERE sync_run_id=:id ORDER BY rowid", id=row["id"])
        steps = {step_name(step["step"], step["slice"]): step for step in found["sync_step"]}
        return Outcome(run, row, steps, found["rejection"], found["push_batch"])

    # Airflow's own database

    def airflow_of_its_own(self) -> None:
        """Let commands of Airflow work with a database that no other process has open, and that knows the DAGs."""
        self.folder.mkdir(exist_ok=True)
        folder = self.folder / "dags"
        folder.mkdir(exist_ok=True)
        (folder / "sync_dags.py").write_text(
            "from airflow.sdk import DAG\n"
            "from ometria_provider.factory import contact_sync_dags\n"
            "globals().update(contact_sync_dags())\n"
        )
        self._airflow_file = self.folder / "airflow.db"
        self._monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{self._airflow_file}")
        self._monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(folder))
        for command in (("db", "migrate"), ("dags", "reserialize")):
            subprocess.run([sys.executable, "-m", "airflow", *command], check=True, capture_output=True)

    def queued(self, run_id: str) -> dict[str, Any]:
        """Return the conf of a DAG run that waits for Airflow's scheduler."""
        with contextlib.closing(sqlite3.connect(self._airflow_file)) as database:
            ((state, conf),) = database.execute("SELECT state, conf FROM dag_run WHERE run_id=?", (run_id,))
        assert state == "queued"
        found: dict[str, Any] = json.loads(conf)
        return found

    # The receiving side

    def stats(self) -> dict[str, Any]:
        """Return the sandbox's counts."""
        found: dict[str, Any] = self.sandbox.control("stats")
        return found

    def received(self, collection: str = "members") -> dict[str, int]:
        """Return what Ometria got for a collection: contacts stored, records received, repeats."""
        nothing = dict.fromkeys(("stored", "received", "repeats", "contacts", "most_for_one"), 0)
        return nothing | self.stats()["contacts"].get(collection, {})

    def contact(self, contact_id: str, collection: str = "members") -> dict[str, Any]:
        """Return a contact as Ometria holds it."""
        found: dict[str, Any] = self.sandbox.control(f"contacts/{collection}/{contact_id}")["contact"]
        return found

    def member(self, **fields: Any) -> str:
        """Let somebody join Antavo, valid in every way unless told otherwise; return the id."""
        ids: list[str] = self.sandbox.control("members", {"add": [VALID | fields]})["added"]
        return ids[0]

    def nobody(self) -> None:
        """Let everybody leave Antavo."""
        self.leave(*self.ids())

    def leave(self, *ids: str, silently: bool = False) -> None:
        """Let members leave Antavo; silently: without an `opt_out` event."""
        self.sandbox.control("members", {"remove": list(ids), "silently": silently})

    def on_list(self, list_id: int = 4821, collection: str = "members") -> set[str]:
        """Return who of a collection is on a list in Ometria."""
        found: list[str] = self.sandbox.control(f"lists/{list_id}")
        return {name.partition("/")[2] for name in found if name.startswith(f"{collection}/")}

    def state(self, contact_id: str) -> dict[str, Any]:
        """Return what the ledger knows of a contact."""
        return self.query("SELECT * FROM contact_state WHERE contact_id=:id", id=contact_id)[0]

    def change(self, *ids: str, **fields: Any) -> list[str]:
        """Set fields of members (dotted paths of the Read API's shape)."""
        changed: list[str] = self.sandbox.control("members", {"change": list(ids), "set": fields})["changed"]
        return changed

    def ids(self) -> list[str]:
        """Return the ids of all members, by ``created_at``."""
        found: list[str] = self.sandbox.control("members?limit=5000")["ids"]
        return found

    def members_to_send(self) -> list[str]:
        """Return the ids of those whom a first run sends, in its order."""
        pages = AntavoHook().scan()
        return [one["_id"] for page in pages for one in page if one["status"] in {"active", "inactive"}]

    def fault(self, kind: str, **more: Any) -> None:
        """Switch a fault on."""
        self.sandbox.control("faults", {"kind": kind, **more})

    def mend(self) -> None:
        """Switch all faults off."""
        self.sandbox.control("faults", method="DELETE")
