"""A mapping that is edited on the page, saved and run: what arrives is what the page said."""

from __future__ import annotations

import json
import re

import pytest
from pages import pages
from sync import Sync

TEXT = "list: 4821  # asked marketing\nfields:\n  - {loyalty: first_name, remote: firstname}\n"
JSON = {"accept": "application/json", "sec-fetch-site": "same-origin"}


@pytest.mark.usefixtures("airflow_database")
def test_edit_saved_on_the_page_is_what_the_next_run_sends(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.nobody()
    member = sync.member(first_name="ann")
    path = sync.file("members", TEXT)
    assert sync.run().green
    assert sync.contact(member)["firstname"] == "ann"

    monkeypatch.setenv("AIRFLOW__OMETRIA__MAPPINGS_EDITABLE", "True")
    page = pages("USER")
    digest = re.findall(r'data-digest="(\w+)"', page.get("/ometria/mappings/members").text)[0]
    rows = [
        {"origin": 0, "loyalty": "first_name", "remote": "firstname", "transform": "upper"},
        {"constant": True, "value": "antavo", "remote": "loyalty_source"},
    ]
    draft = {"digest": digest, "rows": rows, "keys": {"mode": "v2"}}
    (shown,) = page.post("/ometria/mappings/members/preview", json=draft, headers=JSON).json()["members"]
    assert page.post("/ometria/mappings/members/save", json=draft, headers=JSON).status_code == 200
    assert "# asked marketing\n" in path.read_text()

    assert sync.run().green
    contact = sync.contact(member)
    assert (contact["firstname"], contact["properties"]) == ("ANN", {"loyalty_source": "antavo"})
    sent = {field["remote"]: json.loads(field["sent"]) for field in shown["fields"]}
    assert (sent["firstname"], sent["loyalty_source"]) == ("ANN", "antavo")
