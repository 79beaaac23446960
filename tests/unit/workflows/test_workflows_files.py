from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.workflows.files import Problem, WorkflowFileError, load_folder, load_workflow

LEAST = "trigger: {event: reward}\naction: {event_type: claimed}\n"
BROKEN = "trigger: {event: reward}\naction: {event_typ: claimed}\n"


def problems_of(tmp_path: Path, text: str, name: str = "claimed.yaml") -> list[Problem]:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(WorkflowFileError) as caught:
        load_workflow(path)
    return caught.value.problems


def payload(row: str) -> str:
    return f"{LEAST[:-2]}, payload: [{row}]}}\n"


def test_load_workflow_of_the_least_file_fills_in_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "claimed.yaml").write_text(LEAST)
    workflow = load_workflow(tmp_path / "claimed.yaml")
    assert (workflow.name, workflow.trigger.event, workflow.action.event_type) == ("claimed", "reward", "claimed")
    assert (workflow.expires_after, workflow.start, workflow.starts_at) == (timedelta(hours=24), "now", None)
    assert (workflow.language, workflow.long_text, workflow.transactional) == ("en", "cut", False)
    assert (workflow.reads_customer, workflow.reads_reward, workflow.contact_mapping) == (("email", "id"), False, None)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T09:00:00", datetime(2026, 1, 31, 9, tzinfo=UTC)),
        ("2026-01-31T09:00:00+02:00", datetime(2026, 1, 31, 7, tzinfo=UTC)),
    ],
)
def test_load_workflow_with_a_start_reads_it_as_utc(tmp_path: Path, written: str, moment: datetime) -> None:
    (tmp_path / "claimed.yaml").write_text(f"{LEAST}start: {written}\n")
    assert load_workflow(tmp_path / "claimed.yaml").starts_at == moment


def test_load_folder_with_a_broken_file_keeps_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    (tmp_path / "claimed.yaml").write_text(LEAST)
    workflows, problems = load_folder(tmp_path)
    assert [workflow.name for workflow in workflows] == ["claimed"]
    assert [(Path(problem.file).name, problem.line) for problem in problems] == [("broken.yaml", 2)]


def test_load_folder_that_is_not_there_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="workflows_folder"):
        load_folder(tmp_path / "nowhere")
