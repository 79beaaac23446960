"""The page of mappings, over a folder of files and a sandbox that is asked over a real socket."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from ometria_provider.ledger.engine import Ledger
from ometria_provider.mapping.model import Mapping
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from ometria_provider.web import audit
from pages import pages

TEXT = """\
# the newsletter's
list: 4821  # asked marketing
fields:
  - {loyalty: first_name, remote: firstname}
  # points
  - {loyalty: score, remote: points}
"""
JSON = {"accept": "application/json", "sec-fetch-site": "same-origin"}
ROWS = [
    {"origin": 0, "loyalty": "first_name", "remote": "firstname", "transform": "strip"},
    {"origin": 1, "loyalty": "score", "remote": "points"},
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    # Each test has a ledger, and so a rate budget, of its own: limits would count them together.
    unlimited = {"antavo_requests_per_minute": 0, "ometria_push_per_second": 0, "ometria_data_per_second": 0}
    with running(SandboxSettings(port=0, members=40, lists=(4821,), **unlimited)) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, known: Ledger, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "members.yaml").write_text(TEXT)
    monkeypatch.setenv("AIRFLOW__OMETRIA__MAPPINGS_FOLDER", str(folder))
    monkeypatch.setenv("AIRFLOW__OMETRIA__MAPPINGS_EDITABLE", "True")
    return folder


@pytest.fixture
def live(sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_DEFAULT", sandbox.antavo_connection(requests_per_minute=60_000))
    monkeypatch.setenv(
        "AIRFLOW_CONN_OMETRIA_DEFAULT",
        sandbox.ometria_connection(push_requests_per_second=9, data_requests_per_second=500),
    )


def digest(client: TestClient, name: str = "members") -> str | None:
    found = re.search(r'data-digest="(\w*)"', client.get(f"/ometria/mappings/{name}").text)
    assert found
    return found[1] or None


def requests(sandbox: RunningSandbox) -> Counter[str]:
    """Return how often each call of both systems was made."""
    stats = sandbox.control("stats")["requests"]
    return Counter({f"{api} {call}": count for api, calls in stats.items() for call, count in calls.items()})


def post(client: TestClient, what: str, *, name: str = "members", headers: Any = JSON, **body: Any) -> Any:
    return client.post(f"/ometria/mappings/{name}/{what}", json=body, headers=headers)


def test_files_are_listed_with_their_problems(viewer: TestClient, folder: Path) -> None:
    (folder / "broken.yaml").write_text("list: 1\nfields:\n  - {loyalty: frist_name, remote: firstname}\n")
    text = viewer.get("/ometria/mappings").text
    assert '<a href="/ometria/mappings/members">members</a>' in text
    assert "Line 3: unknown loyalty field `frist_name`" in text
    assert "did you mean `first_name`?" in text


def test_files_of_dags_that_the_user_may_not_read_are_neither_listed_nor_shown() -> None:
    stranger = pages("")
    assert "members" not in stranger.get("/ometria/mappings").text
    assert stranger.get("/ometria/mappings/members").status_code == 403
    assert post(stranger, "check", digest="x").status_code == 403


def test_editor_shows_rows_and_offers_fields(viewer: TestClient) -> None:
    text = viewer.get("/ometria/mappings/members").text
    assert 'value="first_name"' in text
    assert '<option value="tiers.&lt;structure&gt;.name" data-modes="v2">' in text
    assert '<option value="date_of_birth">' in text
    assert 'id="save"' not in text
    assert "You may look and try, but not save" in text


def test_editor_has_an_input_for_each_key_of_a_file_that_says_what_it_is_for(viewer: TestClient) -> None:
    text = viewer.get("/ometria/mappings/members").text
    inputs = re.findall(r'data-key="(\w+)"', text)
    assert sorted(inputs) == sorted(key for key in Mapping.model_fields if key not in ("name", "fields"))
    assert not re.findall(r'<small class="quiet">\s*</small>', text)
    assert re.search(r'data-key="approve">.*?<option>always</option>', text, re.DOTALL)


@pytest.mark.parametrize(
    ("key", "written", "line"),
    [
        ("approve", "always", "+approve: always"),
        ("approve_within", "P1D", "+approve_within: P1D"),
        ("retry_rejected", "null", "+retry_rejected: null"),
        ("where", "{country: {in: [GB, IE]}}", "+where: {country: {in: [GB, IE]}}"),
        ("limits", "{max_drop_share: null}", "+limits: {max_drop_share: null}"),
        ("consent", "{force_opt_out: false}", "+consent: {force_opt_out: false}"),
        ("identity", "{email: null}", "+identity: {email: null}"),
    ],
)
def test_key_written_in_the_editor_is_a_line_of_the_file(viewer: TestClient, key: str, written: str, line: str) -> None:
    found = post(viewer, "check", digest=digest(viewer), rows=ROWS, keys={key: written}).json()
    assert [one for one in found["problems"] if not one["warning"]] == []
    assert line in found["difference"].splitlines()


def test_editor_of_a_file_that_is_no_yaml_shows_it_and_what_is_wrong(viewer: TestClient, folder: Path) -> None:
    (folder / "members.yaml").write_text("list: [\n")
    text = viewer.get("/ometria/mappings/members").text
    assert "mended by hand first" in text
    assert "list: [" in text


@pytest.mark.parametrize("name", ["nothing", ".hidden", "a%20b", "..%2Fmembers", "%2Fetc%2Fpasswd"])
def test_editor_of_no_file_is_not_found(editor: TestClient, name: str) -> None:
    assert editor.get(f"/ometria/mappings/{name}").status_code == 404
    assert post(editor, "save", name=name, digest="x", keys={}).status_code in (404, 405)


def test_check_says_problems_by_row_and_the_difference(viewer: TestClient) -> None:
    rows = [ROWS[0], {"loyalty": "tiers.basic.name", "remote": "tier"}]
    found = post(viewer, "check", digest=digest(viewer), rows=rows).json()
    assert [(one["row"], one["key"]) for one in found["problems"]] == [(1, "loyalty")]
    assert "-  - {loyalty: first_name, remote: firstname}\n" in found["difference"]
    found = post(viewer, "check", digest=digest(viewer), rows=rows, keys={"mode": "v2"}).json()
    assert found["problems"] == []


def test_save_writes_the_edit_and_leaves_the_comments(editor: TestClient, folder: Path) -> None:
    answer = post(editor, "save", digest=digest(editor), rows=ROWS, keys={"list": "17"})
    assert answer.status_code == 200, answer.text
    saved = (folder / "members.yaml").read_text()
    assert saved == TEXT.replace("4821", "17").replace("firstname}", "firstname, transform: [strip]}")
    assert answer.json()["digest"] == digest(editor)


def test_save_over_a_file_that_changed_meanwhile_is_refused(editor: TestClient, folder: Path) -> None:
    old = digest(editor)
    (folder / "members.yaml").write_text(TEXT + "mode: v2\n")
    answer = post(editor, "save", digest=old, rows=ROWS)
    assert answer.status_code == 409
    assert "changed meanwhile: nothing was saved" in answer.json()["error"]["message"]
    assert (folder / "members.yaml").read_text() == TEXT + "mode: v2\n"


def test_text_is_the_draft_over_the_file_as_loaded_whatever_became_of_it(
    viewer: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OMETRIA__MAPPINGS_EDITABLE", "False")
    (folder / "members.yaml").write_bytes(TEXT.replace("\n", "\r\n").encode())
    page = viewer.get("/ometria/mappings/members").text
    loaded = json.loads(html.unescape(re.findall(r"data-loaded='([^']*)'", page)[0]))
    assert loaded == TEXT.replace("\n", "\r\n"), "byte for byte"
    (folder / "members.yaml").unlink()
    draft = {"digest": "of another state", "loaded": TEXT, "rows": ROWS, "keys": {"list": "17"}}
    found = post(viewer, "text", **draft).json()
    assert found == {"text": TEXT.replace("4821", "17").replace("firstname}", "firstname, transform: [strip]}")}


def test_text_of_what_cannot_be_put_into_the_file_is_refused(viewer: TestClient) -> None:
    answer = post(viewer, "text", loaded=TEXT, keys={"limits": "{a: ["})
    assert answer.status_code == 422
    assert "There is no file to download: " in answer.json()["error"]["message"]
    assert post(pages(""), "text", loaded=TEXT).status_code == 403


def test_save_of_a_draft_with_errors_is_refused(editor: TestClient, folder: Path) -> None:
    answer = post(editor, "save", digest=digest(editor), keys={"list": "many"})
    assert answer.status_code == 422
    assert (folder / "members.yaml").read_text() == TEXT


def test_save_is_for_who_may_edit_from_the_page_where_files_may_be_written(
    viewer: TestClient, editor: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"digest": digest(editor), "keys": {"list": "17"}}
    assert post(viewer, "save", **body).status_code == 403
    elsewhere = {"accept": "application/json", "sec-fetch-site": "cross-site"}
    assert post(editor, "save", headers=elsewhere, **body).status_code == 403
    assert post(pages(None), "save", **body).status_code == 401
    monkeypatch.setenv("AIRFLOW__OMETRIA__MAPPINGS_EDITABLE", "False")
    answer = post(editor, "save", **body)
    assert answer.status_code == 403
    assert "mappings_editable" in answer.json()["error"]["message"]
    assert 'id="save"' not in editor.get("/ometria/mappings/members").text
    assert (folder / "members.yaml").read_text() == TEXT


def test_new_mapping_begins_with_a_name_and_a_list(editor: TestClient, folder: Path) -> None:
    answer = editor.get("/ometria/mappings?new=vip&list=5100")
    assert answer.headers["location"] == "/ometria/mappings/vip?list=5100"
    assert "does not exist yet" in editor.get("/ometria/mappings/vip?list=5100").text
    assert post(editor, "save", name="vip", start=5100).status_code == 200
    assert "list: 5100\n" in (folder / "vip.yaml").read_text()
    assert post(editor, "save", name="vip", start=5100).status_code == 409


@pytest.mark.usefixtures("live")
def test_preview_shows_live_members_of_the_draft_to_who_may_edit_only(
    viewer: TestClient, editor: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Any] = []
    monkeypatch.setattr(audit, "note", lambda user, event, customers, **facts: noted.append((event, customers, facts)))
    body = {"digest": digest(editor), "rows": ROWS}
    assert post(viewer, "preview", **body).status_code == 403
    members = post(editor, "preview", **body).json()["members"]
    assert len(members) == 5
    (first,) = [field for field in members[0]["fields"] if field["remote"] == "firstname"]
    facts = {"values": True, "dag_id": "contact_sync__members", "mapping": "members"}
    ids = [member["customer"] for member in members]
    assert noted == [("ometria_mapping_previewed", ids, facts)], "looking leaves a line, and a refusal none"
    assert "strip → " in first["way"]
    assert first["sent"].startswith('"')


@pytest.mark.usefixtures("live")
def test_preview_of_each_change_asks_antavo_no_more_than_the_first_one(
    editor: TestClient, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    monkeypatch.setattr(audit, "note", lambda user, event, customers, **facts: noted.append(event))
    points = {"loyalty": "extensions.expiring_points.total", "remote": "expiring"}
    before, seen = requests(sandbox), []
    for transform in ("strip", "upper", "lower"):
        rows = [ROWS[0] | {"transform": transform}, points]
        members = post(editor, "preview", digest=digest(editor), rows=rows, keys={"mode": "v2"}).json()["members"]
        seen.append([member["customer"] for member in members])
    asked = requests(sandbox) - before
    assert sorted(asked.values()) == [1, 5], f"a page of members, and the details of each: {asked}"
    assert seen[0] == seen[1] == seen[2]
    assert noted == ["ometria_mapping_previewed"]


@pytest.mark.usefixtures("live")
def test_lists_and_fields_are_asked_live(viewer: TestClient, editor: TestClient) -> None:
    answer = post(editor, "lists")
    assert answer.status_code == 200, answer.text
    lists = answer.json()["lists"]
    assert {one["id"]: one["type"] for one in lists} == {4821: "STATIC", 5100: "DYNAMIC"}
    found = post(editor, "fields").json()
    filled = {one["name"]: one["filled"] for one in found["fields"]}
    assert found["members"] == filled["id"] == 40
    assert filled["properties.favourite_store"]
    for what in ("lists", "fields"):
        assert post(viewer, what).status_code == 403
        over_http = {"accept": "application/json", "origin": "http://airflow.test"}
        assert post(editor, what, headers=over_http).status_code == 200, "all that a browser says over plain http"


def test_file_with_a_number_that_cannot_be_read_takes_no_other_page_with_it(viewer: TestClient, folder: Path) -> None:
    (folder / "broken.yaml").write_text("list: !!int abc\n")
    text = viewer.get("/ometria/mappings").text
    assert "Line 1: this is no number that can be read" in text
    assert '<a href="/ometria/mappings/members">members</a>' in text


@pytest.mark.parametrize("body", [None, [1]], ids=["nothing", "no form"])
def test_draft_that_is_no_form_is_refused_in_the_shape_of_errors(viewer: TestClient, body: Any) -> None:
    answer = viewer.post("/ometria/mappings/members/check", json=body, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["status"]) == (422, 422)


@pytest.mark.parametrize(
    "draft",
    [
        {"rows": [{"loyalty": "x", "remote": "y", "transform": "a," * 4_000}] * 20},
        {"keys": {f"key{number}": "" for number in range(20_000)}},
    ],
    ids=["rows", "keys"],
)
def test_draft_larger_than_any_mapping_is_refused(viewer: TestClient, draft: dict[str, Any]) -> None:
    answer = post(viewer, "check", digest=digest(viewer), **draft)
    assert answer.status_code == 422
    assert "no more than 100,000 letters" in answer.json()["error"]["message"]


def test_aliases_of_a_draft_unfold_no_further_than_what_somebody_wrote(viewer: TestClient) -> None:
    bomb = "&a [1, 1, 1, 1, 1, 1], &b [*a, *a, *a, *a, *a, *a], [*b, *b, *b, *b, *b, *b]"
    rows = [{"loyalty": "score", "remote": "points", "transform": bomb}]
    (problem,) = post(viewer, "check", digest=digest(viewer), rows=rows).json()["problems"]
    assert "aliases" in problem["message"]
