"""Ledgers as runs leave them, written by the ledger's own functions."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ometria_provider.exceptions import SyncError
from ometria_provider.ledger import contacts, findings, run_steps, runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch
from ometria_provider.ledger.runs import Run
from sqlalchemy import insert

#: The DAG of mapping `customers`.
DAG = "contact_sync__customers"


def open_run(ledger: Ledger, run_id: str = "first", *, dag_id: str = DAG, dry_run: bool = False) -> Run:
    """Open a run of mapping `customers`."""
    run = runs.open_run(ledger, dag_id=dag_id, run_id=run_id, mapping="customers", dry_run=dry_run)
    runs.keep_plan(ledger, run, account="ometria_default", collection="customers")
    return run


@dataclass
class PastRun:
    """What a run did, to be written into a ledger.

    :param facts: what each step counted, by step and slice (-1: the whole run).
    :param errors: how a step ended that did not end well.
    """

    run_id: str = "manual__1"
    mapping: str = "customers"
    collection: str = "customers"
    account: str = "ometria_default"
    dry_run: bool = False
    plan: str = "A complete scan."
    state: str | None = "succeeded"
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    errors: Mapping[tuple[str, int], SyncError] = field(default_factory=dict)
    rejections: Sequence[tuple[str, str, str | None, str]] = ()

    def write(self, ledger: Ledger) -> Run:
        """Write it; the run stays open when its state is None."""
        dag_id = f"contact_sync__{self.mapping}"
        run = runs.open_run(ledger, dag_id=dag_id, run_id=self.run_id, mapping=self.mapping, dry_run=self.dry_run)
        runs.keep_plan(ledger, run, account=self.account, collection=self.collection, plan=self.plan)
        for (step, slice_), facts in self.facts.items():
            with contextlib.suppress(SyncError), run_steps.working(ledger, run, step, slice_) as work:
                work.facts.update(facts)
                if error := self.errors.get((step, slice_)):
                    raise error
        for contact_id, stage, name, reason in self.rejections:
            findings.reject(ledger, run.id, 0, stage, [(contact_id, name, reason)])
        if self.state:
            runs.close_run(ledger, run.id, state=self.state, reason=self.reason, counts=self.counts)
        return run


def green_run(**changes: Any) -> PastRun:
    """Return a first run over 2,000 members: 1,973 accepted, 15 filtered, 12 rejected."""
    values: dict[str, Any] = {
        "counts": {"read": 2000, "filtered": 15, "rejected": 12, "sent": 1973, "accepted": 1973},
        "facts": {
            ("plan", -1): {"requests": 3, "slices": 1, "expected": 2000},
            ("extract", 0): {"read": 2000, "requests": 3, "throttled": 0, "retried": 1, "rate": 25.0, "seconds": 0.5},
            ("map", 0): {"read": 2000, "filtered": 15, "rejected": 12, "to_send": 1973, "created": 1973},
            ("validate", 0): {"rejected": 0},
            ("gate", -1): {"breaches": []},
            ("push", 0): {"accepted": 1973, "requests": 20, "throttled": 0, "retried": 0, "rate": 8.0, "seconds": 2.6},
            ("reconcile", -1): {},
            ("report", -1): {},
        },
        "rejections": [(f"m{number}", "mapping", "phone_number", "is no phone number") for number in range(12)],
    }
    return PastRun(**{**values, **changes})


def unchanged_run(**changes: Any) -> PastRun:
    """Return a second run, for which there was nothing to do."""
    values: dict[str, Any] = {
        "run_id": "manual__2",
        "counts": {"read": 2000, "unchanged": 2000},
        "facts": {
            ("extract", 0): {"read": 2000, "requests": 3},
            ("map", 0): {"read": 2000, "unchanged": 2000, "to_send": 0},
            ("gate", -1): {},
            ("push", 0): {"accepted": 0, "requests": 0},
        },
    }
    return PastRun(**{**values, **changes})


def write_batch(ledger: Ledger, run: Run, **values: Any) -> int:
    """Write one push request and return its number."""
    common = {"sync_run_id": run.id, "slice": 0, "records": 1, "size": 2, "state": "acknowledged"}
    row = {**common, "started_at": datetime.now(UTC), "ended_at": datetime.now(UTC), **values}
    with ledger.write() as connection:
        return int(connection.execute(insert(PushBatch).values(row).returning(PushBatch.id)).scalar_one())


def write_contact(ledger: Ledger, run: Run, contact_id: str, **values: Any) -> None:
    """Write where one contact stands."""
    common = {
        "account": "ometria_default",
        "collection": "customers",
        "contact_id": contact_id,
        "state": "accepted",
        "reason": None,
        "snapshot_at": None,
        "push_batch_id": None,
        "sync_run_id": run.id,
        "changed_at": datetime.now(UTC),
    }
    with ledger.write() as connection:
        own = {name: [value] for name, value in {**common, **values}.items()}
        contacts.write_states(ledger, connection, {}, own, ("state", "reason", "push_batch_id"))
