"""Details (`extensions.*`): asked only where they can matter, never missing in a record, and not asked twice."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.cli.app import app
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.operators import details as details_module
from sync import FIELDS, Sync
from typer.testing import CliRunner
from work import Outcome

EXPIRING = {"loyalty": "extensions.expiring_points.total", "remote": "points_expiring"}
NEXT = {"loyalty": "extensions.expiring_points.history.0.points", "remote": "next_to_expire"}
#: Without points: what makes details change in the sandbox does not change the rest.
NAMES = [row for row in FIELDS if row["loyalty"] != "score"]


def asked(sync: Sync) -> int:
    """Return how many detail calls Antavo answered well."""
    return sum(
        count
        for name, statuses in sync.stats()["requests"].items()
        if "GET /customers/{id}" in name
        for status, count in statuses.items()
        if status == "200"
    )


def green(outcome: Outcome) -> Outcome:
    assert outcome.green, outcome.text
    outcome.assert_balanced()
    return outcome


def points(sync: Sync, member: str) -> Any:
    return sync.contact(member)["properties"].get("points_expiring")


def test_first_run_asks_everybody_and_sends_whole_records(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING, NEXT])
    run = green(sync.run())
    assert asked(sync) == run.row["read"] == 300
    member = sync.member(score=1_000)
    sync.run()
    assert points(sync, member) == 100
    assert sync.contact(member)["properties"]["next_to_expire"] == 67
    assert sync.received()["stored"] == run.row["accepted"] + 1


def test_second_run_asks_nobody_and_sends_nothing(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING])
    first = green(sync.run())
    before = asked(sync), sync.received()["received"]
    second = green(sync.run())
    assert (asked(sync), sync.received()["received"]) == before
    assert second.row["unchanged"] == first.row["accepted"]
    assert second.row["filtered"] == first.row["filtered"]


def test_changed_member_alone_is_asked_and_sent_with_details(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING])
    green(sync.run())
    before = asked(sync), sync.received()["received"]
    one, other = sync.members_to_send()[:2]
    sync.change(one, first_name="Zoë", score=70_000)
    sync.change(other, score=80_000)  # only its details change, and they are fresh
    run = green(sync.run())
    assert (asked(sync) - before[0], sync.received()["received"] - before[1]) == (1, 1)
    assert points(sync, one) == 7_000
    assert points(sync, other) != 8_000
    assert run.row["unchanged"] + run.row["filtered"] + run.row["rejected"] == 299


def test_old_details_are_asked_again_and_only_changed_ones_sent(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING])
    green(sync.run())
    one = sync.members_to_send()[0]
    sync.change(one, score=80_000)
    sync.execute("UPDATE contact_state SET details_at = datetime(details_at, '-8 days')")
    before = asked(sync), sync.received()["received"]
    green(sync.run())
    assert (asked(sync) - before[0], sync.received()["received"] - before[1]) == (300, 1)
    assert points(sync, one) == 8_000
    green(sync.run())
    assert asked(sync) - before[0] == 300, "the ledger did not learn that the details are fresh again"


def test_changed_mapping_asks_everybody_anew(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING])
    run = green(sync.run())
    sync.mapping(fields=[*FIELDS, EXPIRING])
    again = green(sync.run())
    assert asked(sync) == 600
    assert "about 0 requests for details" not in again.row["plan"]
    assert again.row["accepted"] == run.row["accepted"]


def test_plan_says_how_many_detail_requests_there_are_beside_those_who_changed(sync: Sync) -> None:
    """The plan task and the command say the same; the requests are counted where they arrive."""
    sync.mapping(fields=[*NAMES, EXPIRING])
    active = AntavoHook().count_active()
    assert said(sync) == active, "nobody was asked yet"
    green(sync.run())
    assert said(sync) == 0, "members who are not active count as fresh against those who are"
    one, other = sync.members_to_send()[:2]
    sync.execute("UPDATE contact_state SET details_at = datetime(details_at, '-8 days') WHERE contact_id = :id", id=one)
    sync.leave(other, silently=True)
    assert said(sync) == 1
    before = asked(sync)
    run = green(sync.run())
    assert "about 1 request for details (under a minute more) and one more for each other member" in run.row["plan"]
    assert asked(sync) - before == 1
    # Whoever the last scan missed is not expected to be met again.
    assert said(sync) == 0
    sync.mapping(fields=[*FIELDS, EXPIRING])
    assert said(sync) == AntavoHook().count_active(), "the mapping changed: everybody is asked"


def test_plan_counts_who_is_looked_at_again_whatever_the_age_of_the_details(sync: Sync) -> None:
    sync.change(*sync.members_to_send()[:3], birth_date="2999-01-01")
    born = {"loyalty": "birth_date", "remote": "date_of_birth"}
    no_limits = {"max_rejected_share": None, "max_outstanding_share": None}
    sync.mapping(fields=[*NAMES, EXPIRING, born], limits=no_limits)
    run = green(sync.run())
    due = run.row["rejected"]
    assert due >= 3
    assert said(sync) == 0, "remembered rejections are not due"
    suspects = sync.members_to_send()[10:12]
    for id_ in suspects:
        sync.execute("UPDATE contact_state SET suspect = '*' WHERE contact_id = :id", id=id_)
    assert said(sync) == 2
    sync.execute("UPDATE contact_state SET changed_at = datetime(changed_at, '-2 days')")
    assert said(sync) == due + 2
    before = asked(sync)
    sync.run()
    assert asked(sync) - before == due + 2


def said(sync: Sync) -> int:
    """Return how many requests for details `ometria-sync plan` expects."""
    result = CliRunner().invoke(app, ["plan", "members"])
    found = re.search(r"and about ([\d,]+) requests? for details", result.stdout)
    assert found, result.output
    return int(found[1].replace(",", ""))


def test_member_who_vanished_since_the_scan_is_left_out(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING])
    gone = sync.members_to_send()[0]
    complete = details_module.Details.complete

    def vanish(self: Any, chunk: Any) -> Any:
        sync.sandbox.control("members", {"remove": [gone]})
        return complete(self, chunk)

    monkeypatch.setattr(details_module.Details, "complete", vanish)
    run = green(sync.run())
    assert run.row["read"] == 299
    assert run.facts("extract")["vanished"] == 1
    assert sync.received()["stored"] == run.row["accepted"]


def test_record_made_again_keeps_its_details_when_a_neighbour_changes(sync: Sync) -> None:
    """A chunk in which one member differs is mapped as a whole; the others' details were not asked."""
    sync.mapping(fields=[*NAMES, EXPIRING], on_empty="clear")
    green(sync.run())
    members = sync.members_to_send()
    before = {member: points(sync, member) for member in members[:20]}
    sync.change(members[0], first_name="Zoë")
    green(sync.run())
    assert {member: points(sync, member) for member in members[:20]} == before


