"""Ask Antavo for the customers and rewards that events name: several requests in flight, each once.

A lookup that fails leaves its own events waiting and no others, and one that Antavo refuses rejects its own alone. When
so many fail one after the other that the server must be the cause, the rest is not asked for in this run: it waits for
the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from ometria_provider.exceptions import SyncError
from ometria_provider.ledger import rewards
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.asking import Asking

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook

#: How old a reward may be: its name seldom changes, and a run for each minute would ask for the same few again.
REWARD_AGE = timedelta(minutes=10)

#: Customers, and seconds, that one page's answers serve the next pages of a run: a backlog names the same members.
KEPT, FRESH = 1_000, 30.0

Found = dict[str, Any] | None


class Lookups:
    """Looks customers and rewards of one Antavo account up.

    :param account: the Antavo connection.
    :param detail_fields: what a detail call is asked for beside; empty: none is made.
    """

    def __init__(self, ledger: Ledger, account: str, hook: AntavoHook, detail_fields: Sequence[str]) -> None:
        self._ledger, self._account, self._hook = ledger, account, hook
        self._detail_fields = detail_fields
        self._customers = Asking(self._customer, hook.in_flight)
        self._rewards = Asking(hook.reward, hook.in_flight)
        self._recent: dict[str, tuple[float, Found]] = {}

    def customers(self, ids: Iterable[str]) -> dict[str, Found | SyncError]:
        """Return whole customers of the Read API, with their details where those are read."""
        now = monotonic()
        recent = {id_: found for id_, (at, found) in self._recent.items() if now - at < FRESH}
        unique = list(dict.fromkeys(ids))
        asked = self._customers.all(id_ for id_ in unique if id_ not in recent)
        known = ((id_, (now, one)) for id_, one in asked.items() if not isinstance(one, SyncError))
        kept = [(id_, entry) for id_, entry in self._recent.items() if id_ in recent]
        self._recent = dict([*kept, *known][-KEPT:])
        return {id_: asked[id_] if id_ in asked else recent[id_] for id_ in unique}

    def rewards(self, ids: Iterable[str]) -> dict[str, Found | SyncError]:
        """Return rewards, as the ledger remembers them for a while; no failure and no unknown one is remembered."""
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Found | SyncError] = {}
        if wanted:
            found |= rewards.read_since(self._ledger, self._account, wanted, datetime.now(UTC) - REWARD_AGE)
            asked = self._rewards.all(id_ for id_ in wanted if id_ not in found)
            rewards.keep(self._ledger, self._account, {id_: one for id_, one in asked.items() if isinstance(one, dict)})
            found |= asked
        return found

    def _customer(self, id_: str) -> Found:
        customer = self._hook.customer(id_)
        if customer is None or not self._detail_fields:
            return customer
        from ometria_provider.mapping.customers import with_details

        details = self._hook.details(id_, self._detail_fields)
        return None if details is None else with_details(customer, details)
