from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from ledgers import PastRun, green_run, unchanged_run, write_batch
from ometria_provider.ledger import approvals, findings, run_steps, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import SyncRun
from ometria_provider.validation.run import RuleResult
from ometria_provider.web import access
from pages import FORM, pages
from sqlalchemy import update


def listed(answer) -> list[int]:
    return [int(number) for number in re.findall(r'<th scope="row"><a href="/ometria/runs/(\d+)">', answer.text)]


def test_runs_are_listed_newest_first_and_paged(known: Ledger, viewer: TestClient):
    for number in range(52):
        replace(unchanged_run(), run_id=f"run {number}").write(known)
    first = viewer.get("/ometria/runs")
    assert listed(first) == list(range(52, 2, -1))
    (older,) = re.findall(r'href="([^"]*before[^"]*)"', first.text)
    second = viewer.get(older)
    assert listed(second) == [2, 1]
    assert "Older" not in second.text
    assert "Newest" in second.text


def test_runs_are_filtered_by_mapping_state_and_day(known: Ledger, viewer: TestClient):
    green_run().write(known)
    green_run(run_id="2", state="failed", reason="No answer.").write(known)
    PastRun(mapping="other", collection="other").write(known)
    with known.write() as connection:
        old = {SyncRun.started_at: datetime(2026, 3, 1, 23, 59, tzinfo=UTC)}
        connection.execute(update(SyncRun).where(SyncRun.id == 1).values(old))
    assert listed(viewer.get("/ometria/runs?mapping=other&state=&since=&until=")) == [3]
    assert listed(viewer.get("/ometria/runs?state=failed")) == [2]
    assert listed(viewer.get("/ometria/runs?until=2026-03-01")) == [1]
    assert listed(viewer.get("/ometria/runs?since=2026-03-01&until=2026-03-01")) == [1]
    assert listed(viewer.get("/ometria/runs?since=2026-03-02")) == [3, 2]
    assert "No such run." in viewer.get("/ometria/runs?mapping=none").text
    wrong = viewer.get("/ometria/runs?since=yesterday")
    assert wrong.status_code == 422
    assert "since" in wrong.text


def test_runs_of_dags_that_the_user_may_not_read_are_neither_listed_nor_shown(known: Ledger):
    green_run().write(known)
    stranger = pages("")
    assert ">customers<" not in stranger.get("/ometria/runs").text
    for page in ("", "/rejections", "/rejections.csv", "/rejections.json"):
        answer = stranger.get(f"/ometria/runs/1{page}")
        assert answer.status_code == 403
        assert "may not look" in answer.text


def test_run_shows_plan_funnel_rejections_requests_and_steps(known: Ledger, viewer: TestClient):
    run = green_run().write(known)
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for second in range(3):
        write_batch(known, run, records=100, ended_at=start + timedelta(seconds=second))
    text = viewer.get("/ometria/runs/1").text
    assert "A complete scan." in text
    assert "1,973 of 2,000 members delivered to Ometria, 12 rejected." in text
    assert '<a href="/ometria/runs/1/rejections?stage=mapping">12 could not be converted</a>' in text
    assert '<a href="/ometria/mappings/customers">15 left out by the mapping' in text
    assert "3 requests in 2.0 s, at most 1 a second. The limit is 8 a second." in text
    assert 'class="limit"' in text
    assert '<a class="code" href="/ometria/customers/m0">m0</a>' in text
    assert 'data-airflow href="/dags/contact_sync__customers/runs/manual__1"' in text
    assert 'data-airflow href="/dags/contact_sync__customers/runs/manual__1/tasks/prepare.map/mapped"' in text


def test_run_shows_rules_and_who_answered_for_it(known: Ledger, viewer: TestClient):
    run = green_run().write(known)
    result = RuleResult("points is not negative", "row", "warning", failed=3, detail="-5 at least")
    findings.keep_rule_result(known, run, 0, result, ["m1", "m2"])
    text = viewer.get("/ometria/runs/1").text
    rules = text[text.index('<h2 id="rules">') : text.index('<h2 id="requests">')]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", rules)
    assert cells[:4] == ["3", "warning", "points is not negative", "-5 at least"]
    assert re.findall(r">(m\d)</a>", cells[4]) == ["m1", "m2"]
    assert '<h2 id="approval">' not in text
    approvals.ask(known, run.id, {"max_changed_share": 21}, ["21 of 40 would change."], timedelta(hours=12))
    assert "Waits for a person until" in viewer.get("/ometria/runs/1").text
    approvals.answer(known, run.id, approvals.REFUSED, by="ann")
    text = viewer.get("/ometria/runs/1").text
    approval = text[text.index('<h2 id="approval">') : text.index('<h2 id="members">')]
    assert re.search(r"<p>Refused by ann, .*: 21 of 40 would change\.</p>", approval)
    assert "Waits for a person" not in approval


