from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ometria_provider.ledger.run_detail import Request
from ometria_provider.web.charts import MOST_BARS
from ometria_provider.web.timeline import timeline

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_timeline_of_no_request_is_none():
    assert timeline([], 8.0) is None


def test_timeline_counts_requests_by_the_second():
    requests = [Request(NOON + timedelta(seconds=second / 8), 100) for second in range(16)]
    found = timeline(requests, 8.0)
    assert found is not None
    assert (found.requests, found.records, found.each) == (16, 1600, 1)
    assert found.chart.count("after") == 2
    assert "16 requests in 1.9 s, at most 8 a second. The limit is 8 a second." in found.chart


def test_timeline_of_a_long_run_has_few_bars():
    requests = [Request(NOON + timedelta(seconds=second), 100) for second in range(1250)]
    found = timeline(requests, None)
    assert found is not None
    assert found.each == 21
    assert found.chart.count("<g>") <= MOST_BARS
    assert "limit" not in found.chart
