"""One rate budget for each account, and memory that does not grow with the number of customers."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from ometria_provider.operators import antavo as antavo_operators
from sync import Sync

PER_SECOND = 10
#: What the sandbox admits here: a busy machine delays requests by more than the pace leaves room for. Two budgets in
#: place of one would send twice `PER_SECOND`.
ADMITTED = 13


def test_two_pushes_in_two_processes_share_one_budget(crowd: Sync) -> None:
    """Each alone would be within the account's limit, both together would not."""
    crowd.mapping("one")
    crowd.mapping("two")
    crowd.connect(ometria={"extra": {"push_requests_per_second": PER_SECOND}})
    runs = [crowd.run_until_push("one"), crowd.run_until_push("two")]
    crowd.sandbox.control("settings", {"ometria_push_per_second": ADMITTED})
    crowd.sandbox.control("reset", {"what": ["stats"]})
    processes = [crowd.start_push(run) for run in runs]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]

    stats = crowd.stats()
    assert stats["throttled"] == 0
    pushed = stats["requests"]["ometria POST /v2/push"]
    assert pushed == {"200": 40}
    assert crowd.received("one")["stored"] == crowd.received("two")["stored"] > 1_900


def test_two_pushes_yield_to_somebody_else_on_the_account_and_recover(crowd: Sync) -> None:
    """Another system takes half of the limit for a while: 429s appear, all of ours step back, and all arrives."""
    rate = 20
    crowd.mapping("one")
    crowd.mapping("two")
    crowd.connect(ometria={"extra": {"push_requests_per_second": rate, "concurrency": 4}})
    runs = [crowd.run_until_push("one"), crowd.run_until_push("two")]
    crowd.sandbox.control("settings", {"ometria_push_per_second": rate})
    crowd.sandbox.control("reset", {"what": ["stats"]})
    with stranger(crowd, per_second=rate / 2, requests=20):
        processes = [crowd.start_push(run) for run in runs]
        assert [process.wait(timeout=120) for process in processes] == [0, 0]

    pushed = crowd.stats()["requests"]["ometria POST /v2/push"]
    ours = crowd.query("SELECT facts FROM sync_step WHERE step='push'")
    throttled = sum(json.loads(step["facts"])["throttled"] for step in ours)
    assert throttled > 0, "there was not room for all"
    assert throttled < 20, "a pause is everybody's: nobody tries again meanwhile, and then they go one by one"
    assert pushed["200"] >= 40
    for run, name in zip(runs, ("one", "two"), strict=True):
        again = crowd.clear(run, "reconcile")
        assert again.green, again.text
        again.assert_balanced()
        received = crowd.received(name)
        assert received["stored"] == again.row["accepted"] > 1_900
        assert received["most_for_one"] == 1, "a 429 stores nothing"


@contextlib.contextmanager
def stranger(sync: Sync, *, per_second: float, requests: int) -> Iterator[None]:
    """Let another system push to the account, which does not know of our ledger."""
    made = json.loads(sync.sandbox.ometria_connection())
    record = [{"@type": "contact", "@collection": "strangers", "id": "1", "@merge": True}]
    content = json.dumps(record).encode()
    headers = {"X-Ometria-Auth": made["password"], "Content-Type": "application/json"}

    def push() -> None:
        for _ in range(requests):
            with contextlib.suppress(urllib.error.HTTPError):
                request = urllib.request.Request(f"{made['host']}/v2/push", content, headers)
                urllib.request.urlopen(request).close()
            time.sleep(1 / per_second)

    def until_ours_began() -> None:
        while not sync.query("SELECT id FROM push_batch"):
            time.sleep(0.01)
        push()

    thread = threading.Thread(target=until_ours_began)
    thread.start()
    yield
    thread.join()


def test_normal_run_is_never_throttled_and_reads_whole_pages(crowd: Sync) -> None:
    crowd.mapping()
    crowd.connect({"extra": {"requests_per_minute": 300}}, {"extra": {"push_requests_per_second": PER_SECOND}})
    crowd.sandbox.control("settings", {"antavo_requests_per_minute": 300, "ometria_push_per_second": ADMITTED})
    run = crowd.run()
    assert run.green, run.text
    assert crowd.stats()["throttled"] == 0
    assert run.facts("push")["throttled"] == run.facts("extract")["throttled"] == 0
    assert run.facts("extract")["requests"] <= 6, "2,000 members are two pages, and the end is asked for"


def test_slice_larger_than_a_chunk_is_staged_and_worked_through_in_chunks(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 members share one `created_at`, so no window can part them."""
    from ometria_provider.hooks import antavo

    monkeypatch.setattr(antavo_operators, "CHUNK", 60)
    monkeypatch.setattr(antavo, "PAGE_SIZE", 50)
    sync.mapping()
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert sync.received()["stored"] == run.row["accepted"] == len(sync.members_to_send())
    manifests = [json.loads(file.read_text()) for file in sync.staging.rglob("extract.json")]
    rows = [[chunk["rows"] for chunk in manifest["chunks"]] for manifest in manifests]
    assert sum(map(sum, rows)) == 300
    assert max(max(chunks, default=0) for chunks in rows) <= 60
    assert max(map(len, rows)) >= 3
