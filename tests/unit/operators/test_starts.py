"""A start belongs to a file and its trigger; a renamed file goes on where the old name stopped."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ometria_provider.operators.starts import begin, former_names, sends, started_at
from ometria_provider.workflows.model import Workflow

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)


def workflow(name: str = "thanks", trigger: str = "reward", event_type: str = "claimed", **more: Any) -> Workflow:
    least: dict[str, Any] = {"trigger": {"event": trigger}, "action": {"event_type": event_type}}
    return Workflow.from_data(name, least | more)


def marks(*workflows: Workflow, last: datetime = NOW) -> dict[str, datetime]:
    """Return the cursors of an account that has collected for these since a month ago."""
    return begin(workflows, [], {}, BEFORE) | {sends(each): last for each in workflows}


def start(one: Workflow, known: dict[str, datetime], *files: str) -> datetime | None:
    return started_at(one, known | begin([one], [one.name, *files], known, NOW))


def test_start_is_when_it_was_first_seen_and_stays() -> None:
    assert start(workflow(), {}) == NOW
    assert start(workflow(), marks(workflow())) == BEFORE
    assert begin([workflow()], ["thanks"], marks(workflow()), NOW) == {}
    assert start(workflow(event_type="other"), marks(workflow())) == BEFORE


def test_start_of_a_workflow_that_was_only_seen_is_that_time() -> None:
    assert start(workflow(), {"workflow:thanks": BEFORE}) == BEFORE


def test_start_of_a_changed_trigger_is_now_and_of_the_old_one_stays() -> None:
    known = marks(workflow())
    assert start(workflow(trigger="checkout"), known) == NOW
    known |= begin([workflow(trigger="checkout")], ["thanks"], known, NOW)
    assert start(workflow(), known) == BEFORE


def test_start_of_a_renamed_file_is_the_old_names() -> None:
    known = marks(workflow())
    assert start(workflow("merci"), known) == BEFORE
    assert start(workflow("merci"), known, "thanks") == NOW, "a copy: the old one is there"
    assert start(workflow("merci", trigger="checkout"), known) == NOW
    assert start(workflow("merci", event_type="other"), known) == NOW
    assert start(workflow("merci", connections={"ometria": "ometria_uk"}), known) == NOW
    assert start(workflow("merci"), marks(workflow(), last=NOW - timedelta(days=1))) == NOW, "deleted long ago"


def test_former_names_are_those_of_files_that_are_gone_and_sent_the_same() -> None:
    known = marks(workflow(), workflow("a:b"), workflow("other", event_type="other"))
    assert former_names(workflow("merci"), ["merci"], known) == {"thanks", "a:b"}
    assert former_names(workflow("merci"), ["merci", "thanks"], known) == {"a:b"}
    assert former_names(workflow(), ["thanks"], marks(workflow())) == set()
