"""Incremental runs: who changed is found and delivered, and everybody is read when that is due."""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import Any

import pytest
from ometria_provider.exceptions import Retryable
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.operators import readback
from sync import FIELDS, VALID, Sync
from work import Outcome

EXPIRING = {"loyalty": "extensions.expiring_points.total", "remote": "points_expiring"}


def green(outcome: Outcome, strategy: str) -> Outcome:
    assert outcome.green, outcome.text
    outcome.assert_balanced()
    assert outcome.row["strategy"] == strategy
    return outcome


def requests(sync: Sync, endpoint: str) -> int:
    """Return how often an endpoint answered well."""
    return sum(
        count
        for name, statuses in sync.stats()["requests"].items()
        if name.endswith(endpoint)
        for status, count in statuses.items()
        if status == "200"
    )


def cursor(sync: Sync) -> Any:
    found = sync.query("SELECT at FROM cursor WHERE name = 'customers'")
    return found[0]["at"] if found else None


def test_first_run_reads_everybody_and_later_ones_only_who_changed(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    first = green(sync.run(), "full")
    assert "Everybody is read, because no complete scan was delivered yet." in first.row["plan"]
    before = sync.received()["received"], requests(sync, "GET /v1/customers")
    changed = sync.members_to_send()[:3]
    pages = requests(sync, "GET /v1/customers")
    sync.change(*changed, score=424_242)
    joined = sync.member()
    run = green(sync.run(), "incremental")
    assert run.books == {"read": 4, "sent": 4, "accepted": 4}
    assert "An incremental run: who changed from 20" in run.row["plan"]
    assert "4 changed customers, each by its id" in run.row["plan"]
    assert requests(sync, "GET /v1/customers") == pages, before
    assert all(sync.contact(member)["properties"]["points"] == 424_242 for member in changed)
    assert sync.contact(joined)["firstname"] == VALID["first_name"]


def test_run_in_which_nobody_changed_is_green_and_sends_nothing(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    age(sync)
    before = sync.received()["received"]
    run = green(sync.run(), "incremental")
    assert run.books == {}
    assert sync.received()["received"] == before


def age(sync: Sync, days: float = 0.0) -> None:
    """Let the members' last changes be long ago, and the last complete scan so many days."""
    sync.execute("UPDATE cursor SET at = :at WHERE name = 'customers'", at=str(datetime(2027, 1, 1)))
    sync.execute("UPDATE sync_run SET started_at = datetime(started_at, :age)", age=f"-{days} days")


def test_customer_read_by_id_has_the_digest_of_the_complete_scan(sync: Sync) -> None:
    """Whoever was found and did not change in what the mapping reads is unchanged, and is not sent."""
    sync.mapping(strategy="incremental", fields=[row for row in FIELDS if row["loyalty"] != "score"])
    green(sync.run(), "full")
    sync.change(*sync.members_to_send()[:40], score=1)
    run = green(sync.run(), "incremental")
    assert run.books == {"read": 40, "unchanged": 40}


def test_full_every_reads_everybody_again_when_it_is_time(sync: Sync) -> None:
    sync.mapping(strategy="incremental", full_every="P2D")
    green(sync.run(), "full")
    age(sync, days=1)
    green(sync.run(), "incremental")
    age(sync, days=1.1)
    run = green(sync.run(), "full")
    assert "because the last complete scan began 2 days ago" in run.row["plan"]


def test_changed_mapping_reads_everybody_again(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    sync.mapping(strategy="incremental", fields=FIELDS[:2])
    run = green(sync.run(), "full")
    assert "the mapping, a rule or the Antavo connection changed" in run.row["plan"]
    green(sync.run(), "incremental")


def test_plan_that_this_version_cannot_read_any_more_counts_as_another_mapping(sync: Sync) -> None:
    """The last scan was planned by a version whose mappings, or suites, had a key that is gone."""
    details = {"loyalty": "extensions.expiring_points.total", "remote": "points_expiring"}
    sync.mapping(strategy="incremental", fields=[*FIELDS, details])
    for column, text in (("planned_mapping", '{"list": 4821, "gone": 1}'), ("planned_suite", '{"gone": 1}')):
        green(sync.run(strategy="full"), "full")
        sync.execute(f"UPDATE sync_run SET {column} = :text", text=text)
        again = green(sync.run(), "full")
        assert "the mapping, a rule or the Antavo connection changed" in again.row["plan"]


def test_param_wins_over_the_file(sync: Sync) -> None:
    sync.mapping()
    green(sync.run(), "full")
    green(sync.run(strategy="incremental"), "incremental")
    green(sync.run(strategy="full"), "full")
    sync.mapping(strategy="incremental")
    green(sync.run(strategy="full"), "full")


def test_cursor_moves_only_when_the_run_delivered(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    first = cursor(sync)
    member = sync.members_to_send()[0]
    sync.change(member, score=424_242)
    sync.run(dry_run=True)
    assert cursor(sync) == first
    sync.fault("500", api="ometria", path="/v2/push")
    assert not sync.run().green
    assert cursor(sync) == first
    sync.mend()
    run = green(sync.run(), "incremental")
    assert run.row["accepted"] >= 1
    assert sync.contact(member)["properties"]["points"] == 424_242


def test_complete_scan_whose_push_failed_is_made_again(sync: Sync) -> None:
    """Its gate was open, but nobody was delivered: reading only later changes would lose all the others."""
    sync.mapping(strategy="incremental")
    sync.fault("500", api="ometria", path="/v2/push")
    assert not sync.run().green
    sync.mend()
    run = green(sync.run(), "full")
    assert run.row["accepted"] == sync.received()["stored"] > 250


def test_member_who_changed_and_left_is_not_read(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    gone, stays = sync.members_to_send()[:2]
    sync.change(gone, stays, score=1)
    search = AntavoHook.changed

    def then_leave(self: AntavoHook, since: datetime, until: datetime) -> Any:
        yield from search(self, since, until)
        sync.sandbox.control("members", {"remove": [gone]})

    monkeypatch.setattr(AntavoHook, "changed", then_leave)
    run = green(sync.run(), "incremental")
    assert run.row["read"] == run.row["accepted"] == 1


def test_details_are_asked_for_on_top(sync: Sync) -> None:
    sync.mapping(strategy="incremental", fields=[*FIELDS, EXPIRING])
    green(sync.run(), "full")
    member = sync.members_to_send()[0]
    before = requests(sync, "GET /customers/{id}")
    sync.change(member, score=70_000)
    run = green(sync.run(), "incremental")
    assert run.row["accepted"] == 1
    assert requests(sync, "GET /customers/{id}") - before == 1
    assert sync.contact(member)["properties"]["points_expiring"] == 7_000


def test_shares_are_of_all_members_not_of_the_few_that_changed(sync: Sync) -> None:
    sync.mapping(
        strategy="incremental",
        fields=[FIELDS[0], {"loyalty": "birth_date", "remote": "date_of_birth"}],
        limits={"max_rejected_share": 0.5, "min_count": 1},
    )
    green(sync.run(), "full")
    sync.change(sync.members_to_send()[0], birth_date="2999-01-01")
    good = sync.member()
    run = green(sync.run(), "incremental")
    assert (run.row["rejected"], run.row["accepted"]) == (1, 1)
    assert sync.contact(good)
    sync.mapping(
        strategy="incremental",
        fields=[FIELDS[0], {"loyalty": "birth_date", "remote": "date_of_birth"}],
        limits={"max_rejected_share": 0.01, "min_count": 1},
    )
    sync.change(*sync.members_to_send()[10:20], birth_date="2998-01-01")
    halted = sync.run()
    assert halted.row["state"] == "halted"
    assert "10 of 300 members would be newly rejected" in halted.text


def test_rejection_that_is_due_is_tried_again_though_the_member_did_not_change(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    poison = sync.member()
    sync.fault("poison", contacts=[poison])
    other = sync.members_to_send()[0]
    sync.change(other, score=5)
    run = green(sync.run(), "incremental")
    assert (run.row["rejected"], run.row["accepted"]) == (1, 1)
    sync.mend()
    age(sync)
    assert green(sync.run(), "incremental").books == {}
    sync.execute("UPDATE contact_state SET changed_at = datetime(changed_at, '-2 days') WHERE state = 'rejected'")
    assert green(sync.run(), "incremental").books == {"read": 1, "sent": 1, "accepted": 1}


def test_what_is_in_doubt_is_looked_at_again_though_the_member_did_not_change(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    doubtful, late, *others = sync.members_to_send()[:6]
    sync.change(doubtful, late, *others, score=11)
    sync.fault("late_error", field="id", contacts=[late])
    with monkeypatch.context() as patch:
        patch.setattr(readback.Reader, "is_over", property(lambda _: True))
        assert green(sync.run(), "incremental").row["unverified"] == 6
    shutil.rmtree(sync.staging)
    age(sync)
    received = sync.received()["received"]
    run = green(sync.run(), "incremental")
    assert run.books == {"read": 6, "unchanged": 5, "rejected": 1}
    assert [row["contact_id"] for row in run.rejections] == [late]
    assert sync.received()["received"] == received, "looked at, not sent again"
    sync.mend()
    sync.execute("UPDATE cursor SET at = datetime('now') WHERE name = 'customers'")
    sync.change(doubtful, others[0], score=12)
    sync.fault("rejected", contacts=[doubtful])
    with monkeypatch.context() as patch:
        patch.setattr(readback.Reader, "is_over", property(lambda _: True))
        assert sync.run().row["pending"] == 2
    sync.mend()
    age(sync)
    resolved = green(sync.run(), "incremental")
    assert [row["contact_id"] for row in resolved.rejections] == [doubtful]
    assert green(sync.run(), "incremental").books == {}


def test_incremental_run_is_no_complete_scan_for_limits_and_departures(sync: Sync) -> None:
    sync.mapping(strategy="incremental", limits={"max_drop_share": 0.1, "max_departed_share": 0.1, "min_count": 1})
    green(sync.run(), "full")
    sync.change(sync.members_to_send()[0], score=5)
    run = green(sync.run(), "incremental")
    assert run.row["departed"] == 0
    assert green(sync.run(strategy="full"), "full").row["departed"] == 0
    assert sync.query("SELECT count(*) AS n FROM contact_state WHERE absent_run_id IS NOT NULL")[0]["n"] == 0


def test_old_runs_push_cleared_after_an_incremental_run_sends_nothing_stale(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    member = sync.members_to_send()[0]
    sync.change(member, score=111)
    old = sync.run_until_push()
    sync.change(member, score=222)
    sync.execute("UPDATE sync_run SET state = 'failed' WHERE id = :id", id=old.row["id"])
    green(sync.run(strategy="incremental"), "incremental")
    sync.clear(old, "push", "reconcile")
    assert sync.contact(member)["properties"]["points"] == 222


def test_search_that_stays_out_of_reach_can_be_tried_again(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    sync.fault("500", api="loyalty", path="/customers")
    run = sync.run()
    assert isinstance(run.errors["plan"], Retryable)
    sync.mend()
    green(sync.run(again=run), "incremental")


def test_mapping_that_changed_while_nothing_could_be_sent_is_delivered_to_everybody(sync: Sync) -> None:
    """The scan after the change opened its gate and sent nothing: those whom it owes did not change since."""
    sync.mapping(strategy="incremental", fields=FIELDS[:2])
    first = green(sync.run(), "full")
    sync.mapping(strategy="incremental")
    sync.fault("500", api="ometria", path="/v2/push")
    assert not sync.run().green
    sync.mend()
    run = green(sync.run(), "full")
    assert run.row["accepted"] == first.row["accepted"]


def test_old_runs_push_cleared_after_the_member_changed_back_sends_nothing(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    member = sync.members_to_send()[0]
    points = sync.contact(member)["properties"]["points"]
    sync.change(member, score=points + 1)
    old = sync.run_until_push()
    sync.change(member, score=points)
    sync.execute("UPDATE sync_run SET state = 'failed' WHERE id = :id", id=old.row["id"])
    assert green(sync.run(), "incremental").books == {"read": 1, "unchanged": 1}
    sync.clear(old, "push", "reconcile")
    assert sync.contact(member)["properties"]["points"] == points


def test_member_who_opted_out_is_taken_off_the_list(sync: Sync) -> None:
    sync.mapping(strategy="incremental")
    green(sync.run(), "full")
    gone = sync.members_to_send()[0]
    sync.sandbox.control("members", {"remove": [gone]})
    run = green(sync.run(), "incremental")
    assert run.row["departed"] == 1
    assert gone not in sync.sandbox.control("lists/4821")
