"""The network between us and Ometria is cut in the middle of a push."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from network import Line, line
from ometria_provider.exceptions import Retryable
from ometria_provider.hooks.base import JsonApiHook
from sync import Sync

CONCURRENCY = 4


@pytest.fixture
def wire(crowd: Sync) -> Iterator[Line]:
    """The line by which the crowd's pushes reach Ometria, a fifth of a second each."""
    place = urlsplit(crowd.sandbox.url)
    with line((str(place.hostname), int(place.port or 0))) as found:
        far = crowd.sandbox.ometria.replace(f":{place.port}", f":{found.port}")
        crowd.connect(ometria={"host": far, "extra": {"concurrency": CONCURRENCY}})
        crowd.mapping()
        yield found


class Cut(threading.Thread):
    """Cuts a line when a push has been acknowledged some requests.

    :param seconds: after which it is mended; None: somebody else mends it.
    """

    def __init__(self, crowd: Sync, wire: Line, *, seconds: float | None) -> None:
        super().__init__(daemon=True)
        self.crowd, self.wire, self.seconds = crowd, wire, seconds
        self.in_flight = -1

    def run(self) -> None:
        """Wait for the push, cut, count what was on its way, and mend."""
        count = "SELECT coalesce(sum(records), 0) AS n FROM push_batch WHERE state=:state"
        while self.crowd.query(count, state="acknowledged")[0]["n"] < 100 * CONCURRENCY:
            time.sleep(0.01)
        self.wire.cut()
        self.in_flight = self.crowd.query(count, state="sending")[0]["n"]
        if self.seconds is not None:
            time.sleep(self.seconds)
            self.wire.mend()


def test_push_whose_network_is_cut_for_a_moment_goes_on_and_repeats_at_most_what_was_in_flight(
    crowd: Sync, wire: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(JsonApiHook.__init__.__kwdefaults__, "first_wait", 0.1)  # six attempts: two seconds at least
    run = crowd.run_until_push()
    crowd.sandbox.control("settings", {"latency_ms": 200})
    cut = Cut(crowd, wire, seconds=0.5)
    cut.start()
    done = crowd.clear(run, "push", "reconcile")
    cut.join()

    assert done.green, done.text
    done.assert_balanced()
    assert done.facts("push")["retried"] > 0, "nothing met the cut"
    received = crowd.received()
    assert received["stored"] == done.row["accepted"] > 1_500
    assert 0 < cut.in_flight <= 100 * CONCURRENCY
    assert received["repeats"] <= cut.in_flight
    assert received["received"] == done.row["sent"] + received["repeats"]


def test_push_whose_network_stays_cut_is_red_and_goes_on_where_it_was_when_cleared(crowd: Sync, wire: Line) -> None:
    run = crowd.run_until_push()
    crowd.sandbox.control("settings", {"latency_ms": 200})
    cut = Cut(crowd, wire, seconds=None)
    cut.start()
    failed = crowd.clear(run, "push", "reconcile")
    cut.join()

    assert failed.state == "failed"
    assert isinstance(failed.errors["push[0]"], Retryable)
    assert "ometria_default" in failed.row["reason"]
    failed.assert_balanced()
    assert 100 * CONCURRENCY <= failed.row["sent"] < 1_500
    assert failed.row["pending"] > 0

    wire.mend()
    crowd.sandbox.control("settings", {"latency_ms": 0})
    done = crowd.clear(failed, "push", "reconcile")
    assert done.green, done.text
    done.assert_balanced()
    received = crowd.received()
    assert received["stored"] == done.row["accepted"] > 1_500
    assert received["repeats"] <= cut.in_flight <= 100 * CONCURRENCY
