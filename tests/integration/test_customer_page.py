"""The customer's page over a real run: who sees what, and that looking leaves a line."""

from __future__ import annotations

import logging
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from ometria_provider.operators.forgetting import mark
from pages import FORM, audited, pages
from sync import VALID, Sync

pytestmark = pytest.mark.usefixtures("airflow_database")

EMAIL = "ann+of.the.page@example.com"


@pytest.fixture
def member(sync: Sync) -> str:
    """A member who was delivered as Ann, and is Anna since."""
    sync.mapping()
    added = sync.sandbox.control("members", {"add": [{**VALID, "first_name": "Ann", "email": EMAIL}]})
    (customer,) = added["added"]
    assert sync.run().green
    sync.sandbox.control("members", {"change": [customer], "set": {"first_name": "Anna"}})
    return str(customer)


def send(browser: TestClient, path: str, **form: str) -> Response:
    headers = {**FORM, "content-type": "application/x-www-form-urlencoded"}
    answer: Response = browser.post(f"/ometria/customers{path}", content=urlencode(form), headers=headers)
    return answer


def test_page_shows_what_the_ledger_knows_and_asks_nobody(sync: Sync, member: str) -> None:
    before = sync.sandbox.control("stats")["requests"]
    page = pages("VIEWER").get(f"/ometria/customers/{member}")
    assert page.status_code == 200
    assert "members</a>: accepted" in page.text
    assert '<a href="/ometria/runs/1">run 1</a>' in page.text
    assert sync.sandbox.control("stats")["requests"] == before


def test_editor_sees_each_value_and_what_differs(sync: Sync, member: str) -> None:
    page = send(pages("USER"), f"/{member}").text
    assert "members: the next run sends it" in page
    assert "&#34;Anna&#34;" in page
    assert "&#34;Ann&#34;" in page
    assert "differs" in page


def test_viewer_sees_field_names_and_no_value(sync: Sync, member: str) -> None:
    page = send(pages("VIEWER"), f"/{member}").text
    assert "members: the next run sends it" in page
    assert "first_name" in page
    assert "differs" in page
    assert "Ann" not in page
    assert EMAIL not in page


def test_stranger_sees_nothing_of_dags_that_are_not_theirs(sync: Sync, member: str) -> None:
    assert "accepted" not in pages("").get(f"/ometria/customers/{member}").text
    answer = send(pages(""), f"/{member}")
    assert answer.status_code == 403
    assert "may not look" in answer.text


def test_looking_leaves_a_line_in_airflows_audit_log_that_names_no_person(sync: Sync, member: str) -> None:
    before = len(audited())
    browser = pages("USER")
    browser.get(f"/ometria/customers/{member}")
    send(browser, f"/{member}")
    send(browser, "", who=EMAIL)
    lines = audited()[before:]
    assert [(line.event, line.owner) for line in lines] == [
        ("ometria_customer_viewed", "user"),
        ("ometria_customer_explained", "user"),
        ("ometria_customer_searched", "user"),
    ]
    assert lines[1].extra == {"values": True, "customer_digests": [mark(member)]}
    assert not any(member in str(line) or EMAIL in str(line) for line in lines)


def test_address_is_looked_up_live_and_kept_nowhere(sync: Sync, member: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="airflow"), caplog.at_level(logging.DEBUG, logger="ometria_provider"):
        answer = send(pages("USER"), "", who=EMAIL)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/ometria/customers/{member}"
    assert EMAIL not in caplog.text
    assert EMAIL.encode() not in sync.ledger_file.read_bytes()
    assert "Nobody was found" in send(pages("USER"), "", who="nobody@example.com").text


def test_address_is_not_looked_up_for_who_may_only_look(sync: Sync, member: str) -> None:
    answer = send(pages("VIEWER"), "", who=EMAIL)
    assert answer.status_code == 403


def test_address_gets_into_no_url_wherever_it_is_typed(sync: Sync, member: str) -> None:
    for address in (EMAIL, "nobody@example.com", f" {EMAIL} "):
        answer = send(pages("USER"), "", who=address)
        assert "@" not in str(answer.url)
        assert "%40" not in answer.headers.get("location", "")
        assert "@" not in answer.headers.get("location", "")


def test_page_of_another_site_can_ask_nothing(sync: Sync, member: str) -> None:
    answer = pages("USER").post(f"/ometria/customers/{member}", headers={**FORM, "sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


def test_id_is_looked_up_from_the_form(sync: Sync, member: str) -> None:
    assert send(pages("VIEWER"), "", who="a/b").headers["location"] == "/ometria/customers/a%2Fb"
    assert "<h1>Customer</h1>" in pages("VIEWER").get("/ometria/customers").text
    assert "a/b" in pages("VIEWER").get("/ometria/customers/a%2Fb").text
