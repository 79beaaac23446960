from __future__ import annotations

from fastapi.testclient import TestClient
from ledgers import green_run
from ometria_provider.ledger.engine import Ledger
from pages import pages


def test_runs_are_listed(known: Ledger, viewer: TestClient):
    green_run().write(known)
    assert '<a href="/ometria/runs/1">1</a>' in viewer.get("/ometria/runs").text


def test_runs_of_dags_that_the_user_may_not_read_are_neither_listed_nor_shown(known: Ledger):
    green_run().write(known)
    stranger = pages("")
    assert "customers" not in stranger.get("/ometria/runs").text
    answer = stranger.get("/ometria/runs/1")
    assert answer.status_code == 403
    assert "may not look" in answer.text
