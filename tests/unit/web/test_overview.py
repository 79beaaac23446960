from __future__ import annotations

from fastapi.testclient import TestClient
from ledgers import PastRun, green_run, unchanged_run
from ometria_provider.ledger.engine import Ledger
from pages import pages


def test_overview_shows_the_last_run_of_each_mapping(known: Ledger, viewer: TestClient):
    green_run().write(known)
    unchanged_run().write(known)
    PastRun(mapping="other", collection="other").write(known)
    text = viewer.get("/ometria/").text
    assert "/ometria/runs/2" in text
    assert "/ometria/runs/3" in text
    assert '/ometria/runs/1"' not in text


def test_overview_shows_nothing_of_dags_that_the_user_may_not_read(known: Ledger):
    green_run().write(known)
    text = pages("").get("/ometria/").text
    assert "customers" not in text
