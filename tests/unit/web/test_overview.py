from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from ledgers import green_run, unchanged_run
from ometria_provider.ledger import campaign_facts, cursors, deliveries, inbox
from ometria_provider.ledger.campaign_facts import ApiUse, CampaignFacts
from ometria_provider.ledger.deliveries import Settled
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.inbox import Collected
from ometria_provider.text import moment
from pages import pages
from sqlalchemy.exc import OperationalError

MAPPING = "list: 1\nschedule: '@hourly'\nfields: []\n"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the mappings `customers` and `other`, and no workflow."""
    for name in ("mappings", "workflows"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"AIRFLOW__OMETRIA__{name.upper()}_FOLDER", str(tmp_path / name))
    (tmp_path / "mappings" / "customers.yaml").write_text(MAPPING)
    (tmp_path / "mappings" / "other.yaml").write_text("list: 2\nfields: []\n")
    return tmp_path


@pytest.mark.usefixtures("folders")
def test_overview_shows_the_last_run_of_each_mapping_with_a_chart(known: Ledger, viewer: TestClient):
    green_run().write(known)
    unchanged_run().write(known)
    text = viewer.get("/ometria/").text
    assert '<a href="/ometria/runs/2">Run 2</a>' in text
    assert '/ometria/runs/1"' not in text
    assert "Sent and rejected in the last 2 runs; in the last one 0 and 0." in text
    assert "run 1: 1,973 sent, 12 rejected" in text
    assert "none so far" in text  # of `other`
    assert "no schedule" in text
    assert "@hourly: green at" in text
    assert "Nothing needs attention." in text


@pytest.mark.usefixtures("folders")
def test_overview_puts_what_needs_attention_on_top(known: Ledger, viewer: TestClient):
    green_run(state="failed", reason="Ometria does not answer.").write(known)
    text = viewer.get("/ometria/").text
    assert text.index("Needs attention") < text.index("Ometria does not answer.") < text.index("<h2>Mappings")
    assert "A sync is red" in text
    assert "Nothing needs attention." not in text


@pytest.mark.usefixtures("folders")
def test_overview_shows_names_as_code_and_lets_nothing_through_as_html(known: Ledger, viewer: TestClient):
    green_run(state="halted", reason="Set `limits.<b>` higher, or <i>not</i>.").write(known)
    assert "Set <code>limits.&lt;b&gt;</code> higher, or &lt;i&gt;not&lt;/i&gt;." in viewer.get("/ometria/").text


def test_overview_marks_a_mapping_whose_file_is_broken(known: Ledger, viewer: TestClient, folders: Path):
    assert "file is broken" not in viewer.get("/ometria/").text
    (folders / "mappings" / "other.yaml").write_text("list: 2\nfeilds: []\n")
    text = viewer.get("/ometria/").text
    assert text.index("A mapping file is broken") < text.index("other.yaml, line ") < text.index("<h2>Mappings")
    assert re.search(r'href="/ometria/mappings/other"[^>]*>file is broken</a>', text)


@pytest.mark.usefixtures("folders")
def test_overview_shows_the_share_of_the_rate_limit(known: Ledger, viewer: TestClient):
    green_run().write(known)
    assert '<td class="number">96%</td>' in viewer.get("/ometria/").text


@pytest.mark.usefixtures("folders")
def test_overview_says_so_when_airflow_does_not_say_what_is_paused(
    known: Ledger, viewer: TestClient, monkeypatch: pytest.MonkeyPatch
):
    def is_down():
        raise OperationalError("SELECT", {}, Exception("no answer"))

    monkeypatch.setattr("airflow.utils.session.create_session", is_down)
    green_run().write(known)
    text = viewer.get("/ometria/").text
    assert "does not say which DAGs are paused" in text
    assert ">paused</span>" not in text


@pytest.fixture
def workflow(folders: Path) -> None:
    """A workflow `claimed`."""
    text = "trigger: {event: reward}\naction: {event_type: claimed, payload: [{value: x, remote: y}]}\n"
    (folders / "workflows" / "claimed.yaml").write_text(text)


@pytest.mark.usefixtures("workflow")
@pytest.mark.parametrize(("minutes", "late"), [(1, False), (16, True)])
def test_overview_shows_when_a_workflow_s_events_were_read_and_what_became_of_the_last(
    known: Ledger, viewer: TestClient, minutes: int, late: bool
):
    assert "every minute: never read so far" in viewer.get("/ometria/").text
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    cursors.move(known, "antavo_default", "", "collected:claimed", at=at, run_id=0)
    events = [Collected(str(number), "reward", "ann", at, b"{}", ("claimed",)) for number in range(3)]
    inbox.put(known, "antavo_default", events, inbox.ASKED)
    ends = (deliveries.ACKNOWLEDGED, deliveries.ACKNOWLEDGED, deliveries.REJECTED)
    waiting = deliveries.waiting(known, "antavo_default", limit=3)
    settled = [Settled(one.id, state, "bad") for one, state in zip(waiting, ends, strict=True)]
    deliveries.write(known, "run", settled=settled)
    facts = CampaignFacts((ApiUse("Ometria", 3, 0, 0, 8.0, 0.27),))
    campaign_facts.write(known, "antavo_default", "run", facts)
    text = viewer.get("/ometria/").text
    assert f"every minute: read at {moment(at)}" in text
    assert '<td class="number">27%</td>' in text
    assert ": 2 acknowledged, 1 rejected</td>" in text
    assert ('<span class="state bad">late</span>' in text) is late


@pytest.mark.usefixtures("folders")
def test_overview_shows_nothing_of_dags_that_the_user_may_not_read(known: Ledger):
    green_run(state="failed", reason="No answer.").write(known)
    text = pages("").get("/ometria/").text
    assert ">customers<" not in text
    assert "No answer." not in text
