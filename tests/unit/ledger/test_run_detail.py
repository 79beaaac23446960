from __future__ import annotations

from ledgers import green_run, unchanged_run, write_batch
from ometria_provider.ledger import runs
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.run_detail import members_by_stage, requests_over_time, retries_of


def test_run_s_retries_stages_and_requests_are_its_own(ledger: Ledger):
    twice = ("m1", "mapping", "email", "wrong"), ("m1", "mapping", "phone", "wrong"), ("m1", "push", None, "refused")
    first = green_run(rejections=twice).write(ledger)
    second = unchanged_run().write(ledger)
    runs.keep_plan(ledger, second, retry_of=first.id)
    write_batch(ledger, first, records=7)
    assert retries_of(ledger, first.id) == [second.id]
    assert retries_of(ledger, second.id) == []
    assert members_by_stage(ledger, first.id) == {"mapping": 1, "push": 1}
    assert [request.records for request in requests_over_time(ledger, first.id)] == [7]
    assert requests_over_time(ledger, second.id) == []
