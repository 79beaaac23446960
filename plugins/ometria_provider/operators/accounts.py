"""Hooks that keep to their account's shared rate budget.

They are imported when they are made: a task that asks no API (nothing changed) does not pay for an HTTP client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ometria_provider.ledger.budget import RateBudget
from ometria_provider.ledger.engine import Ledger

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.hooks.ometria import OmetriaHook


def antavo_hook(ledger: Ledger, conn_id: str, **options: Any) -> AntavoHook:
    """Return a hook to an Antavo account.

    :param options: of the hook: `attempts`, `first_wait`.
    """
    from ometria_provider.hooks.antavo import AntavoHook

    hook = AntavoHook(conn_id, **options)
    hook.limiter = RateBudget(ledger, conn_id, {"requests": hook.requests_per_minute / 60})
    return hook


def ometria_hook(ledger: Ledger, conn_id: str) -> OmetriaHook:
    """Return a hook to an Ometria account."""
    from ometria_provider.hooks.ometria import OmetriaHook

    hook = OmetriaHook(conn_id)
    rates = {"push": hook.push_requests_per_second, "data": hook.data_requests_per_second}
    hook.limiter = RateBudget(ledger, conn_id, rates)
    return hook
