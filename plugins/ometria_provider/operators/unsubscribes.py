"""Who unsubscribed in Ometria itself: read since the last time, and matched with members.

An unsubscribe names an e-mail and a profile. The profile's identities say which contacts it speaks of, whatever
e-mail they have by now: one request for each new unsubscribe, in ten minutes at most for each reading. What is left
over waits for the next one, and until then no new opt-in goes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ometria_provider.delivery.consent import who
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import cursors, unsubscribes
from ometria_provider.ledger.engine import Ledger

if TYPE_CHECKING:
    from ometria_provider.hooks.ometria import OmetriaHook
    from ometria_provider.hooks.ometria_answers import Unsubscribed

log = logging.getLogger(__name__)

#: Name of the ledger's cursor, of the whole account.
CURSOR = "unsubscribes"

#: How far each reading looks back behind the one before: clocks differ, and answers may lag.
LOOK_BACK = timedelta(hours=1)

#: Seconds that looking up profiles may take at the account's rate.
PATIENCE = 600


class Person(NamedTuple):
    """What a member is known by in Ometria."""

    contact_id: str
    email: str | None
    customer_id: str | None


def read(ledger: Ledger, account: str, hook: OmetriaHook, *, run_id: int) -> bool:
    """Read who unsubscribed since the last reading; return whether all of them are known now."""
    try:
        known = catch_up(ledger, account, hook, run_id=run_id, patience=PATIENCE)
    except Misconfigured as refusal:
        # Opt-outs must not wait for somebody to mend the key.
        log.warning("Ometria's unsubscribes cannot be read, so that no new opt-in is sent: %s", refusal)
        return False
    if not known:
        log.warning("More unsubscribes than can be looked up now; until they are no new opt-in is sent")
    return known


def catch_up(ledger: Ledger, account: str, hook: OmetriaHook, *, run_id: int, patience: float) -> bool:
    """Read who unsubscribed since the last reading; return whether the profiles of all are known now.

    :param run_id: the run that the ledger's cursor names; 0: none.
    :param patience: seconds that looking up profiles may take.
    :raises Misconfigured: when the key may not read them.
    """
    now = datetime.now(UTC)
    since = cursors.get(ledger, account, "", CURSOR)
    rows = hook.unsubscribes(since and since - LOOK_BACK)
    rows.sort(key=lambda row: row.at)
    until = _keep(ledger, account, hook, rows, room=int(hook.data_requests_per_second * patience))
    cursors.move(ledger, account, "", CURSOR, at=min(until or now, now), run_id=run_id)
    return until is None


def _keep(
    ledger: Ledger, account: str, hook: OmetriaHook, rows: Sequence[Unsubscribed], *, room: int
) -> datetime | None:
    """Keep the unsubscribes of a reading; return the time of the first that was not looked up, None when all were.

    :param room: profiles that may be looked up.
    """
    times: dict[bytes, datetime] = {}
    new: dict[str, Unsubscribed] = {}
    profiles = {who(account, "profile", row.profile_id): row.profile_id for row in rows if row.profile_id}
    known = unsubscribes.known(ledger, account, list(profiles))
    for row in rows:
        if row.email:
            times[who(account, "email", row.email)] = row.at
        mark = who(account, "profile", row.profile_id) if row.profile_id else None
        if row.profile_id and mark is not None and (mark not in known or known[mark] < row.at):
            new[row.profile_id] = row
    unsubscribes.keep(ledger, account, times)
    for profile_id, row in islice(new.items(), room):
        marks = [*_people_of(account, hook.profile(profile_id)), who(account, "profile", profile_id)]
        unsubscribes.keep(ledger, account, dict.fromkeys(marks, row.at))
    return min((row.at for row in islice(new.values(), room, None)), default=None)


def _people_of(account: str, profile: dict[str, Any] | None) -> Iterator[bytes]:
    """Yield the digests of everybody whom a profile speaks of."""
    profile = profile or {}
    for kind, name in (("email", "email"), ("customer", "customer_id")):
        if profile.get(name):
            yield who(account, kind, str(profile[name]))
    for identity in profile.get("identities") or ():
        if isinstance(identity, dict) and identity.get("id"):
            collection = identity.get("@collection", identity.get("collection"))
            yield who(account, "contact", f"{collection}/{identity['id']}")


@dataclass
class Matcher:
    """Tells who of some members of a collection unsubscribed in Ometria."""

    ledger: Ledger
    account: str
    collection: str

    @cached_property
    def _is_needed(self) -> bool:
        return unsubscribes.has_any(self.ledger, self.account)

    def match(self, people: Iterable[Person]) -> list[datetime | None]:
        """Return when each of them unsubscribed last, by whichever thing they are known."""
        if not self._is_needed:
            return [None for _ in people]
        marks = [self._marks(person) for person in people]
        found = unsubscribes.known(self.ledger, self.account, [mark for own in marks for mark in own])
        return [max((found[mark] for mark in own if mark in found), default=None) for own in marks]

    def _marks(self, person: Person) -> list[bytes]:
        marks = [who(self.account, "contact", f"{self.collection}/{person.contact_id}")]
        marks += [who(self.account, "email", person.email)] if person.email else []
        return marks + ([who(self.account, "customer", person.customer_id)] if person.customer_id else [])
