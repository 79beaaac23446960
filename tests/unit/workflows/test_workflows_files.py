from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.exceptions import Misconfigured
from ometria_provider.workflows.files import Problem, WorkflowFileError, check_folder, load_folder, load_workflow
from ometria_provider.workflows.model import Workflow
from ometria_provider.workflows.records import Recipe

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


MISTAKES: dict[str, tuple[str, int, str, str]] = {
    # what is written, line, part of the message, part of the hint
    "unknown key": (f"{LEAST}triger: x\n", 3, "unknown key `triger`", "did you mean `trigger`?"),
    "unknown key of action": (
        "trigger: {event: reward}\naction: {event_type: x, payloads: []}\n",
        2,
        "unknown key `payloads`",
        "did you mean `payload`?",
    ),
    "no trigger": ("action: {event_type: claimed}\n", 1, "`trigger` is missing", "trigger: {event: reward}"),
    "trigger as text": (
        "trigger: reward\naction: {event_type: x}\n",
        1,
        "keys with values",
        "trigger: {event: reward}",
    ),
    "empty": ("", 1, "the file is empty", "`trigger:` and `action:`"),
    "event type": (
        f"trigger: {{event: reward}}\naction: {{event_type: {'x' * 33}}}\n",
        2,
        "33 characters, and Ometria takes 32",
        "shorter",
    ),
    "unknown field": (payload("{loyalty: reward.nme, remote: x}"), 2, "unknown loyalty field", "`reward.name`?"),
    "field without its root": (
        payload("{loyalty: first_name, remote: x}"),
        2,
        "fields begin with",
        "did you mean `customer.first_name`?",
    ),
    "space": (
        payload("{value: 1, remote: Reward name}"),
        2,
        "`Reward name` holds a space",
        "write `Reward_name`: templates say {{ event.Reward_name }}",
    ),
    "directive": (payload('{value: 1, remote: "@type"}'), 2, "is no property's name", "`reward_name`"),
    "twice": (payload("{value: 1, remote: x}, {value: 2, remote: x}"), 2, "filled twice, first in row 1", "remove"),
    "transform": (
        payload("{loyalty: event.points, remote: x, transform: [uper]}"),
        2,
        "unknown transform `uper`",
        "did you mean `upper`?",
    ),
    "transform's option": (payload("{loyalty: event.points, remote: x, transform: [join]}"), 2, "needs its option", ""),
    "both": (payload("{loyalty: event.points, value: 1, remote: x}"), 2, "either `loyalty` or `value`", "two rows"),
    "neither": (payload("{remote: x}"), 2, "needs `loyalty` or `value`", "reward.name"),
    "constant": (payload("{value: '', remote: x}"), 2, "never empty", ""),
    "long constant": (
        payload(f"{{value: {'x' * 513}, remote: x}}"),
        2,
        "more than 512 characters: it would be cut",
        "shorter",
    ),
    "no reward_id": (
        payload("{loyalty: reward.name, remote: x}"),
        2,
        "`reward.name` needs `reward_id`",
        "reward_id: event",
    ),
    "no reward_id for where": (
        f"{LEAST}where: {{reward.price: {{gt: 1}}}}\n",
        3,
        "`reward.price` needs `reward_id`",
        "reward_id: event",
    ),
    "reward_id": (f"{LEAST}reward_id: event.reward\n", 3, "unknown loyalty field", "`event.properties.reward`"),
    "reward_id of the customer": (f"{LEAST}reward_id: customer.id\n", 3, "only the event", "event.properties.reward"),
    "nobody": (
        f"{LEAST}identity: {{identity_email: null, identity_account_id: null}}\n",
        3,
        "must not both be null",
        "keep one",
    ),
    "identity": (f"{LEAST}identity: {{identity_email: email}}\n", 3, "fields begin with", "`customer.email`?"),
    "where field": (f"{LEAST}where: {{event.pionts: 1}}\n", 3, "unknown loyalty field", "`event.points`?"),
    "where operator": (f"{LEAST}where: {{event.points: {{gtee: 1}}}}\n", 3, "unknown operator `gtee`", "`gte`?"),
    "where time": (f"{LEAST}where: {{event.timestamp: {{gt: soon}}}}\n", 3, "is a time", "2026-01-31"),
    "duration": (f"{LEAST}expires_after: 24h\n", 3, "not an ISO 8601 duration", "PT24H"),
    "no time at all": (f"{LEAST}expires_after: PT0S\n", 3, "every event would be expired", "PT24H"),
    "start": (f"{LEAST}start: tomorrow\n", 3, "`start` is `now`, a date or a time", "2026-01-31"),
    "start as a number": (f"{LEAST}start: 1\n", 3, "`start` is `now`, a date or a time", "2026-01-31"),
    "language": (f"{LEAST}language: english!\n", 3, "does not have the right form", "`en`"),
    "long_text": (f"{LEAST}long_text: trim\n", 3, "'cut' or 'reject'", ""),
    "transactional": (f"{LEAST}transactional: yes\n", 3, "true or false is wanted", ""),
    "YAML": (f"{LEAST}where: [\n", 4, "this is not YAML", ""),
}


