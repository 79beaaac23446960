"""What `run` was asked for is checked before anything starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from launcher.errors import Refused
from launcher.request import DEFAULT_PAIR, pairs_in, read_params, read_request, read_workflow_request

INCLUDE = Path(__file__).parents[3] / "include"


@pytest.fixture
def folder(tmp_path):
    shutil.copy(INCLUDE / "mappings" / "customers.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def workflows(tmp_path):
    (tmp_path / "workflows").mkdir()
    shutil.copy(INCLUDE / "workflows" / "reward_claimed.yaml", tmp_path / "workflows")
    return tmp_path / "workflows"


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_read_params_nothing_is_no_params(text):
    assert read_params(text) == {}


def test_read_params_known_ones_pass():
    assert read_params('{"dry_run": true, "strategy": "full"}') == {"dry_run": True, "strategy": "full"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{dry_run: true}", "not JSON"),
        ("[1]", "JSON object"),
        ('{"dryrun": true}', "did you mean `dry_run`"),
        ('{"dry_run": "yes"}', "true or false"),
        ('{"strategy": "partial"}', "must be `full` or `incremental`"),
        ('{"customer_ids": "1"}', "must be a list"),
        ('{"retry_run": true}', "must be the number of a run"),
    ],
)
def test_read_params_wrong_ones_are_refused(text, said):
    with pytest.raises(Refused, match=said) as refused:
        read_params(text)
    assert refused.value.exit_code == 2


def test_read_request_shipped_mapping_names_its_dag_and_connections(folder):
    request = read_request("customers", "", folder)
    assert request.dag_id == "contact_sync__customers"
    assert request.pair == DEFAULT_PAIR


def test_read_request_misspelt_mapping_is_refused_with_a_suggestion(folder):
    with pytest.raises(Refused, match=r"Did you mean customers\? There are: customers\."):
        read_request("custmers", "", folder)


def test_read_request_broken_mapping_is_refused_with_the_line(folder):
    (folder / "broken.yaml").write_text("list: 1\nfields:\n  - {loyalty: email, remot: email}\n")
    with pytest.raises(Refused) as refused:
        read_request("broken", "", folder)
    assert "broken.yaml" in str(refused.value)
    assert "^" in str(refused.value)


def test_read_workflow_request_names_the_connections_dag_and_the_workflow(workflows):
    request = read_workflow_request("reward_claimed", "", workflows)
    assert (request.dag_id, request.pair) == ("campaign_events__antavo_default", DEFAULT_PAIR)
    assert request.params == {"workflow": "reward_claimed"}
    assert request.workflow.name == "reward_claimed"
    again = read_workflow_request("reward_claimed", '{"send_again": "17"}', workflows)
    assert again.params == {"workflow": "reward_claimed", "send_again": "17"}


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        (
            "reward_claimd",
            "",
            r"no workflow .* Did you mean reward_claimed\? There are: reward_claimed",
        ),
        ("nothing", "", r"There are: reward_claimed\."),
        ("reward_claimed", '{"dry_run": true}', "no param `dry_run`"),
        ("reward_claimed", "[]", "JSON object"),
    ],
)
def test_read_workflow_request_wrong_ones_are_refused_with_the_names(workflows, name, params, said):
    with pytest.raises(Refused, match=said) as refused:
        read_workflow_request(name, params, workflows)
    assert refused.value.exit_code == 2


def test_read_workflow_request_broken_workflow_is_refused_with_the_line(workflows):
    (workflows / "broken.yaml").write_text("trigger: {event: reward}\naction: {event_typ: x}\n")
    with pytest.raises(Refused) as refused:
        read_workflow_request("broken", "", workflows)
    assert "mend broken.yaml first" in str(refused.value)
    assert "^" in str(refused.value)


def test_pairs_in_broken_file_does_not_hide_the_others(folder, workflows):
    (folder / "broken.yaml").write_text("fields: 1\n")
    connections = "\nconnections: {antavo: antavo_uk, ometria: ometria_uk}\n"
    (folder / "uk.yaml").write_text((folder / "customers.yaml").read_text() + connections + "collection: uk\n")
    text = (workflows / "reward_claimed.yaml").read_text()
    (workflows / "fr.yaml").write_text(text + connections.replace("uk", "fr"))
    assert pairs_in(folder, workflows) == {DEFAULT_PAIR, ("antavo_uk", "ometria_uk"), ("antavo_fr", "ometria_fr")}
