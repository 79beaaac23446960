"""One campaign DAG for each Antavo connection that workflow files name, by the house's rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, AssetOrTimeSchedule
from airflow.sdk.definitions.retry_policy import RetryAction
from ometria_provider import campaign_factory
from ometria_provider.exceptions import Misconfigured
from ometria_provider.operators.campaign import CampaignOperator
from ometria_provider.operators.params import CAMPAIGN_PARAMS, CampaignParams, campaign_params

CHECKOUT = Path(__file__).parents[2]

Write = Callable[..., dict[str, DAG]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a workflow file and return the folder's DAGs."""

    def dags_of(name: str = "thanks", **keys: Any) -> dict[str, DAG]:
        payload = [{"loyalty": "reward.name", "remote": "reward_name"}]
        action = {"event_type": "claimed", "payload": payload}
        least = {"trigger": {"event": "reward"}, "reward_id": "event.properties.reward", "action": action}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(least | keys))
        return campaign_factory.campaign_event_dags(tmp_path)

    return dags_of


def test_shipped_workflow_has_its_dag() -> None:
    bag = DagBag(dag_folder=str(CHECKOUT / "dags" / "campaign_events.py"))
    assert bag.import_errors == {}
    assert list(bag.dag_ids) == ["campaign_events__antavo_default"]


def test_dag_keeps_the_rules_of_the_house(write: Write) -> None:
    (dag,) = write().values()
    (task,) = dag.tasks
    assert isinstance(task, CampaignOperator)
    assert (dag.catchup, dag.max_active_runs, task.owner, task.retries) == (False, 1, "ometria-sync", 3)
    assert {"ometria", "campaign_events"} <= set(dag.tags)
    assert dag.is_paused_upon_creation is None, "as a contact sync: Airflow's own setting decides"
    assert task.retry_policy is not None
    assert task.retry_policy.evaluate(Misconfigured("x"), 1, 3).action is RetryAction.FAIL
    for name in dag.params:
        assert len(str(dag.params.get_param(name).description)) > 30
    assert dag.params.validate() == {"workflow": None, "send_again": None}


def test_dag_runs_every_minute_and_when_the_inbox_of_its_connection_changes(write: Write) -> None:
    (dag,) = write(connections={"antavo": "antavo_uk"}).values()
    schedule = dag.timetable
    assert isinstance(schedule, AssetOrTimeSchedule)
    assert schedule.timetable.expression == "* * * * *"
    assert [asset.uri for asset in schedule.asset_condition.objects] == ["ometria://inbox/antavo_uk"]


def test_each_connection_has_one_dag_for_all_its_workflows(write: Write) -> None:
    write("thanks")
    write("survey")
    dags = write("uk", connections={"antavo": "antavo uk"})
    assert sorted(dags) == ["campaign_events__antavo_default", "campaign_events__antavo_uk"]
    assert str(dags["campaign_events__antavo_default"].description).endswith("survey, thanks")
    (task,) = dags["campaign_events__antavo_uk"].tasks
    assert task.connection == "antavo uk"


def test_connections_whose_names_make_one_id_have_a_dag_that_names_both_and_does_nothing(write: Write) -> None:
    write("thanks")
    write("uk", connections={"antavo": "antavo uk"})
    dags = write("uk2", connections={"antavo": "antavo_uk"})
    assert sorted(dags) == ["campaign_events__antavo_default", "campaign_events__antavo_uk"]
    contested, other = dags["campaign_events__antavo_uk"], dags["campaign_events__antavo_default"]
    (task,) = contested.tasks
    with pytest.raises(Misconfigured, match="`antavo uk` and `antavo_uk`"):
        task.execute({})
    assert "`antavo uk` and `antavo_uk`" in str(contested.doc_md)
    assert ("broken" in contested.tags, "broken" in other.tags) == (True, False)
    assert list(other.tasks[0].rivals) == []


def test_dag_file_read_for_one_task_makes_that_dag_only(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("thanks")
    wanted = "campaign_events__antavo_uk"
    monkeypatch.setattr(campaign_factory, "get_parsing_context", lambda: SimpleNamespace(dag_id=wanted))
    assert list(write("uk", connections={"antavo": "antavo_uk"})) == [wanted]


def test_doc_page_shows_each_workflow_and_what_is_broken(write: Write, tmp_path: Path) -> None:
    (tmp_path / "bent.yaml").write_text("nonsense: 1\n")
    (dag,) = write(description="Thank a member").values()
    page = str(dag.doc_md)
    for part in ("Thank a member", "`reward.name`", "`reward_name`", "`claimed`", "bent.yaml is broken", "nonsense"):
        assert part in page
    assert "broken" in dag.tags


def test_connection_with_broken_files_only_has_a_dag_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "bent.yaml").write_text("nonsense: 1\n")
    (dag,) = campaign_factory.campaign_event_dags(tmp_path).values()
    assert dag.dag_id == "campaign_events__antavo_default"
    assert "nonsense" in str(dag.doc_md)


def test_folder_that_is_not_there_is_an_import_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        campaign_factory.campaign_event_dags(tmp_path / "none")


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"workflw": "thanks"}, "did you mean `workflow`"),
        ({"dry_run": True}, "there are `workflow`, `send_again`"),
        ({"workflow": "thank"}, "did you mean `thanks`"),
        ({"workflow": ["thanks"]}, "no workflow of this connection"),
        ({"send_again": True}, "Antavo's id of an event"),
        ({"send_again": "  "}, "Antavo's id of an event"),
        ({"send_again": ["7"]}, "Antavo's id of an event"),
    ],
)
def test_wrong_params_are_refused_with_what_there_is(conf: dict[str, Any], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        campaign_params(conf, ["thanks"])


def test_good_params_are_taken() -> None:
    assert campaign_params({}, ["thanks"]) == CampaignParams()
    assert campaign_params({"workflow": "thanks", "send_again": 7}, ["thanks"]) == CampaignParams("thanks", "7")
    assert "may start twice" in CAMPAIGN_PARAMS["send_again"]["description"]
