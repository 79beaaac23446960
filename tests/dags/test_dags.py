"""The DAG folder: one DAG for each mapping file, as that file says, by the house's rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.timetables.trigger import CronTriggerTimetable
from ometria_provider import exceptions, factory
from ometria_provider.dagdefaults import CONTACT_SYNC
from ometria_provider.exceptions import Fatal, Halted, Retryable, SyncError, Throttled
from ometria_provider.mapping.files import load_mapping
from ometria_provider.notifications.ometria import SyncNotifier
from ometria_provider.operators.base import SyncOperator, retry_policy
from ometria_provider.operators.params import PARAMS
from ometria_provider.operators.run import RunFailed

CHECKOUT = Path(__file__).parents[2]
DAGS = CHECKOUT / "dags"
MAPPINGS = CHECKOUT / "include" / "mappings"
SHIPPED = sorted(path.stem for path in MAPPINGS.glob("*.yaml"))


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=str(DAGS))


@pytest.fixture(scope="module")
def dags(bag: DagBag) -> dict[str, DAG]:
    syncs = {dag_id: dag for dag_id, dag in bag.dags.items() if dag_id.startswith(CONTACT_SYNC)}
    return {dag_id.removeprefix(CONTACT_SYNC): dag for dag_id, dag in syncs.items()}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., DAG]:
    """Write a mapping file and return its DAG."""

    def dag_of(name: str = "members", **keys: Any) -> DAG:
        fields = [{"loyalty": "first_name", "remote": "firstname"}]
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"list": 4821, "fields": fields} | keys))
        return factory.contact_sync_dags(tmp_path)[CONTACT_SYNC + name]

    return dag_of


def test_folder_imports_without_errors_and_has_a_dag_for_each_mapping_file(bag: DagBag) -> None:
    assert bag.import_errors == {}
    syncs = [CONTACT_SYNC + name for name in SHIPPED]
    assert sorted(bag.dag_ids) == ["campaign_events__antavo_default", *syncs, "maintain_ledger", "watch_syncs"]


def test_ledger_is_pruned_every_night(bag: DagBag) -> None:
    dag = bag.dags["maintain_ledger"]
    assert dag.timetable.expression == "17 4 * * *"
    assert (dag.catchup, dag.max_active_runs, dag.params["keep_days"]) == (False, 1, 90)


def test_syncs_are_watched_every_five_minutes_from_the_first_day(bag: DagBag) -> None:
    dag = bag.dags["watch_syncs"]
    assert dag.timetable.expression == "*/5 * * * *"
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)
    assert (dag.start_date, dag.timetable.run_immediately) == (None, timedelta(0)), "not beside what starts just now"


@pytest.mark.parametrize("text", [None, "list: none"], ids=["good", "broken"])
def test_people_hear_of_every_end_of_a_run(tmp_path: Path, make: Callable[..., DAG], text: str | None) -> None:
    dag = make()
    if text is not None:
        (tmp_path / "members.yaml").write_text(text)
        dag = factory.contact_sync_dags(tmp_path)[CONTACT_SYNC + "members"]
    report = dag.get_task("report")
    for callbacks in (report.on_success_callback, report.on_failure_callback):
        assert [type(each) for each in callbacks] == [SyncNotifier]


AUDIT = """
import sys
import airflow.sdk  # what a DAG processor has loaded before it reads a file

FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen")

def refuse(event, args):
    if event in FORBIDDEN:
        raise RuntimeError(f"{event} while a DAG file is read: {args}")

