"""Two Antavo and two Ometria accounts, a mapping for each pair: what ails one account is nobody else's matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ometria_provider.exceptions import Retryable
from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings
from sync import FAST, UNLIMITED, Sync

ACCOUNTS = ("a", "b")
#: Each mapping's name is that of its accounts, Antavo's first.
PAIRS = tuple(antavo + ometria for antavo in ACCOUNTS for ometria in ACCOUNTS)


@pytest.fixture(scope="module")
def running_other() -> Iterator[RunningSandbox]:
    with running(SandboxSettings(port=0, members=200, seed=7, validation_delay_ms=0, **UNLIMITED)) as sandbox:
        yield sandbox


@pytest.fixture
def other(running_other: RunningSandbox) -> RunningSandbox:
    """Account b of either service; account a is the sandbox that every test has."""
    running_other.control("reset", {})
    return running_other


@pytest.fixture
def pairs(sync: Sync, other: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Sync:
    for account, sandbox in zip(ACCOUNTS, (sync.sandbox, other), strict=True):
        antavo, ometria = sandbox.antavo_connection(requests_per_minute=60_000), sandbox.ometria_connection(**FAST)
        monkeypatch.setenv(f"AIRFLOW_CONN_ANTAVO_{account.upper()}", antavo)
        monkeypatch.setenv(f"AIRFLOW_CONN_OMETRIA_{account.upper()}", ometria)
    for antavo, ometria in PAIRS:
        sync.mapping(antavo + ometria, connections={"antavo": f"antavo_{antavo}", "ometria": f"ometria_{ometria}"})
    return sync


def stored(sandbox: RunningSandbox, mapping: str) -> int:
    """Return how many contacts of a mapping an Ometria account holds."""
    found: dict[str, Any] = sandbox.control("stats")["contacts"].get(mapping, {"stored": 0})
    return int(found["stored"])


@pytest.mark.parametrize(
    "fault",
    [{"kind": "500"}, {"kind": "429", "retry_after": 240}],
    ids=["that answers 500", "that wants to be left alone for minutes"],
)
@pytest.mark.parametrize(
    ("service", "api", "is_ill"),
    [("ometria", "ometria", lambda pair: pair[1] == "b"), ("antavo", "read", lambda pair: pair[0] == "b")],
    ids=["Ometria account", "Antavo account"],
)
def test_account_that_fails_leaves_the_others_green_and_their_budgets_alone(
    pairs: Sync, other: RunningSandbox, service: str, api: str, is_ill: Callable[[str], bool], fault: dict[str, Any]
) -> None:
    """A budget that both accounts shared would let the others wait for those minutes, too."""
    ill, well = [pair for pair in PAIRS if is_ill(pair)], [pair for pair in PAIRS if not is_ill(pair)]
    other.control("faults", {"api": api, **fault})
    failed = pairs.run(ill[0])
    assert failed.state == "failed"
    assert isinstance(next(iter(failed.errors.values())), Retryable)
    assert f"{service}_b" in failed.row["reason"]

    for pair in well:
        run = pairs.run(pair)
        assert run.green, run.text
        run.assert_balanced()
        assert stored(pairs.sandbox if pair[1] == "a" else other, pair) == run.row["accepted"] > 100
    accounts = {row["account"] for row in pairs.query("SELECT account FROM rate_budget")}
    assert {"antavo_a", "antavo_b", "ometria_a"} <= accounts


def test_mappings_of_one_antavo_and_one_ometria_account_each_keep_to_their_pair(
    pairs: Sync, other: RunningSandbox
) -> None:
    for pair in PAIRS:
        run = pairs.run(pair)
        assert run.green, run.text
        own, foreign = (pairs.sandbox, other) if pair[1] == "a" else (other, pairs.sandbox)
        assert stored(own, pair) == run.row["accepted"] > 100
        assert stored(foreign, pair) == 0
