from __future__ import annotations

import json
from pathlib import Path

import pytest

BROKEN = "trigger: {event: reward}\naction: {event_type: claimed, payload: [{loyalty: reward.nme, remote: x}]}\n"


@pytest.fixture
def workflows(folder: Path) -> Path:
    """The workflows folder, with one good file."""
    return folder.parent / "workflows"


def test_check_of_good_files_is_fine(command, workflows: Path) -> None:
    result = command("workflows", "check")
    assert result.exit_code == 0
    assert result.stdout == f"1 workflow file in {workflows}: no errors.\n"


def test_check_of_a_broken_file_shows_place_caret_and_suggestion(command, workflows: Path) -> None:
    (workflows / "broken.yaml").write_text(BROKEN)
    result = command("workflows", "check")
    assert result.exit_code == 1
    assert "broken.yaml:2:" in result.stdout
    assert "^" in result.stdout
    assert "did you mean `reward.name`?" in result.stdout


def test_check_as_json_gives_file_line_and_column(command, workflows: Path) -> None:
    (workflows / "broken.yaml").write_text(BROKEN)
    result = command("workflows", "check", "-o", "json")
    data = json.loads(result.stdout)
    assert (result.exit_code, data["workflows"]) == (1, ["claimed"])
    assert {(Path(problem["file"]).name, problem["line"]) for problem in data["problems"]} == {("broken.yaml", 2)}


def test_check_of_a_folder_that_is_none_is_misuse(command, workflows: Path) -> None:
    result = command("workflows", "check", workflows / "claimed.yaml")
    assert (result.exit_code, "is no folder" in result.stderr) == (2, True)


def test_fields_lists_event_customer_and_reward(command) -> None:
    names = [field["name"] for field in json.loads(command("workflows", "fields", "-o", "json").stdout)]
    assert {"event.points", "customer.tiers.<structure>.name", "reward.description"} <= set(names)
    assert "reward.description" in command("workflows", "fields").stdout
