"""What a run changes, as an editor and a viewer see it: each place for a member's value holds a mark here."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from ledgers import green_run
from ometria_provider.delivery.readback import Change
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.comparing import Comparison, FieldCount, Member
from ometria_provider.web import audit, changes
from pages import FORM
from starlette.responses import HTMLResponse

CHANGES = [Change("firstname", "MARK before", "MARK after", "changed"), Change("points", None, "MARK new", "set")]

FIELDS = [FieldCount("firstname", 0, 1, 0, 3), FieldCount("lastname", 0, 0, 0, 0), FieldCount("id", 0, 0, 0, None)]


@pytest.fixture(autouse=True)
def place(known: Ledger, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of the members of a run with one member, who has marks for values."""
    run = green_run().write(known)
    found = Comparison(7, [Member("280e", False, CHANGES)], FIELDS)
    monkeypatch.setattr(changes, "of_run", lambda *args, **options: found)
    monkeypatch.setattr(audit, "note", lambda *args, **facts: None)
    return f"/ometria/runs/{run.id}/changes/members"


def test_members_are_shown_with_their_values_to_who_may_edit(editor: TestClient, place: str) -> None:
    text = editor.post(place, headers=FORM).text
    assert text.count("MARK") == 3
    assert "1 of 7 members to be sent" in text


def test_fields_that_nobody_would_have_otherwise_are_named_apart(viewer: TestClient, place: str) -> None:
    text = viewer.post(place, headers=FORM).text
    assert '<th scope="row" class="code">firstname</th>' in text
    assert '<th scope="row" class="code">lastname</th>' not in text
    assert 'Stay as they are: <span class="code">lastname, id</span>' in text


def test_members_are_shown_without_any_value_to_who_may_only_look(viewer: TestClient, place: str) -> None:
    text = viewer.post(place, headers=FORM).text
    assert "MARK" not in text
    for told in ("280e", "firstname", "points", "changed", "set", "Values are shown to those who may edit the DAG"):
        assert told in text


def test_nothing_is_shown_when_the_audit_line_cannot_be_written(
    editor: TestClient, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **facts: object) -> None:
        raise audit.NotAudited("no line")

    monkeypatch.setattr(audit, "note", refuse)
    answer = editor.post(place, headers=FORM)
    assert answer.status_code == 503
    assert "MARK" not in answer.text


def test_page_itself_is_given_no_value_of_who_may_only_look(
    editor: TestClient, viewer: TestClient, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def spy(*args: Any, **known: Any) -> HTMLResponse:
        given.append(repr(known["members"]))
        return HTMLResponse("")

    monkeypatch.setattr(changes, "render", spy)
    for client in (editor, viewer):
        client.post(place, headers=FORM)
    assert ["MARK" in each for each in given] == [True, False]


def test_members_are_asked_for_by_the_page_here_only(editor: TestClient, place: str) -> None:
    assert editor.get(place).status_code == 405
    assert editor.post(place, headers={"sec-fetch-site": "cross-site"}).status_code == 403