@pytest.mark.parametrize(("text", "line", "message", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_load_workflow_with_one_mistake_says_where_what_and_what_to_write(
    tmp_path: Path, text: str, line: int, message: str, hint: str
) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert (problem.line, problem.warning) == (line, False)
    assert message in problem.message
    assert hint in problem.hint


def test_load_workflow_points_with_a_caret_at_the_field(tmp_path: Path) -> None:
    (problem,) = problems_of(
        tmp_path, payload("{loyalty: reward.nme, remote: x}") + "reward_id: event.properties.reward\n"
    )
    place, line, caret, hint = problem.render().splitlines()
    assert place.endswith("claimed.yaml:2:51: unknown loyalty field `reward.nme`")
    assert line[caret.index("^") :].startswith("reward.nme")
    assert hint == "    did you mean `reward.name`?"


def test_load_workflow_with_more_rows_than_ometria_holds_is_refused(tmp_path: Path) -> None:
    rows = ", ".join(f"{{value: 1, remote: x{n}}}" for n in range(101))
    (problem,) = problems_of(tmp_path, payload(rows))
    assert "at most 100 properties" in problem.message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "{loyalty: event.timestamp, remote: x}",
            "gives a date: templates show it, segments and triggers cannot use it",
        ),
        ("{loyalty: customer.birth_date, remote: x}", "gives a date"),
        ("{loyalty: event.properties.a, remote: x, transform: [date]}", "gives a date"),
        ("{loyalty: customer.groups, remote: x}", "gives a list: templates show it"),
        ("{loyalty: customer.groups, remote: x, transform: [lower]}", "gives a list"),
        ("{loyalty: customer.extensions.expiring_points.history, remote: x}", "gives nested values"),
    ],
)
def test_check_folder_with_a_value_that_starts_no_campaign_warns_and_loads(
    tmp_path: Path, row: str, message: str
) -> None:
    (tmp_path / "claimed.yaml").write_text(payload(row))
    workflows, (problem,) = check_folder(tmp_path)
    assert (len(workflows), problem.warning, problem.line) == (1, True, 2)
    assert message in problem.message
    assert problem.render().startswith(f"{tmp_path}/claimed.yaml:2:51: warning: `")
    assert load_folder(tmp_path) == (workflows, [])
    assert load_workflow(tmp_path / "claimed.yaml") == workflows[0]


@pytest.mark.parametrize(
    "row",
    [
        "{loyalty: event.timestamp, remote: x, transform: [date, string]}",
        "{loyalty: customer.groups, remote: x, transform: [first]}",
        "{loyalty: customer.groups, remote: x, transform: [{join: ', '}]}",
        "{loyalty: customer.extensions.expiring_points.history.0.date, remote: x}",
    ],
)
def test_check_folder_with_a_value_made_text_does_not_warn(tmp_path: Path, row: str) -> None:
    (tmp_path / "claimed.yaml").write_text(payload(row))
    assert check_folder(tmp_path)[1] == []


def test_check_folder_with_a_label_for_an_action_warns(tmp_path: Path) -> None:
    (tmp_path / "claimed.yaml").write_text("trigger: {event: Claiming a reward}\naction: {event_type: x}\n")
    _, (problem,) = check_folder(tmp_path)
    assert (problem.warning, "an action's label" in problem.message) == (True, True)


@pytest.mark.parametrize(
    ("mapping", "warning", "message", "hint"),
    [
        (None, False, "there is no mapping `customers`", "there are none"),
        (
            "list: 1\nfields: [{loyalty: nmae, remote: x}]\n",
            True,
            "the mapping `customers` has errors",
            "mappings check",
        ),
        ("list: 1\nfields: []\nconnections: {ometria: other}\n", False, "uses other connections", "`connections`"),
    ],
    ids=["none", "broken", "elsewhere"],
)
def test_check_folder_with_a_contact_mapping_that_pushes_nothing_says_so(
    tmp_path: Path, mapping: str | None, warning: bool, message: str, hint: str
) -> None:
    folder, mappings = tmp_path / "workflows", tmp_path / "mappings"
    folder.mkdir()
    mappings.mkdir()
    (folder / "claimed.yaml").write_text(f"{LEAST}contact_mapping: customers\n")
    (folder / "other.yaml").write_text(LEAST)
    if mapping:
        (mappings / "customers.yaml").write_text(mapping)
    workflows, (problem,) = check_folder(folder, mappings)
    assert (problem.line, problem.warning) == (3, warning)
    assert message in problem.message
    assert hint in problem.hint
    assert len(workflows) == (2 if warning else 1)
    assert len(load_folder(folder)[0]) == 2  # nobody looks without the mappings folder


def test_check_folder_with_a_good_contact_mapping_is_fine(tmp_path: Path) -> None:
    (tmp_path / "customers.yaml").write_text("list: 1\nfields: []\n")
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "claimed.yaml").write_text(f"{LEAST}contact_mapping: customers\n")
    assert check_folder(folder, tmp_path)[1] == []


NAMES = st.sampled_from(
    ["event.points", "event.timestamp", "reward.name", "customer.email", "nothing", "event", "", "a b"]
)
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | NAMES | st.text(max_size=3)
KEYS = st.sampled_from(
    [
        "loyalty",
        "remote",
        "transform",
        "value",
        "map",
        "join",
        "eq",
        "in",
        "gt",
        "event",
        "event_type",
        "payload",
        "event.points",
    ]
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        **{key: ANYTHING for key in Workflow.model_fields if key not in ("name", "action", "trigger")},
        "trigger": st.just({"event": "reward"}) | ANYTHING,
        "action": ANYTHING
        | st.fixed_dictionaries({"event_type": st.just("x"), "payload": st.lists(ANYTHING, max_size=3)}),
    },
)


@given(FILES)
def test_load_workflow_of_anything_loads_or_shows_every_problem_with_a_place(data: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "claimed.yaml"
        path.write_text(json.dumps(data))
        try:
            workflow = load_workflow(path)
        except WorkflowFileError as error:
            assert [problem for problem in error.problems if not problem.warning]
            assert all(problem.line == 1 and problem.message for problem in error.problems)
        else:
            Recipe(workflow)  # whatever passes the checks can be used
