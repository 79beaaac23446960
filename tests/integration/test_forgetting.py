"""One person is forgotten: nothing of them is left in ledger, staging and inbox, nor in Ometria if that was asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import Result
from ometria_provider.cli.app import app
from ometria_provider.ledger import inbox
from ometria_provider.ledger.inbox import Collected
from ometria_provider.operators import slice_push
from sync import FIELDS, VALID, Sync
from typer.testing import CliRunner

CONSENT = {"loyalty": "properties.newsletter", "remote": "marketing_optin", "transform": ["consent"]}
PERSON = "0123456789person"


@pytest.fixture
def member(sync: Sync) -> str:
    """A member who was delivered opted out, is rejected since, has an event that waits, and left Antavo then."""
    sync.mapping(fields=[*FIELDS, CONSENT, {"loyalty": "mobile_phone", "remote": "phone_number"}])
    fields = {**VALID, "_id": PERSON, "properties": {"newsletter": False}}
    sync.sandbox.control("members", {"add": [fields]})
    assert sync.run().green
    sync.sandbox.control("members", {"change": [PERSON], "set": {"mobile_phone": "nonsense"}})
    assert sync.run().row["rejected"]
    event = Collected("1", "reward", PERSON, datetime.now(UTC), b'{"id": "1"}', ("thanks",))
    inbox.put(sync.ledger, "antavo_default", [event], inbox.WEBHOOK)
    return PERSON


def forget(*options: str) -> Result:
    return CliRunner().invoke(app, ["forget", PERSON, "--yes", "-o", "json", *options])


def gone(sync: Sync) -> None:
    sync.sandbox.control("members", {"remove": [PERSON], "silently": True})


def test_forgotten_person_is_nowhere_in_ledger_inbox_and_staging(sync: Sync, member: str) -> None:
    gone(sync)
    result = forget()
    assert result.exit_code == 0, result.output
    receipt = json.loads(result.stdout)
    assert receipt["removed"]["contacts"] == 1
    assert receipt["removed"]["rejections"] >= 1
    assert receipt["removed"]["events"] == 1
    assert receipt["removed"]["opt_outs"] == 1
    assert receipt["staged_runs"] == 2
    assert receipt["left_in"] == ["ometria_default/members"]
    assert PERSON not in result.stdout
    for table in sync.query("SELECT name FROM sqlite_master WHERE type = 'table'"):
        rows = sync.query(f"SELECT * FROM {table['name']}")
        assert PERSON not in str(rows), table["name"]
    assert not list(sync.staging.rglob("*.parquet"))
    assert sync.query("SELECT state FROM event_delivery") == [{"state": "skipped"}]
    assert sync.query("SELECT body FROM event_inbox") == [{"body": None}]
    # Ometria was not asked for anything.
    assert sync.sandbox.control(f"contacts/members/{PERSON}")


def test_deletion_is_requested_in_ometria_once_and_done_there(sync: Sync, member: str) -> None:
    gone(sync)
    receipt = json.loads(forget("--in-ometria").stdout)
    assert receipt["requested"] == ["ometria_default"]
    stats = sync.sandbox.control("stats")
    assert stats["requests"]["ometria POST /v2/data-deletion-requests"] == {"200": 1}
    assert json.loads(forget("--in-ometria").stdout)["requested"] == []


def test_person_whom_antavo_still_has_is_not_forgotten_unless_forced(sync: Sync, member: str) -> None:
    result = forget()
    assert result.exit_code == 1
    assert "Antavo (antavo_default) still has this customer" in result.stderr
    assert sync.query("SELECT contact_id FROM contact_state WHERE contact_id = :id", id=PERSON)
    assert forget("--force").exit_code == 0


def test_opted_out_person_who_comes_back_is_not_opted_in(sync: Sync, member: str) -> None:
    assert forget("--force").exit_code == 0
    change = {"mobile_phone": None, "properties.newsletter": True}
    sync.sandbox.control("members", {"change": [PERSON], "set": change})
    assert sync.run().green
    assert sync.sandbox.control(f"contacts/members/{PERSON}")["contact"]["marketing_optin"] == "EXPLICITLY_OPTEDOUT"


def test_nobody_is_forgotten_while_a_run_is_at_work(sync: Sync, member: str) -> None:
    gone(sync)
    started = sync.run_until_push()
    result = forget()
    assert result.exit_code == 1
    assert f"Run {started.row['id']} has not ended" in result.stderr


def test_nobody_is_forgotten_while_a_cleared_push_is_at_work(
    sync: Sync, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone(sync)
    sync.member()
    run = sync.run()
    assert run.row["ended_at"]
    original, said = slice_push.push_slice, []

    def push_slice(*args: Any) -> None:
        said.append(forget().stderr)
        original(*args)

    monkeypatch.setattr(slice_push, "push_slice", push_slice)
    again = sync.clear(run, "push", "reconcile")
    assert f"Run {run.row['id']} has not ended" in said[0]
    assert again.books == run.books
    assert forget().exit_code == 0, "its report closed it again"


def test_nothing_is_removed_unless_somebody_says_yes(sync: Sync, member: str) -> None:
    gone(sync)
    result = CliRunner().invoke(app, ["forget", PERSON], input="n\n")
    assert result.exit_code == 1
    assert sync.query("SELECT contact_id FROM contact_state WHERE contact_id = :id", id=PERSON)
