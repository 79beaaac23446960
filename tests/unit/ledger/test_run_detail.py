from __future__ import annotations

from ledgers import green_run, unchanged_run, write_batch
from ometria_provider.ledger import runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.run_detail import requests_over_time, retries_of


def test_run_s_retries_and_requests_are_its_own(ledger: Ledger):
    first = green_run().write(ledger)
    second = unchanged_run().write(ledger)
    runs.keep_plan(ledger, second, retry_of=first.id)
    write_batch(ledger, first, records=7)
    assert retries_of(ledger, first.id) == [second.id]
    assert retries_of(ledger, second.id) == []
    assert [request.records for request in requests_over_time(ledger, first.id)] == [7]
    assert requests_over_time(ledger, second.id) == []