def test_run_shows_whom_the_where_left_out_by_its_rules(known: Ledger, viewer: TestClient):
    run = green_run()
    counted = {"where: status": {"members": 13, "first_ids": ["m1"]}, "where: x": {"members": 2, "first_ids": ["m2"]}}
    green_run(facts={**run.facts, ("map", 0): {**run.facts["map", 0], "left_out": counted}}).write(known)
    text = viewer.get("/ometria/runs/1").text
    assert '<a href="/ometria/runs/1#left-out">15 left out by the mapping' in text
    section = text.split('<h2 id="left-out">')[1].split("<h2")[0]
    assert section.index("where: status") < section.index("where: x")
    assert '<td class="number">13</td>' in section
    assert '<a class="code" href="/ometria/customers/m1">m1</a>' in section


def test_run_s_rejections_are_listed_with_where_they_stand_now(known: Ledger, viewer: TestClient):
    rejections = [("m1", "mapping", "email", "is no address"), ("m2", "push", None, "too large")]
    green_run(rejections=rejections).write(known)
    text = viewer.get("/ometria/runs/1/rejections").text
    assert "is no address" in text
    assert "too large" in text
    assert "not delivered" in text
    assert "too large" not in viewer.get("/ometria/runs/1/rejections?stage=mapping").text
    assert "too large" not in viewer.get("/ometria/runs/1/rejections?reason=ADDRESS").text


def test_rejections_as_csv_hold_no_formula(known: Ledger, viewer: TestClient):
    rejections = [("=1+1", "mapping", "a", "+x"), ("-2", "mapping", None, "is, so"), ("m3", "push", "@f", '"q"')]
    green_run(rejections=rejections).write(known)
    answer = viewer.get("/ometria/runs/1/rejections.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "run-1-rejections.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["contact_id"] for row in rows] == ["'=1+1", "'-2", "m3"]
    assert [row["reason"] for row in rows] == ["'+x", "is, so", '"q"']
    assert rows[2]["field"] == "'@f"
    assert rows[0]["now"] == "not delivered"


