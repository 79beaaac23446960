"""What a run would change: before and after, of members who are to be sent, live from both systems."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ometria_provider.cli.app import app
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import runs
from ometria_provider.operators.comparing import Comparison, of_run
from ometria_provider.operators.forgetting import mark
from ometria_provider.settings import read_settings
from pages import FORM, audited, pages
from sync import Sync
from typer.testing import CliRunner
from work import Outcome

#: No limits: these runs change a third of three members.
LIMITS: dict[str, Any] = {"max_cleared_share": None}


@pytest.fixture
def ready(sync: Sync) -> tuple[Outcome, list[str]]:
    """A dry run for one member with another name, one who lost it, one who joined and one who stays the same."""
    sync.nobody()
    ids = [sync.member() for _ in range(3)]
    sync.mapping(limits=LIMITS)
    assert sync.run().green
    sync.change(ids[0], first_name="Berta")
    sync.change(ids[1], first_name=None)
    joined = sync.member(first_name="Cora")
    run = sync.run(dry_run=True)
    assert run.green, run.text
    return run, [*ids, joined]


def compared(sync: Sync, run: Outcome) -> Comparison:
    found = runs.get_run(sync.ledger, dag_id=run.work.dag_id, run_id=run.work.run_id)
    return of_run(sync.ledger, found, read_settings().staging_path)


def test_run_compared_shows_each_members_fields_before_and_after(sync: Sync, ready: tuple[Outcome, list[str]]) -> None:
    run, (renamed, emptied, same, joined) = ready
    found = compared(sync, run)
    assert found.to_send == 3
    members = {member.contact_id: member for member in found.members}
    assert members.keys() == {renamed, emptied, joined}
    assert same not in members
    (change,) = members[renamed].differing
    assert (change.field, change.before, change.after, change.kind) == ("firstname", "Ann", "Berta", "changed")
    (change,) = members[emptied].differing
    assert (change.field, change.before, change.after, change.kind) == ("firstname", "Ann", None, "emptied")
    assert members[joined].is_new
    assert {each.kind for each in members[joined].differing} == {"set"}
    (row,) = [row for row in found.fields if row.field == "firstname"]
    assert (row.set, row.changed, row.emptied, row.emptied_in_all) == (1, 1, 1, 1)


def test_run_compared_sends_nothing(sync: Sync, ready: tuple[Outcome, list[str]]) -> None:
    before = sync.received()
    compared(sync, ready[0])
    assert sync.received() == before


def test_run_whose_staging_is_gone_cannot_be_compared_and_says_so(sync: Sync, ready: tuple[Outcome, list[str]]) -> None:
    run = ready[0]
    for path in sync.staging.rglob("map*.parquet"):
        path.unlink()
    with pytest.raises(Misconfigured, match="new run"):
        compared(sync, run)


@pytest.mark.usefixtures("airflow_database")
def test_page_shows_values_to_who_may_edit_and_to_nobody_else(sync: Sync, ready: tuple[Outcome, list[str]]) -> None:
    place = f"/ometria/runs/{ready[0].row['id']}/changes/members"
    seen = pages("USER").post(place, headers=FORM)
    assert seen.status_code == 200
    assert "Berta" in seen.text
    hidden = pages("VIEWER").post(place, headers=FORM)
    assert hidden.status_code == 200
    assert "firstname" in hidden.text
    assert "emptied" in hidden.text
    assert not [value for value in ("Ann", "Berta", "Cora", "ann@example.com") if value in hidden.text]
    lines = [line for line in audited() if line.event == "ometria_run_compared"][-2:]
    assert [(line.owner, line.extra["values"]) for line in lines] == [("user", True), ("viewer", False)]
    run, (renamed, emptied, _, joined) = ready
    for line in lines:
        assert (line.dag_id, line.run_id, line.extra["run"]) == (run.work.dag_id, run.work.run_id, run.row["id"])
        assert sorted(line.extra["customer_digests"]) == sorted(map(mark, (renamed, emptied, joined)))
    assert pages("").post(place, headers=FORM).status_code == 403


@pytest.mark.usefixtures("airflow_database")
def test_page_is_there_before_ometria_is_asked(sync: Sync, ready: tuple[Outcome, list[str]]) -> None:
    run = f"/ometria/runs/{ready[0].row['id']}"
    assert f"{run}/changes" in pages("VIEWER").get(run).text
    before = sync.sandbox.control("stats")["requests"]
    page = pages("VIEWER").get(f"{run}/changes").text
    assert sync.sandbox.control("stats")["requests"] == before
    assert "What <a" in page
    assert f'data-fill="{run}/changes/members"' in page
    assert pages("").get(f"{run}/changes").status_code == 403


@pytest.mark.usefixtures("airflow_database")
def test_members_of_a_run_whose_staging_is_gone_are_refused_in_words(
    sync: Sync, ready: tuple[Outcome, list[str]]
) -> None:
    for path in sync.staging.rglob("map*.parquet"):
        path.unlink()
    place = f"/ometria/runs/{ready[0].row['id']}/changes/members"
    answer = pages("VIEWER").post(place, headers=FORM | {"accept": "application/json"})
    assert answer.status_code == 409
    assert "new run" in answer.json()["error"]["message"]


def test_plan_dry_run_shows_the_newest_members_before_and_after(sync: Sync, ready: tuple[Outcome, list[str]]) -> None:
    _, (renamed, emptied, same, joined) = ready
    text = CliRunner().invoke(app, ["plan", "members", "--dry-run"])
    assert text.exit_code == 0, text.output
    for part in ("A complete scan", "Berta", f"Contact {same}: stays as it is", f"Contact {joined} (new in Ometria)"):
        assert part in text.stdout
    answer = CliRunner().invoke(app, ["plan", "members", "--dry-run", "-n", "3", "-o", "json"])
    members = {each["contact_id"]: each for each in json.loads(answer.stdout)["changes"]["members"]}
    assert len(members) == 3
    (change,) = [each for each in members[emptied]["fields"] if each["kind"] != "same"]
    assert change == {"field": "firstname", "before": "Ann", "after": None, "kind": "emptied"}
    assert renamed not in members, "the three newest only"
