"""`local.py run`: one run of one mapping or workflow, from nothing to its report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from ometria_provider.exceptions import SyncError
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.ledger.runs import get_run
from ometria_provider.report import run_report
from ometria_provider.report_text import render
from ometria_provider.settings import read_settings

from launcher.accounts import fingerprint
from launcher.api import Airflow, Login
from launcher.campaign import Watch
from launcher.environment import base_environment
from launcher.errors import Broken, Refused
from launcher.home import Home, Running
from launcher.progress import Progress, complaint
from launcher.request import Request, read_request, read_workflow_request
from launcher.services import Services
from launcher.session import say, start
from launcher.shell import way_on

_OVER = ("success", "failed", "deleted")
#: Seconds between two looks at the run; each costs the API server some milliseconds.
_POLL = 0.4
#: Seconds within which the DAG processor must have read the DAG files; it takes a few.
_DAG_LIMIT = 120


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    :param state: Airflow's: ``success``, ``failed``, or ``deleted`` when somebody deleted it.
    :param watch: what was seen of a workflow's run; None: it was a mapping's.
    """

    dag_id: str
    run_id: str
    state: str
    watch: Watch | None = None

    @property
    def exit_code(self) -> int:
        """0 for green, 1 for red."""
        return 0 if self.state == "success" else 1


def run(mapping: str, workflow: str, params: str, home: Home, checkout: Path) -> int:
    """Make a run and return 0 when it is green, 1 when it is red.

    :param workflow: the workflow to run; empty: the mapping.
    :raises Refused: for wrong params, a broken file, accounts that do not fit, or a home in use.
    """
    asked, began_at = dict(os.environ), _now()
    os.environ.update(base_environment(asked, home, checkout))
    settings = read_settings()
    if workflow:
        request = read_workflow_request(workflow, params, settings.workflows_folder)
    else:
        request = read_request(mapping, params, settings.mappings_folder)
    with home.held(Running(os.getpid(), "run")) as free:
        if not free:
            outcome = _run_in_other(request, home, fingerprint(asked))
            _report(outcome, home)
            return outcome.exit_code
        services = Services(home, checkout)
        try:
            session = start("run", [request.pair], home, checkout, services, asked=asked)
            say(f"Starting Airflow for {request.dag_id} ...")
            airflow = services.wait_for_airflow(session.url)
            airflow.warm_up()
            watch = _watch(request, session.sandbox)
            outcome = _trigger_and_watch(request, airflow, home, watch, services.check, since=began_at)
            services.ask_to_end()  # which takes as long as the report
            _report(outcome, home, sandbox_ended=bool(session.sandbox))
            services.end(patience=1)  # all is done, and in the databases
            return outcome.exit_code
        finally:
            services.end(patience=5)


def _run_in_other(request: Request, home: Home, accounts: str) -> Outcome:
    """Make the run in the Airflow that `up` runs in this home."""
    other = home.holder()
    if other is None or other.command != "up":
        who = f"process {other.pid}" if other else "another process"
        raise Refused(f"Another `make run` works in {home.path} ({who}). Wait for its end, or set AIRFLOW_HOME.")
    if other.accounts != accounts:
        raise Refused(
            f"`make up` (process {other.pid}) holds {home.path} and was started with other connections or folders than "
            "are set now. End it first, or set the same."
        )
    deadline = time.monotonic() + 120
    while not (other.url and Airflow.is_up(other.url)):
        if time.monotonic() > deadline or not psutil.pid_exists(other.pid):
            raise Broken(f"`make up` (process {other.pid}) holds {home.path}, but its API server does not answer.")
        time.sleep(0.5)
        other = home.holder() or other
    if other.ledger:  # the sandbox's, when `up` runs one: the report is read from there
        os.environ["AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN"] = other.ledger
    say(f"Running in the Airflow of `make up` at {other.url}")
    airflow = Airflow(other.url, Login.read(home.path))
    return _trigger_and_watch(request, airflow, home, _watch(request, other.sandbox), lambda: None, since=_now())


def _watch(request: Request, sandbox: str) -> Watch | None:
    return Watch(request.workflow, sandbox) if request.workflow else None


