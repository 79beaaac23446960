"""A customer explained, as an editor and a viewer see it: each place for a member's value holds a mark here."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from ledgers import green_run, write_contact
from ometria_provider.ledger import inbox
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.operators.explaining import Explained, FieldNow
from ometria_provider.web import audit, customer
from pages import FORM
from starlette.responses import HTMLResponse

FIELDS = (
    FieldNow("firstname", "first_name", "MARK held", (("strip", "MARK stripped"),), "MARK sent", "MARK old", False),
    FieldNow("points", "score", "MARK points", (), "MARK sum", None, None, "Ometria has no contact"),
)


@pytest.fixture(autouse=True)
def _explained(known: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "members.yaml").write_text("list: 1\nfields: []\n")
    monkeypatch.setenv("AIRFLOW__OMETRIA__MAPPINGS_FOLDER", str(tmp_path))
    found = Explained("members", "280e", "members", "280e", True, True, "send", ("its record changed",), FIELDS)

    class Explainer:
        def __init__(self, *args: Any) -> None:
            pass

        def explain(self, mappings: Any) -> list[Explained]:
            return [found]

    monkeypatch.setattr(customer, "Explainer", Explainer)
    monkeypatch.setattr(audit, "note", lambda *args, **facts: None)


def test_customer_is_explained_with_values_to_who_may_edit(editor: TestClient) -> None:
    text = editor.post("/ometria/customers/280e", headers=FORM).text
    assert text.count("MARK") == 6


def test_customer_s_latest_rejections_and_events_are_shown_and_all_of_them_on_asking(
    known: Ledger, viewer: TestClient
) -> None:
    for number in range(1, 24):
        green_run(run_id=str(number), rejections=[("280e", "mapping", "email", f"fault {number}.")]).write(known)
        event = Collected(f"event-{number}.", "reward", "280e", datetime.now(UTC), b"{}", ("thanks",))
        inbox.put(known, "antavo_default", [event], inbox.ASKED)
    text = viewer.get("/ometria/customers/280e").text
    assert "fault 23." in text
    assert "event-23." in text
    assert "fault 3." not in text
    assert "event-3." not in text
    for what in ("rejections", "events"):
        assert f'3 more: <a href="/ometria/customers/280e?all=true#{what}">all {what}</a>' in text
    text = viewer.get("/ometria/customers/280e?all=true").text
    assert "fault 3." in text
    assert "event-3." in text
    assert " more: " not in text


@pytest.mark.parametrize("run", ["rebuilt", "pruned", "there"])
def test_customer_s_page_leads_to_runs_that_the_ledger_still_knows_alone(
    known: Ledger, viewer: TestClient, run: str
) -> None:
    green = green_run(mapping="members", collection="members").write(known)
    number = {"rebuilt": 0, "pruned": 99, "there": green.id}[run]
    write_contact(known, green, "280e", collection="members", sync_run_id=number, absent_run_id=99)
    text = viewer.get("/ometria/customers/280e").text
    said = {
        "rebuilt": "when the ledger was rebuilt from Ometria</li>",
        "pruned": ", run 99</li>",
        "there": ', <a href="/ometria/runs/1">run 1</a></li>',
    }
    assert said[run] in text
    assert "<li>run 99 missed it" in text
    for link in re.findall(r'href="(/ometria/runs/\d+)"', text):
        assert viewer.get(link).status_code == 200


@pytest.mark.parametrize(
    ("value", "steps", "final", "way"),
    [
        ("ann", (), "ann", [("", "ann")]),
        ("ann", (("strip", "ann"), ("lower", "ann")), "ann", [("", "ann")]),
        (" Ann", (("strip", "Ann"), ("lower", "ann")), "ann", [("strip", "Ann"), ("lower", "ann")]),
        ("female", (("strip", "female"),), "f", [("", "f")]),
        (1, (("string", "1"),), "1", [("string", "1")]),
        (1, (("bool", True),), "true", [("bool", True), ("", "true")]),
        (None, (("strip", None),), None, [("", None)]),
    ],
)
def test_way_of_a_value_names_the_transforms_that_changed_it(value: Any, steps: Any, final: Any, way: Any) -> None:
    assert FieldNow("remote", "loyalty", value, steps, final, None, None).way == way


def test_customer_is_explained_without_any_value_to_who_may_only_look(viewer: TestClient) -> None:
    text = viewer.post("/ometria/customers/280e", headers=FORM).text
    assert "MARK" not in text
    for told in ("first_name", "firstname", "differs", "Ometria has no contact", "its record changed"):
        assert told in text


def test_page_itself_is_given_no_value_of_who_may_only_look(
    editor: TestClient, viewer: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def spy(*args: Any, **known: Any) -> HTMLResponse:
        given.append(repr(known["now"]))
        return HTMLResponse("")

    monkeypatch.setattr(customer, "render", spy)
    for client in (editor, viewer):
        client.post("/ometria/customers/280e", headers=FORM)
    assert ["MARK" in each for each in given] == [True, False]
