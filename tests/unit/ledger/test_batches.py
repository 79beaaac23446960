"""Push requests in the ledger, counted."""

from __future__ import annotations

from datetime import UTC, datetime

from ledgers import open_run
from ometria_provider.ledger import batches
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import PushBatch
from sqlalchemy import insert


def test_count_records_counts_batches_by_state_and_slice(ledger: Ledger) -> None:
    run = open_run(ledger)
    rows = [(0, "acknowledged", 100), (0, "unanswered", 100), (1, "acknowledged", 7), (1, "doubtful", 5)]
    with ledger.write() as connection:
        for slice_, state, records in rows:
            values = {"records": records, "size": 1, "state": state, "started_at": datetime.now(UTC)}
            connection.execute(insert(PushBatch).values(sync_run_id=run.id, slice=slice_, **values))
    assert batches.count_records(ledger, run.id, "acknowledged", "doubtful") == 112
    assert batches.count_records(ledger, run.id, "acknowledged", slice_=1) == 7
    assert batches.count_records(ledger, run.id, "refused") == 0
