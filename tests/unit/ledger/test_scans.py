"""Complete scans, and whoever compared the same members since."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from ledgers import open_run
from ometria_provider.exceptions import Halted
from ometria_provider.ledger import run_steps, runs, scans
from ometria_provider.ledger.engine import Ledger


def scan(ledger: Ledger, run_id: str, read: int, *, opens: bool = True, dry_run: bool = False) -> None:
    run = open_run(ledger, run_id, dry_run=dry_run)
    with contextlib.suppress(Halted), run_steps.working(ledger, run, "gate"):
        if not opens:
            raise Halted("a limit")
    if read:
        runs.close_run(ledger, run.id, state="succeeded", reason=None, counts={"read": read})


def test_last_scan_is_the_latest_whose_gate_opened_and_that_was_closed(ledger: Ledger) -> None:
    scan(ledger, "old", 10)
    scan(ledger, "complete", 20)
    scan(ledger, "dry", 30, dry_run=True)
    scan(ledger, "halted", 40, opens=False)
    scan(ledger, "killed", 0)
    now = open_run(ledger, "now")
    assert scans.last_scan(ledger, now, account="ometria_default", collection="customers") == 20
    assert scans.last_scan(ledger, now, account="ometria_default", collection="another") is None


def test_superseded_by_names_a_newer_run_whose_gate_opened(ledger: Ledger) -> None:
    old = open_run(ledger, "old")
    dry = open_run(ledger, "dry", dry_run=True)
    new = open_run(ledger, "new")

    before = datetime.now(UTC)

    def newer(read_at: datetime = before) -> int | None:
        return scans.superseded_by(ledger, old, account="ometria_default", collection="customers", snapshot_at=read_at)

    with run_steps.working(ledger, dry, "gate"):
        pass
    assert newer() is None
    with run_steps.working(ledger, new, "gate"):
        assert newer() is None
    assert newer() == new.id
    assert newer(datetime.now(UTC)) is None, "what was read after the newer run's gate is newer than what it compared"
