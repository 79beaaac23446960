"""What `run` was asked for is checked before anything starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from launcher.errors import Refused
from launcher.request import DEFAULT_PAIR, pairs_in, read_params, read_request

MAPPINGS = Path(__file__).parents[3] / "include" / "mappings"


@pytest.fixture
def folder(tmp_path):
    shutil.copy(MAPPINGS / "customers.yaml", tmp_path)
    return tmp_path


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
    with pytest.raises(Refused, match="Did you mean customers"):
        read_request("custmers", "", folder)


def test_read_request_broken_mapping_is_refused_with_the_line(folder):
    (folder / "broken.yaml").write_text("list: 1\nfields:\n  - {loyalty: email, remot: email}\n")
    with pytest.raises(Refused) as refused:
        read_request("broken", "", folder)
    assert "broken.yaml" in str(refused.value)
    assert "^" in str(refused.value)


def test_pairs_in_broken_file_does_not_hide_the_others(folder):
    (folder / "broken.yaml").write_text("fields: 1\n")
    text = (folder / "customers.yaml").read_text() + "\nconnections: {antavo: antavo_uk, ometria: ometria_uk}\n"
    (folder / "uk.yaml").write_text(text + "collection: uk\n")
    assert pairs_in(folder) == {DEFAULT_PAIR, ("antavo_uk", "ometria_uk")}