def test_rejections_as_json_are_all_of_them(known: Ledger, viewer: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ometria_provider.web.export.PAGE", 5)
    green_run().write(known)
    rows = json.loads(viewer.get("/ometria/runs/1/rejections.json").text)
    assert [row["contact_id"] for row in rows] == [f"m{number}" for number in range(12)]
    assert rows[0]["now"]["state"] == "undelivered"
    assert viewer.get("/ometria/runs/1/rejections.json?stage=push").json() == []


@pytest.fixture
def triggered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("ometria_provider.web.retrying.trigger", lambda *call: calls.append(call) or "manual__retry")
    return calls


def test_retry_starts_a_run_in_the_user_s_name(known: Ledger, editor: TestClient, triggered):
    green_run().write(known)
    assert "Retry what is undelivered" in editor.get("/ometria/runs/1").text
    answer = editor.post("/ometria/runs/1/retry", headers=FORM)
    assert answer.status_code == 303
    assert triggered == [("contact_sync__customers", {"retry_run": 1}, "user")]
    text = editor.get(answer.headers["location"]).text
    assert "12 members are undelivered" in text
    assert 'href="/dags/contact_sync__customers/runs/manual__retry"' in text


def test_retry_with_nothing_left_starts_nothing(known: Ledger, editor: TestClient, triggered):
    green_run().write(known)
    unchanged_run().write(known)
    assert "Retry what is undelivered" not in editor.get("/ometria/runs/2").text
    answer = editor.post("/ometria/runs/2/retry", headers=FORM)
    assert "so no run was started" in editor.get(answer.headers["location"]).text
    assert triggered == []


def test_retry_is_for_editors_and_from_this_page_only(known: Ledger, viewer: TestClient, editor: TestClient, triggered):
    green_run().write(known)
    assert "Retry what is undelivered" not in viewer.get("/ometria/runs/1").text
    assert viewer.post("/ometria/runs/1/retry", headers=FORM).status_code == 403
    elsewhere = {"sec-fetch-site": "cross-site", "origin": "http://evil.test"}
    assert editor.post("/ometria/runs/1/retry", headers=elsewhere).status_code == 403
    assert pages(None).post("/ometria/runs/1/retry", headers=FORM).status_code == 401
    assert triggered == []


def test_retry_of_a_dry_run_is_refused_saying_what_to_do(known: Ledger, editor: TestClient, triggered):
    green_run(dry_run=True).write(known)
    answer = editor.post("/ometria/runs/1/retry", headers=FORM)
    assert answer.status_code == 409
    assert "was a dry run" in answer.text


@pytest.fixture
def pushed(known: Ledger) -> str:
    """Return the page of a file push, `own.push[2]`, whose only row was rejected."""
    push = runs.open_run(known, dag_id="own.push[2]", run_id="manual__1", mapping="shop", dry_run=False)
    runs.keep_plan(known, push, account="ometria_default", collection="shop", plan="Push a file.")
    with run_steps.working(known, push, "push", 0):
        findings.reject(known, push.id, 0, "push", [("c-1", "email", "is no address")])
    runs.close_run(known, push.id, state="failed", reason="Nothing arrived.", counts={"read": 1, "rejected": 1})
    return f"/ometria/runs/{push.id}"


def test_page_of_a_file_push_leads_to_its_task_and_offers_no_retry(editor: TestClient, pushed: str, triggered):
    text = editor.get(pushed).text
    assert 'data-airflow href="/dags/own/runs/manual__1"' in text
    assert 'data-airflow href="/dags/own/runs/manual__1/tasks/push/mapped/2"' in text
    assert "/mappings/shop" not in text
    assert "Retry what is undelivered" not in text
    assert "ometria-sync retry" not in text
    assert "Mend the file and start the DAG own again" in text
    answer = editor.post(f"{pushed}/retry", headers=FORM)
    assert answer.status_code == 409
    assert "mend the file, and start the DAG own again" in answer.text
    assert triggered == []


def test_file_push_is_for_those_who_may_read_its_dag(
    known: Ledger, pushed: str, viewer: TestClient, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    monkeypatch.setattr(access, "may_read", lambda _user, dag_id: asked.append(dag_id) or True)
    assert listed(viewer.get("/ometria/runs")) == [1]
    assert viewer.get(pushed).status_code == 200
    assert asked == ["own", "own"]


def test_page_of_contacts_that_a_campaign_pushed_first_leads_to_its_dag_and_retries_by_the_mapping(
    known: Ledger, editor: TestClient, triggered
):
    first = runs.open_run(
        known, dag_id="campaign_events__antavo_default", run_id="contacts__5e0c", mapping="customers", dry_run=False
    )
    runs.keep_plan(known, first, account="ometria_default", collection="customers")
    with run_steps.working(known, first, "push", 0):
        findings.reject(known, first.id, 0, "push", [("m1", "email", "is no address")])
    runs.close_run(known, first.id, state="failed", reason="Nothing arrived.", counts={"read": 1, "rejected": 1})
    text = editor.get("/ometria/runs/1").text
    assert 'data-airflow href="/dags/campaign_events__antavo_default"' in text
    assert "contacts__" not in text
    assert 'href="/ometria/mappings/customers"' in text
    assert "Retry what is undelivered" in text
    answer = editor.post("/ometria/runs/1/retry", headers=FORM)
    assert triggered == [("contact_sync__customers", {"retry_run": 1}, "user")]
    assert 'href="/dags/contact_sync__customers/runs/manual__retry"' in editor.get(answer.headers["location"]).text


@pytest.mark.parametrize(
    "place", [f"/{10**30}", f"/{10**30}/rejections.csv", f"/{10**30}/changes", f"?before={10**30}", "?until=9999-12-31"]
)
def test_number_or_day_that_nothing_can_have_is_refused(viewer: TestClient, place: str) -> None:
    assert viewer.get(f"/ometria/runs{place}").status_code == 422