sys.addaudithook(refuse)
sys.path.insert(0, "dags")
import campaign_events, contact_sync
assert "campaign_events__antavo_default" in vars(campaign_events)
print(sorted(name for name in vars(contact_sync) if name.startswith("contact_sync__")))
"""


def test_folder_is_read_without_network_database_and_processes() -> None:
    environment = os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/airflow.db"}
    done = subprocess.run(
        [sys.executable, "-c", AUDIT], env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith(str([CONTACT_SYNC + name for name in SHIPPED]))


def test_dag_file_read_for_one_task_makes_that_dag_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "get_parsing_context", lambda: SimpleNamespace(dag_id=CONTACT_SYNC + SHIPPED[0]))
    assert list(factory.contact_sync_dags(MAPPINGS)) == [CONTACT_SYNC + SHIPPED[0]]


@pytest.mark.parametrize("name", SHIPPED)
def test_dag_keeps_the_rules_of_the_house(dags: dict[str, DAG], name: str) -> None:
    dag = dags[name]
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert {"ometria", "contact_sync", load_mapping(MAPPINGS / f"{name}.yaml").mode} <= set(dag.tags)
    assert dag.description
    for task in dag.tasks:
        assert task.owner == "ometria-sync", task.task_id
        assert task.retries >= 2, task.task_id
        assert task.retry_delay <= timedelta(minutes=1), task.task_id
        assert task.retry_exponential_backoff, task.task_id


def test_dag_is_wired_as_the_design_draws_it(dags: dict[str, DAG]) -> None:
    dag = dags["customers"]
    followers = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert followers["plan"] >= {"prepare.extract", "push"}
    assert followers["prepare.extract"] == {"prepare.map"}
    assert followers["prepare.map"] == {"prepare.validate"}
    assert followers["prepare.validate"] == {"gate"}
    assert followers["gate"] == {"push"}
    assert followers["push"] == {"reconcile"}
    assert followers["reconcile"] == {"report"}
    rules = {task.task_id: task.trigger_rule.value for task in dag.tasks}
    # What a push that failed got through is settled all the same.
    assert {name for name, rule in rules.items() if rule == "all_done"} == {"reconcile", "report"}
    assert set(rules.values()) == {"all_done", "all_success"}


@pytest.mark.parametrize("name", SHIPPED)
def test_doc_page_shows_every_row_and_limit_of_the_mapping(dags: dict[str, DAG], name: str) -> None:
    mapping, page = load_mapping(MAPPINGS / f"{name}.yaml"), str(dags[name].doc_md)
    for row in mapping.rows:
        source = f"`{row.loyalty}`" if row.loyalty else f"`{row.value}`"
        assert any(source in line and f"`{row.remote}`" in line for line in page.splitlines()), row
    for limit in type(mapping.limits).model_fields:
        assert f"`{limit}`" in page
    for part in (
        str(mapping.list),
        mapping.collection,
        mapping.mode,
        mapping.connections.antavo,
        "clear",
        "rejections",
    ):
        assert part in page


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")), ids=lambda file: file.name)
def test_dag_file_is_one_that_airflow_reads(file: Path) -> None:
    """Airflow passes over a file, without a word, that does not hold both words (`dag_discovery_safe_mode`)."""
    text = file.read_text(encoding="utf-8").lower()
    assert "dag" in text
    assert "airflow" in text


def test_params_have_defaults_types_and_descriptions(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        assert dag.params.keys() == PARAMS.keys() == {"dry_run", "strategy", "customer_ids", "retry_run"}
        for name in dag.params:
            param = dag.params.get_param(name)
            assert len(str(param.description)) > 30
            assert param.schema["type"]
        assert dag.params.validate() == {"dry_run": False, "strategy": None, "customer_ids": None, "retry_run": None}


def test_schedule_and_timezone_come_from_the_file(make: Callable[..., DAG]) -> None:
    timetable = make(schedule="30 4 * * 1", timezone="Europe/London").timetable
    assert timetable.expression == "30 4 * * 1"
    assert str(timetable.timezone) == "Europe/London" or timetable.timezone.name == "Europe/London"
    assert make(schedule="@daily").timetable.expression == "0 0 * * *"


def test_schedule_left_out_runs_only_by_hand(make: Callable[..., DAG]) -> None:
    assert make().schedule is None


def test_schedule_makes_no_data_interval(make: Callable[..., DAG]) -> None:
    from airflow.serialization.encoders import coerce_to_core_timetable

    assert isinstance(coerce_to_core_timetable(make(schedule="@hourly").timetable), CronTriggerTimetable)


def test_broken_file_gives_a_red_dag_that_shows_the_problem(tmp_path: Path, make: Callable[..., DAG]) -> None:
    make("good")
    (tmp_path / "bad.yaml").write_text("list: 4821\nfieldz: []\n")
    found = factory.contact_sync_dags(tmp_path)
    assert sorted(found) == ["contact_sync__bad", "contact_sync__good"]
    bad = found["contact_sync__bad"]
    assert [*bad.task_dict] == ["plan", "report"]
    assert "broken" in bad.tags
    assert "fieldz" in str(bad.doc_md)
    assert "fields" in str(bad.doc_md)
    assert len(found["contact_sync__good"].tasks) == 8


@pytest.mark.parametrize("scheduled", ["a b", "a_b"])
def test_files_whose_names_make_one_id_share_a_dag_that_names_both_and_only_fails(
    tmp_path: Path, make: Callable[..., DAG], scheduled: str
) -> None:
    make("good")
    for name in ("a b", "a_b"):
        text = "list: 1\nfields: []\n" + ('schedule: "@hourly"\n' if name == scheduled else "")
        (tmp_path / f"{name}.yaml").write_text(text)
    found = factory.contact_sync_dags(tmp_path)
    assert sorted(found) == ["contact_sync__a_b", "contact_sync__good"]
    contested = found["contact_sync__a_b"]
    assert [*contested.task_dict] == ["plan", "report"]
    assert "broken" in contested.tags
    assert contested.description == "a b.yaml and a_b.yaml are broken: see the doc page"
    assert "`a b.yaml` and `a_b.yaml` make the same DAG id" in str(contested.doc_md)
    assert contested.timetable.expression == "0 * * * *"
    assert len(found["contact_sync__good"].tasks) == 8


def errors(parent: type[Exception]) -> list[type[Exception]]:
    """Return a class and all below it."""
    return [parent, *(deeper for child in parent.__subclasses__() for deeper in errors(child))]


def raised(kind: type[Exception]) -> Exception:
    """Make an error without the arguments that its class wants."""
    made = kind.__new__(kind)
    made.args = ("text",)
    return made


@pytest.mark.parametrize("kind", errors(Fatal), ids=lambda kind: kind.__name__)
def test_fatal_errors_fail_at_once(kind: type[Exception]) -> None:
    assert retry_policy().evaluate(raised(kind), 1, 3).action is RetryAction.FAIL


@pytest.mark.parametrize("kind", errors(Retryable), ids=lambda kind: kind.__name__)
def test_retryable_errors_are_tried_again(kind: type[Exception]) -> None:
    assert retry_policy().evaluate(raised(kind), 1, 3).action is not RetryAction.FAIL


def test_throttled_waits_a_minute() -> None:
    assert retry_policy().evaluate(Throttled("429"), 1, 3).retry_delay == timedelta(minutes=1)


def test_red_report_is_not_tried_again() -> None:
    assert issubclass(RunFailed, Fatal)


def test_every_error_of_ours_is_fatal_or_retryable_or_about_a_record() -> None:
    families = (Fatal, Retryable, exceptions.RecordRejected)
    assert [kind for kind in errors(SyncError)[1:] if not issubclass(kind, families)] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_task_has_the_retry_policy_when_it_runs(dags: dict[str, DAG], name: str) -> None:
    for task in dags[name].tasks:
        made = task.unmap({"window": {"index": 0}}) if isinstance(task, MappedOperator) else task
        assert isinstance(made, SyncOperator)
        assert made.retry_policy is not None, task.task_id
        assert made.retry_policy.evaluate(Halted("stop"), 1, 3).action is RetryAction.FAIL