def test_rule_about_details_does_not_find_them_missing_where_nobody_asked(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING])
    sync.suite(
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "points_expiring"},
            "severity": "warning",
        }
    )
    green(sync.run())
    sync.change(sync.members_to_send()[0], first_name="Zoë")
    run = green(sync.run())
    assert run.facts("validate")["warnings"] == 0


def test_where_may_read_details(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING], where={"extensions.expiring_points.total": {"gte": 500}})
    sync.nobody()
    rich, poor = sync.member(score=6_000), sync.member(score=6)
    run = green(sync.run())
    assert run.books == {"read": 2, "filtered": 1, "sent": 1, "accepted": 1}
    assert green(sync.run()).books == {"read": 2, "filtered": 1, "unchanged": 1}
    assert asked(sync) == 2
    assert points(sync, rich) == 600
    assert sync.received()["contacts"] == 1, poor


def test_account_without_expiring_points_stops_the_run_before_anything_is_sent(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ometria_provider.hooks.antavo import AntavoHook

    ask = AntavoHook.details

    def without(self: AntavoHook, id: str, fields: Any) -> Any:
        answer = ask(self, id, fields)
        return answer and {name: value for name, value in answer.items() if name != "expiring_points"}

    monkeypatch.setattr(AntavoHook, "details", without)
    sync.mapping(fields=[*NAMES, EXPIRING])
    run = sync.run()
    assert not run.green
    assert "without `expiring_points`" in run.text
    assert sync.received()["received"] == 0


def test_failing_fetch_goes_on_where_it_stood(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING])
    sync.fault("500", api="loyalty", path="/customers/*", skip=180)
    run = sync.run()
    assert not run.green
    fetched = asked(sync)
    assert fetched >= 150
    sync.mend()
    again = green(sync.run(again=run))
    assert asked(sync) <= 300 + 2 * 16, "what was in flight at most is asked twice"
    assert again.row["read"] == 300
    assert sync.received()["most_for_one"] == 1


def test_fetch_killed_goes_on_where_it_stood(sync: Sync) -> None:
    """kill -9 in the middle; the next attempt of the task asks only for what was not kept."""
    sync.mapping(fields=[*NAMES, EXPIRING])
    run = sync.planned()
    sync.sandbox.control("settings", {"latency_ms": 60})
    process = extract(run)
    parts = run_folder(sync, run)
    while not kept_in(parts):
        assert process.poll() is None, "the fetch ended before it could be killed: slow the sandbox down"
        time.sleep(0.01)
    process.kill()
    process.wait()
    sync.sandbox.control("settings", {"latency_ms": 0})
    fetched = asked(sync)
    kept = kept_in(parts)
    assert 0 < kept < 300
    (parts / "details-part-009999.json").write_text('{"at": "2026-01-01T00:00:00+00:00", "rows": [["a')  # cut short
    again = green(sync.run(again=run))
    assert again.row["read"] == 300
    assert asked(sync) == fetched + 300 - kept


def kept_in(parts: Path) -> int:
    """Return how many customers are in whole parts; the last one may be half written, by a living process or a dead."""
    kept = 0
    for part in parts.glob("details-part-*.json"):
        with contextlib.suppress(json.JSONDecodeError):
            kept += len(json.loads(part.read_bytes())["rows"])
    return kept


def extract(run: Outcome) -> subprocess.Popen[bytes]:
    """Extract in a process of its own that keeps a part every 40 customers."""
    work = run.work
    code = (
        "import sys, json; from airflow.sdk import DAG; from ometria_provider.operators import antavo, details;"
        "details.PART = 40; dag_id, run_id, window = sys.argv[1:];"
        "task = antavo.ExtractOperator(task_id='extract', mapping='members', window=json.loads(window),"
        " dag=DAG(dag_id)); task.execute({'run_id': run_id})"
    )
    arguments = [work.dag_id, work.run_id, json.dumps(work.windows[0])]
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.DEVNULL)


def run_folder(sync: Sync, run: Outcome) -> Path:
    return sync.staging / "members" / f"run-{run.row['id']:08}" / "slice-0000"


def test_chosen_customer_is_asked_whatever_the_ledger_says(sync: Sync) -> None:
    sync.mapping(fields=[*NAMES, EXPIRING])
    green(sync.run())
    one = sync.members_to_send()[0]
    sync.change(one, score=80_000)
    before = asked(sync)
    green(sync.run(customer_ids=[one]))
    assert asked(sync) - before == 1
    assert points(sync, one) == 8_000
