"""Every fault of either side, alone and mixed: books balance, nothing is lost, nothing acknowledged is sent again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fault_table import FAULTS, SIDES, STORED, TIMEOUT, struck, whole
from ometria_provider.delivery import batches
from ometria_provider.hooks import antavo
from sync import Sync

BATCH = 20


@pytest.fixture
def small(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Small pages and batches, so that a few hundred members make many requests; and little patience."""
    monkeypatch.setattr(antavo, "PAGE_SIZE", 50)
    monkeypatch.setattr(batches, "MAX_RECORDS", BATCH)
    sync.connect({"extra": {"timeout": TIMEOUT}}, {"extra": {"timeout": TIMEOUT}})
    sync.mapping()
    return sync


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_alone(small: Sync, proof: Any, fault: str, side: str) -> None:
    small.fault(**FAULTS[fault], **SIDES[side])
    run = small.run()
    met, lost = struck(small)
    assert met == FAULTS[fault]["times"]
    assert lost == (met if side == "Ometria" and FAULTS[fault]["kind"] in STORED else 0)
    seen = whole(small, run, in_flight=lost * BATCH)
    proof(fault, side, f"{met} requests met it; {seen}")


def test_faults_mixed_at_ten_percent(small: Sync, proof: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antavo, "PAGE_SIZE", 10)
    monkeypatch.setattr(batches, "MAX_RECORDS", 5)
    for side in ("antavo", "ometria"):
        for fault in FAULTS.values():
            share = 0.1 / len(FAULTS)
            small.fault(**{**fault, "times": None, "probability": share, "api": side})
    run = small.run()
    met, lost = struck(small)
    assert met >= 3
    seen = whole(small, run, in_flight=lost * 5)
    requests = sum(sum(answers.values()) for answers in small.stats()["requests"].values())
    proof("all of these, mixed at 10 %", "both", f"{met} of {requests} requests met one; {seen}")


def _secured(sandbox: Any, name: str, way: str) -> dict[str, Any]:
    """Return what makes a connection meet a fault of the way to the server."""
    import json

    made = sandbox.antavo_connection() if name == "Antavo" else sandbox.ometria_connection()
    connection = json.loads(made)

    def bend(url: str) -> str:
        if way == "TLS error":
            return url.replace("http://", "https://")
        if way == "DNS error":
            return url.replace("127.0.0.1", "nowhere.invalid")
        return url.rpartition(":")[0] + ":1"

    extra = {key: bend(url) for key, url in connection["extra"].items() if key.endswith("_url")}
    return {"host": bend(connection["host"]), "extra": extra}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("way", ["TLS error", "DNS error", "connection refused"])
def test_way_to_the_server_broken_and_mended(small: Sync, proof: Any, way: str, side: str) -> None:
    broken = _secured(small.sandbox, side, way)
    if side == "Antavo":
        small.connect(antavo=broken)
        red = small.run()
    else:
        ready = small.run_until_push()
        small.connect(ometria=broken)
        red = small.clear(ready, "push", "reconcile")
    assert red.state == "failed"
    red.assert_balanced()
    assert f"{side.lower()}_default" in red.text
    assert small.received()["received"] == 0
    small.connect()
    again = small.run(again=red) if side == "Antavo" else small.clear(red, "push", "reconcile")
    seen = whole(small, again, in_flight=0)
    proof(way, side, f"red, nothing sent; mended and cleared: {seen}")


def test_ledger_gone_and_back(small: Sync, proof: Any) -> None:
    ready = small.run_until_push()
    _move(small, small.ledger_file, away := small.folder / "away")
    red = small.clear(ready, "push")
    assert red.state == "failed"
    assert "ledger" in str(red.errors["push[0]"])
    assert small.received()["received"] == 0
    _move(small, away / small.ledger_file.name, small.ledger_file.parent)
    seen = whole(small, small.clear(ready, "push", "reconcile"), in_flight=0)
    proof("ledger gone and back", "ours", f"red, nothing sent; back and cleared: {seen}")


def _move(sync: Sync, file: Path, folder: Path) -> None:
    """Move the ledger and what SQLite keeps beside it."""
    sync.ledger.engine.dispose()
    folder.mkdir(exist_ok=True)
    for part in file.parent.glob(f"{file.name}*"):
        part.replace(folder / part.name)
