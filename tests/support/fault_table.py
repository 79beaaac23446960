"""The faults of the table, and what is asked of a run that met one."""

from __future__ import annotations

from typing import Any

from sync import Sync
from work import Outcome

#: Seconds that an answer may take here, and seconds that a slow one takes.
TIMEOUT, TOO_LONG = 0.8, 1.2

#: Faults of a server, by their name on the page: what the sandbox is told.
FAULTS: dict[str, dict[str, Any]] = {
    "429 with Retry-After": {"kind": "429", "retry_after": 0.05, "times": 2},
    "429 without Retry-After": {"kind": "429", "times": 2},
    "500": {"kind": "500", "times": 2},
    "502 with an HTML page": {"kind": "502_html", "times": 2},
    "200 with an HTML page": {"kind": "html", "times": 2},
    "connection reset before the server stored": {"kind": "reset_before", "times": 2},
    "connection reset after the server stored": {"kind": "reset_after", "times": 2},
    "time-out before the server stored": {"kind": "timeout_before", "seconds": TOO_LONG, "times": 1},
    "time-out after the server stored": {"kind": "timeout_after", "seconds": TOO_LONG, "times": 1},
    "truncated body": {"kind": "truncated", "times": 2},
    "slow body": {"kind": "slow", "seconds": TOO_LONG, "times": 1},
}

#: Kinds after which the server has stored what the request held, though no answer said so.
STORED = {"reset_after", "timeout_after", "truncated", "slow"}

#: Where each side is struck: in the scan, and in the push.
SIDES: dict[str, dict[str, Any]] = {
    "Antavo": {"api": "read", "path": "/v1/customers", "skip": 1},
    "Ometria": {"api": "ometria", "path": "/v2/push"},
}


def struck(sync: Sync) -> tuple[int, int]:
    """Return how many requests met a fault, and how many pushes of them were stored without an answer."""
    faults = sync.sandbox.control("faults")
    pushes = [fault for fault in faults if fault["api"] == "ometria" and fault["kind"] in STORED]
    return sum(fault["struck"] for fault in faults), sum(fault["struck"] for fault in pushes)


def whole(sync: Sync, run: Outcome, *, in_flight: int) -> str:
    """Hold a run against the promises, and return what the receiving side saw.

    Green, balanced books, nobody lost, each record acknowledged once, and nothing sent twice but what was in flight.

    :param in_flight: records whose requests were stored without an answer that arrived.
    """
    sync.mend()
    assert run.green, run.text
    run.assert_balanced()
    expected, received = len(sync.members_to_send()), sync.received()
    twice = received["received"] - received["contacts"]
    assert received["stored"] == run.row["accepted"] + run.row["unchanged"] == expected - run.row["rejected"]
    assert twice <= in_flight
    acknowledged = sync.query("SELECT sum(records) AS n FROM push_batch WHERE state IN ('acknowledged', 'doubtful')")
    assert acknowledged[0]["n"] == received["stored"], "each record was acknowledged once"
    before = sync.received()
    assert sync.run().row["sent"] == 0, "the next run finds nothing to do"
    assert sync.received() == before
    return f"{received['stored']} of {expected} members stored, {twice} records twice"
