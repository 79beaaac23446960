"""Retry runs: whom they are for, what they link, and where the old run's rejections ended."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.cli.app import app
from ometria_provider.exceptions import Misconfigured
from ometria_provider.report import run_report
from ometria_provider.report_text import render
from sync import FIELDS, Sync
from typer.testing import CliRunner
from work import Outcome

CHECKOUT = Path(__file__).parents[2]
BIRTHDAY = {"loyalty": "birth_date", "remote": "date_of_birth"}


@pytest.fixture
def three(sync: Sync) -> tuple[str, str, str]:
    """Members: one whom the mapping rejects, one whom Ometria rejects, and one who is delivered."""
    sync.nobody()
    bad, poison, good = sync.member(birth_date="2999-01-01"), sync.member(), sync.member()
    sync.fault("poison", contacts=[poison])
    return bad, poison, good


def command(*arguments: Any) -> Any:
    """Run `ometria-sync … -o json` and return what it printed."""
    result = CliRunner().invoke(app, [*map(str, arguments), "-o", "json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def now(run: Outcome) -> dict[str, tuple[str, int | None]]:
    """Return where the members stand whom a run rejected."""
    return {row["contact_id"]: (row["now"]["state"], row["now"]["run"]) for row in command("rejections", run.row["id"])}


@pytest.mark.parametrize("reference", [1, "1", "members:latest"], ids=repr)
def test_retry_reads_what_was_rejected_with_todays_data(
    sync: Sync, three: tuple[str, str, str], reference: int | str
) -> None:
    bad, poison, _good = three
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    first = sync.run()
    assert first.books == {"read": 3, "rejected": 2, "sent": 1, "accepted": 1}
    assert now(first) == {bad: ("rejected", 1), poison: ("rejected", 1)}
    sync.change(bad, birth_date="1999-01-01")
    sync.mend()
    retry = sync.run(retry_run=reference)
    assert retry.green, retry.text
    retry.assert_balanced()
    assert (retry.row["retry_of"], retry.row["strategy"]) == (1, "chosen")
    assert retry.books == {"read": 2, "sent": 2, "accepted": 2}
    assert "A retry of what run 1 left undelivered. The run reads 2 chosen customers" in retry.row["plan"]
    assert sync.contact(bad)["date_of_birth"] == "1999-01-01"
    assert sync.received()["most_for_one"] == 1
    assert now(first) == {bad: ("delivered", 2), poison: ("delivered", 2)}
    said = render(run_report(sync.ledger, 1))
    assert "2  delivered by run 2" in said
    assert "a retry of run 1" in render(run_report(sync.ledger, 2))


def test_retry_in_vain_says_so_in_the_old_run(sync: Sync, three: tuple[str, str, str]) -> None:
    bad, poison, _good = three
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    first = sync.run()
    sync.mend()
    retry = sync.run(retry_run=1)
    assert retry.green, retry.text
    assert retry.books == {"read": 2, "rejected": 1, "sent": 1, "accepted": 1}
    assert now(first) == {bad: ("rejected", 2), poison: ("delivered", 2)}
    assert (
        "still rejected in run 2: date_of_birth: lies in the future"
        in CliRunner().invoke(app, ["rejections", "1"]).output
    )
    assert "1  still rejected in run 2" in render(run_report(sync.ledger, 1))
    again = sync.run(retry_run=1)
    assert again.row["read"] == 1, "the other one is delivered"


def test_rejections_show_who_was_filtered_or_changed_back(sync: Sync) -> None:
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    sync.nobody()
    leaver, back, _ = sync.member(), sync.member(), sync.member()
    assert sync.run().green
    never = sync.member(birth_date="2999-01-01")
    sync.change(leaver, back, birth_date="2999-01-01")
    second = sync.run()
    assert now(second) == dict.fromkeys((leaver, back, never), ("rejected", 2))
    sync.change(leaver, never, status="banned")
    sync.change(back, birth_date="1980-01-31")
    assert sync.run().green
    assert now(second) == {leaver: ("departed", 3), back: ("delivered", 1), never: ("filtered", 3)}
    assert "as run 1 delivered it" in CliRunner().invoke(app, ["rejections", "2"]).output
    nothing = sync.run(retry_run=2)
    assert nothing.green, nothing.text
    assert nothing.row["plan"] == "Nothing of run 2 is undelivered: there is nothing to do."
    assert nothing.books == {}


def test_rejection_of_a_run_whose_gate_stayed_shut_is_undelivered(sync: Sync, three: tuple[str, str, str]) -> None:
    bad, *_ = three
    sync.mend()
    sync.mapping(fields=[*FIELDS, BIRTHDAY], limits={"max_rejected_share": 0.0, "min_count": 1})
    halted = sync.run()
    assert halted.row["state"] == "halted"
    assert now(halted) == {bad: ("undelivered", None)}
    sync.change(bad, birth_date="1999-01-01")
    retry = sync.run(retry_run=1)
    assert retry.green, retry.text
    assert retry.row["accepted"] == 3, "those who were ready and never sent as well"
    assert now(halted) == {bad: ("delivered", 2)}


def test_retry_of_a_push_that_died_sends_those_it_did_not_get_to(sync: Sync) -> None:
    sync.mapping()
    sync.fault("500", path="/v2/push")
    dead = sync.run()
    assert dead.state == "failed"
    sync.mend()
    everybody = sync.members_to_send()
    retry = sync.run(retry_run=dead.row["id"])
    assert retry.green, retry.text
    retry.assert_balanced()
    assert retry.row["accepted"] == len(everybody) == sync.received()["stored"]
    assert sync.run(retry_run=dead.row["id"]).books == {}


def test_retry_of_a_push_that_died_and_refused_somebody_takes_both(sync: Sync) -> None:
    sync.nobody()
    good, refused = sync.member(), sync.member(email="no address")
    sync.suite({"type": "expect_column_values_to_match_regex", "kwargs": {"column": "email", "regex": "@"}})
    sync.mapping()
    sync.fault("500", path="/v2/push")
    dead = sync.run()
    assert [row["contact_id"] for row in dead.rejections if row["stage"] == "validation"] == [refused]
    sync.mend()
    sync.change(refused, email="mended@example.test")
    retry = sync.run(retry_run=dead.row["id"])
    assert retry.green, retry.text
    assert retry.books == {"read": 2, "sent": 2, "accepted": 2}
    assert sync.contact(good)


def test_retry_of_a_push_that_died_whose_staging_is_gone_leaves_them_to_any_new_run(sync: Sync) -> None:
    sync.mapping()
    sync.fault("500", path="/v2/push")
    dead = sync.run()
    sync.mend()
    shutil.rmtree(sync.staging)
    retry = sync.run(retry_run=dead.row["id"])
    assert retry.green, retry.text
    assert sync.received()["received"] == 0
    assert sync.run().row["accepted"] == sync.received()["stored"]


def test_retry_sends_doubtful_records_again(sync: Sync) -> None:
    """A person asked for it; keyed upserts make it safe."""
    sync.mapping(verify="off")
    sync.nobody()
    members = [sync.member() for _ in range(3)]
    sync.fault("rejected", contacts=members[:1])
    doubtful = sync.run()
    assert not doubtful.green
    sync.mend()
    retry = sync.run(retry_run=doubtful.row["id"])
    retry.assert_balanced()
    assert retry.row["read"] == doubtful.row["pending"] + len(doubtful.rejections)
    assert retry.green, retry.text


def test_retry_with_customer_ids_is_for_these_of_the_run_only(sync: Sync, three: tuple[str, str, str]) -> None:
    _bad, poison, good = three
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    sync.run()
    sync.mend()
    retry = sync.run(retry_run=1, customer_ids=[poison, good])
    assert retry.books == {"read": 1, "sent": 1, "accepted": 1}


def test_retry_of_contacts_with_other_ids_scans_for_them(sync: Sync) -> None:
    sync.mapping(identity={"id": "properties.member_number"}, fields=[*FIELDS, BIRTHDAY])
    sync.nobody()
    bad, _good, nameless = (
        sync.member(birth_date="2999-01-01", properties={"member_number": "n1"}),
        sync.member(properties={"member_number": "n2"}),
        sync.member(properties={"member_number": None}),
    )
    first = sync.run()
    assert {row["contact_id"] for row in first.rejections} == {"n1", f"antavo:{nameless}"}
    sync.change(bad, birth_date="1999-01-01")
    retry = sync.run(retry_run=1)
    assert retry.green, retry.text
    assert retry.books == {"read": 2, "rejected": 1, "sent": 1, "accepted": 1}
    assert "by a complete scan" in retry.row["plan"]
    assert sync.contact("n1")


def test_retry_of_somebody_who_left_antavo_is_green_and_names_them(sync: Sync, three: tuple[str, str, str]) -> None:
    bad, poison, _good = three
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    sync.run()
    sync.sandbox.control("members", {"remove": [bad, poison]})
    retry = sync.run(retry_run=1)
    assert retry.green, retry.text
    assert sorted(retry.facts("gate")["unknown_ids"]) == sorted([bad, poison])


def test_retry_cleared_keeps_its_members_and_sends_nothing_again(sync: Sync, three: tuple[str, str, str]) -> None:
    _bad, poison, _good = three
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    sync.run()
    sync.mend()
    retry = sync.run(retry_run="members:latest")
    again = sync.run(again=retry, retry_run="members:latest")
    assert again.green, again.text
    again.assert_balanced()
    assert again.books == retry.books
    assert again.row["retry_of"] == 1
    assert sync.sandbox.control(f"stats?contact=members/{poison}")["received"] == 1


def test_run_of_another_mapping_or_a_dry_run_is_refused(sync: Sync) -> None:
    sync.mapping("members")
    sync.mapping("others")
    other = sync.run("others")
    dry = sync.run(dry_run=True)
    for number, words in ((other.row["id"], "is one of mapping others, not of members"), (dry.row["id"], "dry run")):
        refused = sync.run(retry_run=number)
        assert isinstance(refused.errors["plan"], Misconfigured)
        assert words in refused.text


def test_retry_command_says_when_nothing_is_undelivered(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    sync.member()
    assert sync.run().green
    result = CliRunner().invoke(app, ["retry", "members:latest"])
    assert (result.exit_code, result.stdout) == (0, "Nothing is undelivered of run 1.\n")
    assert command("retry", 1)["started"] is None


def test_retry_command_makes_the_dag_run(sync: Sync, three: tuple[str, str, str]) -> None:
    """Airflow's database has the run, with what it is to do."""
    _bad, poison, good = three
    sync.mapping(fields=[*FIELDS, BIRTHDAY])
    sync.run()
    sync.airflow_of_its_own()
    made = command("retry", 1, "--reason", "HTTP", "--customer", good, "--customer", poison)
    assert (made["run"], made["mapping"], made["undelivered"]) == (1, "members", 1)
    assert sync.queued(made["started"]) == {"retry_run": 1, "customer_ids": [poison]}
    other = command("retry", 1)["started"]
    assert sync.queued(other) == {"retry_run": 1}
    # What the launcher does to runs whose scheduler was killed, and to no others.
    closing = [sys.executable, CHECKOUT / "scripts" / "launcher" / "abandoned.py"]
    subprocess.run([*closing, json.dumps([["contact_sync__members", made["started"]]])], check=True)
    assert sync.queued(other) == {"retry_run": 1}
    with pytest.raises(AssertionError):  # it does not wait any more
        sync.queued(made["started"])


def test_retry_command_for_a_dag_that_airflow_does_not_have_says_so(sync: Sync, three: tuple[str, str, str]) -> None:
    sync.airflow_of_its_own()
    sync.mapping("nowhere", fields=[*FIELDS, BIRTHDAY])
    sync.run("nowhere")
    result = CliRunner().invoke(app, ["retry", "nowhere:latest"])
    assert result.exit_code == 1
    assert "Airflow did not start a run of contact_sync__nowhere" in result.output
    assert "not found" in result.output
