"""What all pages share: the login, the errors, what a browser may load."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from ledgers import green_run
from ometria_provider.ledger import deliveries, inbox
from ometria_provider.ledger.deliveries import Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.web import audit
from ometria_provider.web.access import SameOrigin
from ometria_provider.web.pages import create_app
from ometria_provider.web.render import STATIC, files
from pages import pages
from starlette.responses import HTMLResponse

EVERY_PAGE = (
    "/ometria/",
    "/ometria/runs",
    "/ometria/runs/1",
    "/ometria/runs/1/rejections",
    "/ometria/runs/1/changes",
    "/ometria/customers",
    "/ometria/customers/m1",
    "/ometria/campaigns/thanks",
    "/ometria/mappings",
    "/ometria/mappings/customers",
)


@pytest.mark.parametrize("page", [*EVERY_PAGE, "/ometria/static/style.css"])
def test_page_signed_out_sends_a_browser_to_the_login_and_back(page):
    answer = pages(None).get(page)
    assert answer.status_code == 303
    to = urlsplit(answer.headers["location"])
    assert to.path == "/api/v2/auth/login"
    assert parse_qs(to.query)["next"] == [f"http://airflow.test{page}"]


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_page_signed_out_refuses_a_program_in_json(page):
    answer = pages(None, accept="application/json").get(page)
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == 401
    assert "signed in" in answer.json()["error"]["message"]


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_page_is_for_viewers_and_loads_nothing_from_elsewhere(
    page, known: Ledger, viewer: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audit, "note", lambda *args, **facts: None)
    green_run().write(known)
    event = Collected("e1", "reward", "ann", datetime.now(UTC), b"{}", ("thanks",))
    inbox.put(known, "antavo_default", [event], inbox.ASKED)
    (waits,) = deliveries.waiting(known, "antavo_default", limit=9)
    deliveries.write(known, "run", settled=[Settled(waits.id, deliveries.ACKNOWLEDGED)])
    answer = viewer.get(page)
    assert answer.status_code == 200, answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert [each for each in loaded if not each.startswith(("/", "#", "?"))] == []
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son\w+=", answer.text)
    for each in loaded:
        if each.startswith("/ometria/static/"):
            assert viewer.get(each).status_code == 200, each


def routes() -> list[APIRoute]:
    return [one for one in create_app().routes if isinstance(one, APIRoute)]


def test_every_page_is_among_those_that_are_looked_at():
    pages = [one for one in routes() if "GET" in one.methods and one.response_class is HTMLResponse]
    paths = [page.removeprefix("/ometria") for page in EVERY_PAGE]
    assert {one.path for one in pages if not any(one.path_regex.match(path) for path in paths)} == set()
    assert len(pages) == len(paths)


def test_what_acts_or_asks_the_apis_is_a_post_from_a_page_here():
    posts = {one.path for one in routes() if "POST" in one.methods}
    guarded = {one.path: one.methods for one in routes() if SameOrigin in one.dependencies}
    assert guarded == {path: {"POST"} for path in posts}, "over plain http a GET does not say where it comes from"
    assert len(posts) == 10


def test_page_shows_where_it_is_and_who_looks(known: Ledger, viewer: TestClient):
    text = viewer.get("/ometria/runs").text
    assert re.findall(r'<a href="([^"]*)" aria-current="page">', text) == ["/ometria/runs"]
    assert ">viewer</p>" in text


def test_unknown_page_and_unknown_run_are_not_found(viewer: TestClient):
    assert viewer.get("/ometria/nothing").status_code == 404
    answer = viewer.get("/ometria/runs/77")
    assert answer.status_code == 404
    assert "The ledger knows no run 77" in answer.text
    answer = viewer.get("/ometria/runs/77", headers={"accept": "application/json"})
    assert answer.json() == {"error": {"status": 404, "message": answer.json()["error"]["message"]}}
    assert viewer.get("/ometria/static/%2e%2e%2fpages.py").status_code == 404


def test_page_without_a_ledger_says_what_makes_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'none.db'}")
    answer = pages("VIEWER").get("/ometria/")
    assert answer.status_code == 409
    assert "the first run makes one" in answer.text


def test_what_the_ledger_holds_is_escaped(known: Ledger, viewer: TestClient):
    green_run(state="failed", reason="<script>alert(1)</script>", plan="<b>").write(known)
    text = viewer.get("/ometria/runs/1").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_files_that_pages_load_are_all_told_apart_by_type():
    assert {path.suffix for path in STATIC.iterdir()} <= {".js", ".css", ".svg"}
    assert files() >= {"style.css", "theme.js", "frame.js", "icon.svg"}
