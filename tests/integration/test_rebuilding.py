"""A ledger that was lost, or restored from a backup (docs/how-to/backup-and-restore.md)."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from campaign import Campaign
from click.testing import Result
from ometria_provider.cli.app import app
from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.ledger import cursors, rebuilding
from ometria_provider.ledger.engine import open_ledger
from ometria_provider.mapping.files import load_mapping
from ometria_provider.operators.deliver import complaint
from ometria_provider.operators.newcomers import Newcomers
from ometria_provider.operators.preparing import MAYBE_MAILED
from ometria_provider.settings import read_settings
from sync import FIELDS, Sync
from typer.testing import CliRunner
from work import Outcome

IN, OUT = "EXPLICITLY_OPTEDIN", "EXPLICITLY_OPTEDOUT"
ROWS: list[dict[str, Any]] = [
    *FIELDS,
    {"loyalty": "created_at", "remote": "timestamp_acquired"},
    {"loyalty": "properties.newsletter", "remote": "marketing_optin"},
    {"value": "antavo", "remote": "loyalty_source"},
]

Command = Callable[..., Result]


@pytest.fixture
def command() -> Command:
    """Run `ometria-sync` with these arguments."""
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def sync(sync: Sync) -> Sync:
    """A mapping with consent, and nobody there yet."""
    sync.mapping(fields=ROWS)
    sync.nobody()
    return sync


def rebuilt(command: Command, *options: str) -> dict[str, Any]:
    """Rebuild the mapping `members`, and return what the command says of it."""
    result = command("ledger", "rebuild", "members", "-o", "json", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def lose(sync: Sync) -> None:
    """Lose the ledger, and the staging with it."""
    sync.ledger.engine.dispose()
    open_ledger.cache_clear()
    for file in sync.ledger_file.parent.glob(f"{sync.ledger_file.name}*"):
        file.unlink()
    shutil.rmtree(sync.staging, ignore_errors=True)


def back_up(sync: Sync) -> Callable[[], None]:
    """Copy the ledger; return the function that puts the copy in its place."""
    copy = sync.folder / "backup.db"
    copy.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(sync.ledger_file)) as database:
        database.execute("VACUUM INTO ?", (str(copy),))

    def restore() -> None:
        lose(sync)
        shutil.copy(copy, sync.ledger_file)

    return restore


def by_another(*records: dict[str, Any], collection: str = "members") -> None:
    """Let another sender push to the account."""
    head = {"@type": "contact", "@collection": collection, "@merge": True}
    OmetriaHook().push(json.dumps([head | record for record in records]).encode())


def green(sync: Sync) -> Outcome:
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    return run


def test_lost_ledger_is_rebuilt_and_the_next_run_sends_only_what_differs(
    crowd: Sync, command: Command, wire: list[dict[str, Any]]
) -> None:
    crowd.change(*crowd.ids(), **{"properties.newsletter": True})
    crowd.change(*crowd.members_to_send()[300:400], **{"properties.newsletter": False})
    crowd.mapping(fields=ROWS)
    first = green(crowd)
    listed = crowd.on_list()
    everybody = [id_ for id_ in crowd.members_to_send() if id_ in listed]
    unsubscribed = everybody[10:13]
    lose(crowd)
    changed, corrupted = everybody[1000:1020], everybody[1500:1505]
    crowd.change(*changed, score=123_456)
    by_another(*({"id": id_, "firstname": "Another"} for id_ in corrupted))
    # In Ometria they are opted out by whatever means; Antavo knows nothing of it.
    by_another(*({"id": id_, "marketing_optin": OUT} for id_ in unsubscribed))
    by_another({"id": "stranger", "email": "stranger@example.com"})
    wire.clear()
    found = rebuilt(command)
    assert not wire, "a rebuild reads"
    assert (found["contacts"], found["new"], found["opted_out"]) == (len(everybody) + 1, len(everybody) + 1, 103)
    assert found["requests"] >= len(everybody) // 250

    run = green(crowd)
    # What Ometria refused it does not hold, and a new ledger does not remember.
    refused = {row["contact_id"] for row in first.rejections}
    assert {record["id"] for record in wire} - refused == {*changed, *corrupted}
    assert not [record for record in wire if "marketing_optin" in record and record["id"] not in refused]
    assert (run.row["unchanged"], run.row["accepted"]) == (first.row["accepted"] - 25, 25)
    assert crowd.on_list() == listed, "nobody is taken off the list"
    assert {crowd.contact(id_)["marketing_optin"] for id_ in unsubscribed} == {OUT}
    assert all(crowd.contact(id_).get("firstname") != "Another" for id_ in corrupted)
    wire.clear()
    after = green(crowd)
    assert (wire, after.row["departed"]) == ([], 0)
    assert crowd.state("stranger")["reason"] == rebuilding.STRANGER


def test_opt_out_that_only_ometria_knows_holds_an_opt_in_back_until_a_newer_one(
    sync: Sync, command: Command, wire: list[dict[str, Any]]
) -> None:
    sync.mapping(fields=[*ROWS, {"loyalty": "properties.newsletter_at", "remote": "timestamp_subscribed"}])
    member = sync.member(**{"properties.newsletter": False, "properties.newsletter_at": "2020-01-01T00:00:00Z"})
    green(sync)
    lose(sync)
    # Without the time of the opt-out, which the lost ledger knew, this opt-in would go.
    sync.change(member, **{"properties.newsletter": True})
    rebuilt(command)
    wire.clear()
    green(sync)
    assert sync.contact(member)["marketing_optin"] == OUT
    assert not wire
    assert "opt-in held back" in sync.state(member)["held"]
    sync.change(member, **{"properties.newsletter_at": "2099-01-01T00:00:00Z"})
    green(sync)
    assert sync.contact(member)["marketing_optin"] == IN


def test_value_that_became_empty_while_nobody_knew_is_cleared(sync: Sync, command: Command) -> None:
    member = sync.member(last_name="Lee")
    green(sync)
    lose(sync)
    sync.change(member, last_name=None)
    rebuilt(command)
    green(sync)
    assert "lastname" not in sync.contact(member)


def test_rebuilt_member_who_leaves_after_a_scan_read_him_departs(sync: Sync, command: Command) -> None:
    gone, stays = sync.member(), sync.member()
    green(sync)
    lose(sync)
    rebuilt(command)
    green(sync)
    sync.leave(gone, silently=True)
    assert [green(sync).row["departed"] for _ in range(2)] == [0, 1]
    assert sync.on_list() == {stays}


def test_rebuilt_member_outside_the_where_is_taken_off_the_list(sync: Sync, command: Command) -> None:
    leaves, stays = sync.member(), sync.member()
    green(sync)
    lose(sync)
    sync.change(leaves, status="suspended")
    rebuilt(command)
    assert green(sync).row["departed"] == 1
    assert sync.on_list() == {stays}


def test_contact_that_no_scan_read_is_left_alone_and_sent_anew_when_its_member_comes(
    sync: Sync, command: Command, wire: list[dict[str, Any]]
) -> None:
    away, stays = sync.member(_id="away", email="away@example.com"), sync.member()
    green(sync)
    sync.leave(away, silently=True)
    green(sync)
    assert green(sync).row["departed"] == 1
    lose(sync)
    found = rebuilt(command)
    assert (found["contacts"], found["on_list"], found["off_list"]) == (2, 1, 1)
    wire.clear()
    assert [green(sync).row["departed"] for _ in range(3)] == [0, 0, 0]
    assert not wire
    sync.member(_id="away", email="away@example.com")
    green(sync)
    assert sync.on_list() == {away, stays}


def test_rebuild_that_sends_all_puts_back_who_came_back_meanwhile(sync: Sync, command: Command) -> None:
    away, stays = sync.member(_id="away", email="away@example.com"), sync.member()
    green(sync)
    sync.leave(away)
    assert green(sync).row["departed"] == 1
    lose(sync)
    sync.member(_id="away", email="away@example.com")
    rebuilt(command, "--send-all")
    assert green(sync).row["sent"] == 2
    assert sync.on_list() == {away, stays}


def test_rebuild_of_a_restored_ledger_finds_what_changed_and_changed_back(sync: Sync, command: Command) -> None:
    back, left = sync.member(score=10), sync.member()
    green(sync)
    restore = back_up(sync)
    sync.change(back, score=20)
    green(sync)
    restore()
    sync.change(back, score=10)
    sync.leave(left, silently=True)
    found = rebuilt(command)
    assert (found["new"], found["differing"], found["same"]) == (0, 1, 1)
    green(sync)
    assert sync.contact(back)["properties"]["points"] == 10
    assert green(sync).row["departed"] == 1, "the backup knew that the contact was ours"


def test_restored_ledger_keeps_the_opt_out_that_it_knew(sync: Sync, command: Command) -> None:
    member = sync.member(**{"properties.newsletter": False})
    green(sync)
    known = sync.state(member)["opted_out_at"]
    restore = back_up(sync)
    by_another({"id": member, "marketing_optin": IN})
    restore()
    rebuilt(command)
    assert known
    assert sync.state(member)["opted_out_at"] == known


def test_restored_ledger_leaves_who_departed_departed(sync: Sync, command: Command) -> None:
    away, stays = sync.member(_id="away", email="away@example.com"), sync.member()
    green(sync)
    sync.leave(away)
    assert green(sync).row["departed"] == 1
    back_up(sync)()
    assert rebuilt(command)["departed"] == 1
    assert sync.state(away)["state"] == "departed"
    sync.member(_id="away", email="away@example.com")
    green(sync)
    assert sync.on_list() == {away, stays}


def test_dry_rebuild_counts_and_changes_nothing(sync: Sync, command: Command) -> None:
    member = sync.member()
    green(sync)
    before = sync.state(member)
    by_another({"id": member, "firstname": "Another"})
    found = rebuilt(command, "--dry-run")
    assert (found["contacts"], found["differing"], found["dry_run"]) == (1, 1, True)
    assert sync.state(member) == before


def test_rebuild_that_broke_off_keeps_runs_out_until_it_is_done_again(sync: Sync, command: Command) -> None:
    sync.member()
    green(sync)
    lose(sync)
    sync.fault("refused", status=403, path="/v2/contacts/*", skip=1)
    assert command("ledger", "rebuild", "members").exit_code == 1
    sync.mend()
    run = sync.run()
    assert "and has not ended" in run.text
    assert "ometria-sync ledger rebuild members" in run.text
    rebuilt(command)
    green(sync)


@pytest.mark.parametrize("keys", [{}, {"transactional": True}, {"contact_mapping": None}], ids=str)
def test_events_wait_for_a_rebuild_that_broke_off_and_no_contact_is_pushed_first(
    sync: Sync, command: Command, wire: list[dict[str, Any]], keys: dict[str, Any]
) -> None:
    campaign = Campaign(sync)
    campaign.workflow(**keys)
    event = campaign.happens(sync.member(**{"properties.newsletter": True}))
    sync.fault("refused", status=403, path="/v2/contacts/*")
    assert command("ledger", "rebuild", "members").exit_code == 1
    sync.mend()
    tally = campaign.deliver()
    assert "ometria-sync ledger rebuild members" in str(complaint(tally))
    state, reason = campaign.fate(event)
    assert (state, str(complaint(tally))) == ("waiting", reason)
    assert not wire, "neither contact nor event"
    assert not sync.query("SELECT id FROM sync_run"), "no run was begun in vain"

    rebuilt(command)
    campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged"


def test_contacts_are_not_pushed_first_over_a_rebuild_that_began_meanwhile(
    sync: Sync, wire: list[dict[str, Any]]
) -> None:
    member = sync.member()
    mapping = load_mapping(sync.mapping(fields=ROWS))
    newcomers = Newcomers(sync.ledger, read_settings(), mapping, "campaign_events__antavo_default", True)
    sync.ledger.ready()
    cursors.move(sync.ledger, "ometria_default", "members", rebuilding.CURSOR, at=datetime.now(UTC), run_id=0)
    with pytest.raises(Misconfigured, match="The next run tries again"):
        newcomers.push([member])
    assert not wire
    assert sync.query("SELECT state FROM sync_run") == [{"state": "failed"}], "an open run would keep rebuilds out"


def test_rebuild_beside_a_run_at_work_is_refused(sync: Sync, command: Command) -> None:
    sync.member()
    sync.run_until_push()
    result = command("ledger", "rebuild", "members")
    assert result.exit_code == 1
    assert "Run 1 of members has not ended" in result.output
    assert cursors.get(sync.ledger, "ometria_default", "members", rebuilding.CURSOR) is None


def test_rebuild_where_ometria_lists_no_collection_says_what_a_run_would_do(sync: Sync, command: Command) -> None:
    sync.member()
    sync.fault("refused", status=404, path="/v2/contacts/*")
    result = command("ledger", "rebuild", "members")
    assert result.exit_code == 1
    assert "does not list the contacts of collection members" in result.output


def test_rebuild_of_an_unknown_mapping_is_misuse(sync: Sync, command: Command) -> None:
    result = command("ledger", "rebuild", "membrs")
    assert result.exit_code == 2
    assert "did you mean members" in result.output


def test_new_run_takes_nothing_up_from_the_staging_of_a_lost_one(sync: Sync) -> None:
    sync.member()
    run = green(sync)
    stale = sync.staging / "members" / f"run-{run.row['id']:08}" / "slice-0000" / "extract-part-000000.json"
    stale.write_text("{}")
    sync.ledger.engine.dispose()
    open_ledger.cache_clear()
    for file in sync.ledger_file.parent.glob(f"{sync.ledger_file.name}*"):
        file.unlink()
    assert green(sync).row["id"] == run.row["id"]
    assert not stale.exists()


# What a restored ledger cannot know


def test_events_from_before_a_ledger_was_restored_start_no_campaign_again(sync: Sync, command: Command) -> None:
    campaign = Campaign(sync)
    campaign.workflow(contact_mapping=None)
    member = sync.member()
    before = campaign.happens(member)
    campaign.deliver()
    restore = back_up(sync)
    mailed, now = "mailed", datetime.now(UTC).isoformat()
    campaign.happens(member, id=mailed, timestamp=now)
    campaign.deliver()
    assert campaign.received()["received"] == 2
    restore()
    assert command("ledger", "restored", "--yes").exit_code == 0
    rebuilt(command)
    # As the next collection finds it: Antavo gives what happened since the backup once more.
    campaign.happens(member, id=mailed, timestamp=now)
    late = campaign.happens(member, timestamp="2099-01-01T00:00:00Z")
    campaign.deliver()
    assert campaign.received()["most_for_one"] == 1, "no event came twice"
    assert campaign.fate(before)[0] == "acknowledged"
    state, reason = campaign.fate(mailed)
    assert state == "skipped"
    assert (reason or "").startswith(MAYBE_MAILED), reason
    assert campaign.fate(late) != "skipped"
    # Who knows of one that it was not mailed can still send it.
    wanted = "wanted"
    campaign.happens(member, id=wanted, timestamp=now)
    campaign.deliver(send_again=wanted)
    assert campaign.fate(wanted)[0] == "acknowledged"


def test_event_on_its_way_in_a_backup_waits_to_be_judged_by_its_time(sync: Sync, command: Command) -> None:
    campaign = Campaign(sync)
    campaign.workflow(contact_mapping=None)
    event = campaign.happens(sync.member())
    sync.execute("UPDATE event_delivery SET state='sending'")
    assert command("ledger", "restored", "--yes", "--until", "2020-01-01T00:00").exit_code == 0
    assert campaign.fate(event)[0] == "waiting"
    rebuilt(command)
    campaign.deliver()
    assert campaign.fate(event)[0] == "acknowledged", "no other ledger was at work when it happened"


def test_restored_ledger_ends_its_runs_and_keeps_new_ones_out_until_it_is_rebuilt(sync: Sync, command: Command) -> None:
    member = sync.member()
    green(sync)
    sync.change(member, score=77)
    sync.run_until_push()
    back_up(sync)()
    result = command("ledger", "restored", "--yes", "-o", "json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["runs_ended"], found["to_rebuild"]) == (1, ["members"])
    run = sync.run()
    assert "ometria-sync ledger rebuild members" in run.text
    rebuilt(command)
    green(sync)
    assert sync.contact(member)["properties"]["points"] == 77
    assert command("ledger", "restored", "--yes").exit_code == 0
    assert not sync.run().green
    assert command("ledger", "restored", "--yes", "--without-rebuild").exit_code == 0
    green(sync)


def test_restored_that_nobody_confirms_changes_nothing(sync: Sync, command: Command) -> None:
    sync.member()
    sync.run_until_push()
    assert command("ledger", "restored").exit_code == 1
    assert sync.query("SELECT state FROM sync_run")[0]["state"] == "running"
