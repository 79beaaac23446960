"""Ask Antavo for the customers and rewards that events name: several requests in flight, each once.

A lookup that fails leaves its own events waiting and no others, and one that Antavo refuses rejects its own alone. When
so many fail one after the other that the server must be the cause, the rest is not asked for in this run: it waits for
the next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from ometria_provider.exceptions import Fatal, LookupRefused, Misconfigured, SyncError
from ometria_provider.ledger import rewards
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.asking import side_by_side

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook

#: How old a reward may be: its name seldom changes, and a run for each minute would ask for the same few again.
REWARD_AGE = timedelta(minutes=10)

#: Failures in a row after which nobody is asked any more.
ENOUGH = 20

#: Customers, and seconds, that one page's answers serve the next pages of a run: a backlog names the same members.
KEPT, FRESH = 1_000, 30.0

Found = dict[str, Any] | None


@dataclass
class Asking:
    """Asks for one kind of thing by id, until the server must be taken for dead."""

    ask: Callable[[str], Found]
    in_flight: int
    _failed_in_a_row: int = 0
    _gave_up: SyncError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def all(self, ids: Iterable[str]) -> dict[str, Found | SyncError]:
        """Return what each id stands for: None, where Antavo knows none; an error, where it did not say.

        `LookupRefused` means the id that it stands for: when everybody is refused it does not.
        """
        unique = list(dict.fromkeys(ids))
        if len(unique) < 2:
            return {id_: self._one(id_) for id_ in unique}
        found = dict(side_by_side(self._one, unique, self.in_flight))
        if self._gave_up is None:
            return found
        return {id_: self._gave_up if isinstance(one, LookupRefused) else one for id_, one in found.items()}

    def _one(self, id_: str) -> Found | SyncError:
        if self._gave_up is not None:
            return self._gave_up
        try:
            found = self.ask(id_)
        except SyncError as error:
            with self._lock:
                self._failed_in_a_row += 1
                if not isinstance(error, LookupRefused) and isinstance(error, Fatal):
                    self._gave_up = error
                elif self._failed_in_a_row >= ENOUGH:
                    self._gave_up = _everybody(error)
            return error
        self._failed_in_a_row = 0
        return found


def _everybody(error: SyncError) -> SyncError:
    """Return what a row of failures means that ends with this one."""
    if not isinstance(error, LookupRefused):
        return error
    return Misconfigured(
        f"{error} The last {ENOUGH} lookups failed alike, so that the fault is not in what was asked for."
    )


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
