"""Tokens of webhooks: one event each."""

from __future__ import annotations

import time

from ometria_provider.ledger import tokens
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import WebhookToken
from sqlalchemy import func, select

SOON = int(time.time()) + 600


def count(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return int(connection.execute(select(func.count()).select_from(WebhookToken)).scalar_one())


def test_token_with_the_event_that_it_came_with_passes_again(ledger):
    assert tokens.spend(ledger, [("t1", "e1", SOON), ("t2", "e2", SOON)]) == set()
    assert tokens.spend(ledger, [("t1", "e1", SOON)]) == set()
    assert count(ledger) == 2


def test_token_with_another_event_comes_too_late(ledger):
    tokens.spend(ledger, [("t1", "e1", SOON)])
    assert tokens.spend(ledger, [("t1", "e2", SOON), ("t3", "e3", SOON)]) == {("t1", "e2")}
    assert tokens.spend(ledger, [("t3", "e3", SOON)]) == set()


def test_token_used_twice_in_one_go_is_good_for_the_first_event(ledger):
    assert tokens.spend(ledger, [("t1", "e1", SOON), ("t1", "e2", SOON)]) == {("t1", "e2")}


def test_token_that_expired_is_forgotten(ledger):
    tokens.spend(ledger, [("old", "e1", int(time.time()) - 10)])
    tokens.spend(ledger, [("new", "e2", SOON)])
    assert count(ledger) == 1
