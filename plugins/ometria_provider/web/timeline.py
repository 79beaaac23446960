"""The push requests of a run over time, beside the account's limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ometria_provider.ledger.run_detail import Request
from ometria_provider.text import duration
from ometria_provider.web.charts import MOST_BARS, Bar, bars


@dataclass(frozen=True)
class Timeline:
    """Requests over time.

    :param each: seconds of one bar.
    """

    requests: int
    records: int
    seconds: float
    each: int
    chart: Markup


def timeline(requests: Sequence[Request], limit: float | None) -> Timeline | None:
    """Return a run's requests over time, or None when it made none.

    :param limit: requests a second that the account allows.
    """
    if not requests:
        return None
    first = requests[0].at
    seconds = (requests[-1].at - first).total_seconds()
    each = max(math.ceil((seconds + 0.001) / MOST_BARS), 1)
    counts = [[0, 0] for _ in range(int(seconds // each) + 1)]
    for request in requests:
        count = counts[int((request.at - first).total_seconds() // each)]
        count[0] += 1
        count[1] += request.records
    drawn = [
        Bar(made / each, 0.0, f"after {duration(number * each)}: {made:,} requests, {records:,} records", "requests")
        for number, (made, records) in enumerate(counts)
    ]
    said = f" The limit is {limit:g} a second." if limit else ""
    most = max(bar.good for bar in drawn)
    title = f"{len(requests):,} requests in {duration(seconds)}, at most {most:g} a second.{said}"
    chart = bars(drawn, title=title, width=720, height=90, limit=limit)
    return Timeline(len(requests), sum(each.records for each in requests), seconds, each, chart)
