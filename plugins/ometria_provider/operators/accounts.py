"""Hooks that keep to their account's shared rate budget.

They are imported when they are made: a task that asks no API (nothing changed) does not pay for an HTTP client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ometria_provider.ledger.budget import RateBudget
from ometria_provider.ledger.campaign_facts import ApiUse
from ometria_provider.ledger.engine import Ledger

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.hooks.base import JsonApiHook
    from ometria_provider.hooks.ometria import OmetriaHook


@dataclass(frozen=True)
class Used:
    """A hook that was made, which knows what it was asked for.

    :param api: Antavo or Ometria.
    :param rate: requests a second that the account allows, in the bucket whose use is of interest.
    """

    api: str
    hook: JsonApiHook
    budget: RateBudget
    bucket: str
    rate: float


_noted: list[list[Used]] = []


@contextlib.contextmanager
def noting() -> Iterator[list[Used]]:
    """Note the hooks that are made meanwhile, in whichever thread."""
    made: list[Used] = []
    _noted.append(made)
    try:
        yield made
    finally:
        _noted[:] = [each for each in _noted if each is not made]


def _note(api: str, hook: JsonApiHook, budget: RateBudget, bucket: str, rate: float) -> None:
    for made in _noted:
        made.append(Used(api, hook, budget, bucket, rate))


def uses(made: list[Used], seconds: float) -> list[ApiUse]:
    """Return what each API was asked for by the hooks that were made.

    :param seconds: how long they were at it.
    """
    found = []
    for api in sorted({used.api for used in made}):
        own = [used for used in made if used.api == api]
        rate, taken = own[0].rate, sum(used.budget.granted[used.bucket] for used in own)
        usages = [used.hook.usage for used in own]
        counts = {name: sum(getattr(each, name) for each in usages) for name in ("requests", "throttled", "retried")}
        share = min(taken / (seconds * rate), 1.0) if seconds and rate else None
        found.append(ApiUse(api, **counts, rate=rate, share=share))
    return [use for use in found if use.requests]


def antavo_hook(ledger: Ledger, conn_id: str, *, urgent: bool = False, **options: Any) -> AntavoHook:
    """Return a hook to an Antavo account.

    :param urgent: for a campaign's requests: see `ledger.budget.RateBudget`.
    :param options: of the hook: `attempts`, `first_wait`.
    """
    from ometria_provider.hooks.antavo import AntavoHook

    hook = AntavoHook(conn_id, **options)
    rate = hook.requests_per_minute / 60
    hook.limiter = budget = RateBudget(ledger, conn_id, {"requests": rate}, urgent=urgent)
    _note("Antavo", hook, budget, "requests", rate)
    return hook


def ometria_hook(ledger: Ledger, conn_id: str, *, urgent: bool = False, **options: Any) -> OmetriaHook:
    """Return a hook to an Ometria account.

    :param urgent: for a campaign's requests: see `ledger.budget.RateBudget`.
    :param options: of the hook: `attempts`, `first_wait`.
    """
    from ometria_provider.hooks.ometria import DELETION, DELETIONS_PER_SECOND, OmetriaHook

    hook = OmetriaHook(conn_id, **options)
    rates = {"push": hook.push_requests_per_second, "data": hook.data_requests_per_second}
    rates[DELETION] = DELETIONS_PER_SECOND
    hook.limiter = budget = RateBudget(ledger, conn_id, rates, urgent=urgent)
    _note("Ometria", hook, budget, "push", rates["push"])
    return hook
