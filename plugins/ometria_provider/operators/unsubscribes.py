"""Who unsubscribed in Ometria itself: read since the last time, and matched with members.

An unsubscribe names an e-mail and a profile. The profile's identities say which contacts it speaks of, whatever
e-mail they have by now: one request for each new unsubscribe, in ten minutes at most for each reading. What is left
over waits for the next one; until then no new opt-in goes, and no campaign starts. A profile that alone cannot be read
holds up nobody: its person is known by e-mail, and it is asked for again at each reading.
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
from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.ledger import cursors, unsubscribes
from ometria_provider.ledger.engine import Ledger
from ometria_provider.operators.asking import Asking

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
        log.warning("Not all profiles of those who unsubscribed are known now; until they are no new opt-in is sent")
    return known


def catch_up(ledger: Ledger, account: str, hook: OmetriaHook, *, run_id: int, patience: float) -> bool:
    """Read who unsubscribed since the last reading; return whether the profiles of all are known now.

    A profile that cannot be read while others can counts as known: no reading would ever end otherwise.

    :param run_id: the run that the ledger's cursor names; 0: none.
    :param patience: seconds that looking up profiles may take.
    :raises Misconfigured: when the key may not read them.
    :raises Retryable: when Ometria does not answer.
    """
    now = datetime.now(UTC)
    since = cursors.get(ledger, account, "", CURSOR)
    rows = sorted(hook.unsubscribes(since and since - LOOK_BACK), key=lambda row: row.at)
    missing, looked_up = _keep(ledger, account, rows)
    asked = list(islice(missing, int(hook.data_requests_per_second * patience)))
    asking = Asking(hook.profile, hook.concurrency, lambda: looked_up)
    for profile_id, found in asking.told(asked):
        if isinstance(found, SyncError):
            log.warning("Somebody who unsubscribed is known by e-mail only, until the profile can be read: %s", found)
        else:
            marks = [*_people_of(account, found), who(account, "profile", profile_id)]
            unsubscribes.keep(ledger, account, dict.fromkeys(marks, missing.pop(profile_id).at))
    # The next reading begins with those that are missing still.
    cursors.move(ledger, account, "", CURSOR, at=min([now, *(row.at for row in missing.values())]), run_id=run_id)
    unread = missing.keys() & set(asked)
    return len(unread) == len(missing) and (not unread or asking.answers(unread))


def _keep(ledger: Ledger, account: str, rows: Sequence[Unsubscribed]) -> tuple[dict[str, Unsubscribed], list[str]]:
    """Keep the e-mails of a reading; return the profiles to look up, in its order, and those that were before."""
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
    return new, [profile_id for profile_id in profiles.values() if profile_id not in new]


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
