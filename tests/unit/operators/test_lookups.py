"""Customers that several pages of events name are asked for once. Who fails: test_asking.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ometria_provider.exceptions import Retryable
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators import lookups
from ometria_provider.operators.lookups import Lookups


@pytest.fixture
def asked() -> list[str]:
    return []


def looking(ledger: Any, asked: list[str]) -> Lookups:
    def customer(id_: str) -> dict[str, Any]:
        asked.append(id_)
        if id_ == "bad":
            raise Retryable("500")
        return {"_id": id_}

    hook: Any = SimpleNamespace(customer=customer, reward=None, in_flight=2)
    return Lookups(ledger, "antavo_default", hook, ())


def test_lookups_serve_a_customer_again_and_ask_again_for_whom_they_failed(
    sqlite_ledger: Ledger, asked: list[str]
) -> None:
    found = looking(sqlite_ledger, asked)
    found.customers(["ann", "bad"])
    again = found.customers(["ann", "bad", "ben"])
    assert (again["ann"], again["ben"]) == ({"_id": "ann"}, {"_id": "ben"})
    assert isinstance(again["bad"], Retryable)
    assert sorted(asked) == ["ann", "bad", "bad", "ben"]


def test_lookups_ask_anew_when_an_answer_is_old(
    sqlite_ledger: Ledger, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "FRESH", 0.0)
    found = looking(sqlite_ledger, asked)
    found.customers(["ann"])
    found.customers(["ann"])
    assert asked == ["ann", "ann"]