def _trigger_and_watch(
    request: Request, airflow: Airflow, home: Home, watch: Watch | None, check: Callable[[], None], *, since: str
) -> Outcome:
    """Make the run in a running Airflow.

    :param watch: what is seen of a workflow's run beside the ledger.
    :param since: the DAG must have been read from its file after this time; files may have changed before it.
    """
    was_paused = _wait_for_dag(request.dag_id, airflow, check, since)
    if watch:
        watch.begin(open_ledger(read_settings().ledger_url))
    run_id = airflow.trigger(request.dag_id, request.params)
    say(f"Run {run_id} of {request.dag_id}:")
    try:
        # Unpaused after the trigger: else a run that the schedule owes would take the only place before ours.
        airflow.pause(request.dag_id, paused=False)
        state = _show(request.dag_id, run_id, airflow, check)
    except KeyboardInterrupt:
        with contextlib.suppress(Broken, Refused):
            airflow.fail_run(request.dag_id, run_id)
        raise
    finally:
        if was_paused:
            with contextlib.suppress(Broken, Refused):
                airflow.pause(request.dag_id, paused=True)
    if state != "success":
        _explain(request.dag_id, run_id, airflow, home)
    if watch:
        watch.end()
    return Outcome(request.dag_id, run_id, state, watch)


def _wait_for_dag(dag_id: str, airflow: Airflow, check: Callable[[], None], since: str) -> bool:
    """Return when the DAG was read afresh from its file: whether it is paused.

    :raises Broken: with the errors of the DAG files when the DAG is not among those that can be read.
    """
    asked, requested = time.monotonic(), False
    while True:
        check()
        dag = airflow.dag(dag_id)
        if dag and not dag["is_stale"] and str(dag["last_parsed_time"]) >= since:
            return bool(dag["is_paused"])
        waited = time.monotonic() - asked
        if dag and not requested:
            airflow.parse_again(dag["file_token"])
            requested = True
        errors = airflow.import_errors() if waited > 5 else []
        if (errors and any(str(error["timestamp"]) >= since for error in errors)) or waited > _DAG_LIMIT:
            raise Broken(_import_errors(dag_id, errors))
        time.sleep(_POLL)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


def _import_errors(dag_id: str, errors: list[dict[str, object]]) -> str:
    if not errors:
        return f"Airflow found no DAG {dag_id} in the DAG folder. See the dag-processor's log."
    shown = "\n".join(f"{error['filename']}:\n{str(error['stack_trace']).strip()}" for error in errors)
    return f"Airflow cannot read the DAG files, so there is no DAG {dag_id}:\n{shown}"


def _show(dag_id: str, run_id: str, airflow: Airflow, check: Callable[[], None]) -> str:
    """Show a run until it is over and return its state."""
    with Progress(dag_id, run_id, lambda task: complaint(airflow.log(task))) as progress:
        while True:
            check()
            state = airflow.run_state(dag_id, run_id)
            others = airflow.other_runs(dag_id, run_id) if state == "queued" else []
            progress.show(airflow.tasks(dag_id, run_id), others[0] if others else None)
            if state in _OVER:
                return state
            time.sleep(_POLL)


def _explain(dag_id: str, run_id: str, airflow: Airflow, home: Home) -> None:
    """Print the last words of the tasks that failed, and where all of them are."""
    for task in airflow.tasks(dag_id, run_id):
        if task["state"] == "failed":
            say(f"\n{task['task_id']} failed:")
            for text in complaint(airflow.log(task)):
                say("  " + text.replace("\n", "\n  "))
            say(f"  Log: {_log_file(home, task)}")


def _log_file(home: Home, task: dict[str, object]) -> Path:
    index = f"map_index={task['map_index']}/" if isinstance(task["map_index"], int) and task["map_index"] >= 0 else ""
    folder = f"dag_id={task['dag_id']}/run_id={task['dag_run_id']}/task_id={task['task_id']}"
    base = Path(os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER") or home.path / "logs")
    return base / folder / f"{index}attempt={task['try_number']}.log"


def _report(outcome: Outcome, home: Home, *, sandbox_ended: bool = False) -> None:
    """Print what `ometria-sync show` prints, or what became of a workflow's events."""
    ledger = open_ledger(read_settings().ledger_url)
    if outcome.watch:
        say("\n" + outcome.watch.report(ledger, outcome.run_id, outcome.state))
        say("\n" + way_on(home, sandbox_ended=sandbox_ended))
        return
    try:
        number = get_run(ledger, dag_id=outcome.dag_id, run_id=outcome.run_id).id
        say("\n" + render(run_report(ledger, number)))
    except SyncError:
        say(f"\n{outcome.dag_id} {outcome.run_id}: {outcome.state}. It is not in the ledger, so there is no report.")
    say("\n" + way_on(home, sandbox_ended=sandbox_ended))
