"""Deliver what waits in a process of its own, so that a test can kill it."""

from __future__ import annotations

import sys
from pathlib import Path

from ometria_provider.ledger.engine import open_ledger
from ometria_provider.operators.deliver import deliver
from ometria_provider.settings import read_settings
from ometria_provider.workflows.files import load_workflow


def main(account: str, run_id: str) -> None:
    settings = read_settings()
    workflows = [load_workflow(path) for path in sorted(Path(settings.workflows_folder).glob("*.yaml"))]
    deliver(open_ledger(settings.ledger_url), workflows, account, run_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
