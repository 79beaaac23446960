from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ometria_provider.mapping.source import read_source
from ometria_provider.workflows.files import check_folder, schema_text

FOLDER = Path(__file__).parents[3] / "include" / "workflows"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_schema_is_the_models() -> None:
    assert (FOLDER / "workflow.schema.json").read_text(encoding="utf-8") == schema_text(), "write it again: make docs"


def test_shipped_files_have_no_problems() -> None:
    workflows, problems = check_folder(FOLDER)
    assert problems == []
    assert [workflow.name for workflow in workflows] == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_file_names_its_schema_and_keeps_to_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=workflow.schema.json\n")
    jsonschema.validate(read_source(path).data, json.loads(schema_text()))


def test_shipped_example_sends_what_the_vendor_manuals_does() -> None:
    (workflow,) = [workflow for workflow in check_folder(FOLDER)[0] if workflow.name == "reward_claimed"]
    sent = {row.remote: getattr(row, "loyalty", None) for row in workflow.action.payload}
    assert sent["reward_name"] == "reward.name"
    assert sent["reward_description"] == "reward.description"
