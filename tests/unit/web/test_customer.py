"""A customer explained, as an editor and a viewer see it: each place for a member's value holds a mark here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from ometria_provider.ledger.engine import Ledger
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
