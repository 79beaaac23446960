"""Commands about workflow files; those that ask go to a real sandbox over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.ledger.engine import Ledger
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings

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


def test_check_with_a_warning_is_fine(command, workflows: Path) -> None:
    row = "{loyalty: event.timestamp, remote: at}"
    (workflows / "dated.yaml").write_text(f"trigger: {{event: reward}}\naction: {{event_type: x, payload: [{row}]}}\n")
    result = command("workflows", "check")
    assert (result.exit_code, ": warning: " in result.stdout) == (0, True)
    assert result.stdout.endswith(f"2 workflow files in {workflows}: no errors, 1 warning.\n")
    (problem,) = json.loads(command("workflows", "check", "-o", "json").stdout)["problems"]
    assert problem["severity"] == "warning"


def test_check_looks_for_contact_mappings_in_the_mappings_folder(command, workflows: Path) -> None:
    text = (workflows / "claimed.yaml").read_text()
    (workflows / "claimed.yaml").write_text(text + "contact_mapping: customers\n")
    assert command("workflows", "check").exit_code == 0
    (workflows / "claimed.yaml").write_text(text + "contact_mapping: custmers\n")
    result = command("workflows", "check")
    assert (result.exit_code, "did you mean `customers`?" in result.stdout) == (1, True)


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


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with running(SandboxSettings(port=0, members=20, antavo_requests_per_minute=0)) as sandbox:
        yield sandbox


@pytest.fixture
def claims(sandbox: RunningSandbox, workflows: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let members claim rewards now: called with what `POST /_sandbox/claims` takes, it returns the events' ids."""
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_DEFAULT", sandbox.antavo_connection(requests_per_minute=60_000))

    def claim(**settings: Any) -> list[str]:
        return list(sandbox.control("claims", settings)["ids"])

    yield claim
    sandbox.control("reset", {"what": ["members"]})


def previews(command: Any, *arguments: Any) -> list[dict[str, Any]]:
    result = command("workflows", "preview", "claimed", *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


def test_preview_of_real_claims_is_the_custom_event_of_each(command, claims, sandbox: RunningSandbox) -> None:
    ids = claims(count=3, seed=1)
    found = previews(command)
    assert {each["event"] for each in found} == set(ids)
    rewards = {reward["id"]: reward for reward in sandbox.control("rewards")}
    for each in found:
        record = each["record"]
        assert (each["outcome"], each["reason"], record["event_type"]) == ("custom_event", None, "reward_claimed")
        assert record["identity_account_id"] == each["customer"]
        assert record["properties"]["points"] in {reward["price"] for reward in rewards.values()}
        fields = {field["remote"]: field for field in each["fields"]}
        assert fields["reward_name"]["final"] == record["properties"]["reward_name"]
        assert fields["firstname"]["steps"][0][0] == "strip"


def test_preview_resolves_a_rewards_name_by_the_workflows_language(
    command, claims, sandbox: RunningSandbox, workflows: Path
) -> None:
    reward = next(each for each in sandbox.control("rewards") if {"en", "de"} <= set(each["name"]))
    claims(reward=reward["id"])
    names = []
    for language in ("en", "de"):
        text = (workflows / "claimed.yaml").read_text()
        (workflows / "claimed.yaml").write_text(f"{text.partition('language')[0]}language: {language}\n")
        names.append(previews(command)[0]["record"]["properties"]["reward_name"])
    assert names == [reward["name"]["en"], reward["name"]["de"]]


def test_preview_as_text_shows_each_values_way_and_the_event(command, claims) -> None:
    (event_id,) = claims()
    result = command("workflows", "preview", "claimed", "--limit", 1)
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"Event {event_id} of customer ")
    assert lines[0].endswith(": makes a custom event")
    (line,) = [line for line in lines if line.split()[:1] == ["customer.first_name"]]
    assert "─strip▶" in line
    assert '"@type": "custom_event",' in result.stdout


def test_preview_asks_for_the_details_that_the_workflow_reads(command, claims, workflows: Path) -> None:
    row = "{loyalty: customer.extensions.expiring_points.total, remote: expiring}"
    (workflows / "claimed.yaml").write_text(
        f"trigger: {{event: reward}}\naction: {{event_type: x, payload: [{row}]}}\n"
    )
    claims(count=3)
    assert all(isinstance(each["record"]["properties"]["expiring"], int) for each in previews(command))


def test_preview_of_one_event_shows_it_however_old(command, claims, sandbox: RunningSandbox) -> None:
    (event_id,) = claims(count=1, within=1)
    claims(count=8)
    assert [each["event"] for each in previews(command, "--event", event_id)] == [event_id]
    customer = sandbox.control("members?limit=1")["ids"][0]
    old = {"action": "reward", "customer_id": customer, "timestamp": "2020-01-01T00:00:00Z"}
    sandbox.control("events", old | {"properties": [{"name": "reward", "value": "gone"}], "id": "old"})
    (each,) = previews(command, "--event", "old")
    assert (each["outcome"], each["reason"]) == ("expired", "older than expires_after, 1 day, 0:00:00")
    assert each["record"] is None  # its reward is not known


@pytest.mark.parametrize(
    ("more", "outcome", "reason"),
    [
        ({"customer_id": "nobody"}, "skipped", "Antavo does not know the customer"),
        ({"properties": [{"name": "reward", "value": "gone"}]}, "skipped", "Antavo does not know the reward"),
        ({"properties": []}, "skipped", "the event names no reward: event.properties.reward is empty"),
        ({"timestamp": None}, "rejected", "timestamp is missing"),
        ({"timestamp": "2999-01-01T00:00:00Z"}, "rejected", "timestamp lies in the future"),
        (
            {"properties": {str(number): number for number in range(1001)}},
            "rejected",
            "the event has more than 1,000 properties",
        ),
    ],
    ids=["customer", "reward", "no reward", "no time", "future", "properties"],
)
def test_preview_of_an_event_that_would_not_be_mailed_says_why(
    command, claims, sandbox: RunningSandbox, more: dict[str, Any], outcome: str, reason: str
) -> None:
    reward = sandbox.control("rewards")[0]["id"]
    customer = sandbox.control("members?limit=1")["ids"][0]
    event = {"id": "odd", "action": "reward", "customer_id": customer}
    sandbox.control("events", event | {"properties": [{"name": "reward", "value": reward}]} | more)
    (each,) = previews(command, "--event", "odd")
    assert (each["outcome"], each["reason"]) == (outcome, reason)


def test_preview_without_any_such_event_says_so(command, claims) -> None:
    result = command("workflows", "preview", "claimed")
    assert (result.exit_code, result.stdout) == (0, "None of Antavo's newest events is a `reward`.\n")


def test_preview_of_an_event_that_is_none_is_misuse(command, claims, sandbox: RunningSandbox) -> None:
    result = command("workflows", "preview", "claimed", "--event", "nothing")
    assert (result.exit_code, "newest 10,000" in result.stderr) == (2, True)
    sandbox.control("events", {"id": "p1", "action": "profile", "customer_id": "x"})
    result = command("workflows", "preview", "claimed", "--event", "p1")
    assert (result.exit_code, "is a `profile`" in result.stderr) == (2, True)


def test_preview_of_an_unknown_workflow_is_misuse_with_a_suggestion(command, folder: Path) -> None:
    result = command("workflows", "preview", "claimd")
    assert (result.exit_code, "did you mean claimed?" in result.stderr) == (2, True)
