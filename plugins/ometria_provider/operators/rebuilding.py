"""Rebuild what the ledger knows of a mapping's contacts from what Ometria holds of them (ADR 77)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.digests import digest
from ometria_provider.delivery.filled import pack
from ometria_provider.exceptions import Misconfigured
from ometria_provider.ledger import contacts, cursors, rebuilding, remote_fields
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.rebuilding import HeldRow
from ometria_provider.mapping.formats import ID_LIMIT
from ometria_provider.operators import changes
from ometria_provider.operators.accounts import ometria_hook
from ometria_provider.operators.asking import side_by_side

if TYPE_CHECKING:
    from ometria_provider.hooks.ometria import OmetriaHook
    from ometria_provider.mapping.model import Mapping

log = logging.getLogger(__name__)

#: Seconds between two words of progress.
PROGRESS = 5.0

Contact = dict[str, Any]


@dataclass
class Rebuilt:
    """What a rebuild found in Ometria.

    :param contacts: of the collection.
    :param new: unknown to the ledger.
    :param differing: known, with another record than the one that Ometria holds.
    :param same: known, as Ometria holds them.
    :param departed: known as departed, and left so.
    :param opted_out: opted out in Ometria, of marketing or of anything by SMS.
    :param on_list: how many contacts the mapping's list has; None: Ometria does not say.
    """

    mapping: str
    account: str
    collection: str
    dry_run: bool
    contacts: int = 0
    new: int = 0
    differing: int = 0
    same: int = 0
    departed: int = 0
    opted_out: int = 0
    on_list: int | None = None
    requests: int = 0
    seconds: float = 0.0

    @property
    def off_list(self) -> int:
        """How many of the contacts at least are on the mapping's list no more, or never were."""
        return 0 if self.on_list is None else max(self.contacts - self.departed - self.on_list, 0)


def refuse_unfinished(ledger: Ledger, mapping: Mapping, *, then: str = "Then clear this task.") -> None:
    """Let nothing begin that would take a half of the contacts, and of their opt-outs, for all that Ometria holds.

    :param then: what follows for whoever asks.
    :raises Misconfigured: when the mapping's contacts are to be rebuilt, or a rebuild of them is at work, or broke off.
    """
    since = cursors.get(ledger, mapping.connections.ometria, mapping.collection, rebuilding.CURSOR)
    if since is not None:
        raise Misconfigured(
            f"A rebuild of what the ledger knows of {mapping.name} is due since {since:%Y-%m-%d %H:%M} UTC and has not "
            f"ended: `ometria-sync ledger rebuild {mapping.name}`, or wait for the one that is at work. {then}"
        )


def restored(
    ledger: Ledger,
    mappings: Sequence[Mapping],
    antavo: Iterable[str],
    *,
    until: datetime | None = None,
    with_rebuild: bool = True,
) -> int:
    """Tell a ledger that was lost or restored what it cannot know; return how many runs it took for running.

    :param antavo: the Antavo connections whose events start campaigns.
    :param until: up to when another ledger may have been at work; None: until now. Events before it are not mailed.
    :param with_rebuild: let the mappings' runs wait until their contacts are rebuilt.
    """
    ended = rebuilding.end_what_was_at_work(ledger)
    now = datetime.now(UTC)
    for account in antavo:
        cursors.put(ledger, account, "", rebuilding.RESTORED, at=until or now)
    for mapping in mappings:
        of = (ledger, mapping.connections.ometria, mapping.collection)
        if with_rebuild:
            cursors.put(*of, rebuilding.CURSOR, at=now)
        else:
            cursors.forget(*of, rebuilding.CURSOR)
    return ended


def rebuild(
    ledger: Ledger,
    mapping: Mapping,
    *,
    dry_run: bool = False,
    send_all: bool = False,
    progress: Callable[[Rebuilt], None] = lambda _: None,
) -> Rebuilt:
    """Read all contacts of a mapping's collection back, and write what Ometria holds of them into the ledger.

    Doing it again is safe, whenever the one before broke off. Memory holds a few pages.

    :param dry_run: count only; the ledger stays as it is.
    :param send_all: let the next run send everybody once more, what Ometria holds or not: it puts all on the list.
    :param progress: told of what was found so far, every few seconds.
    :raises Misconfigured: when a run for these contacts has not ended, or Ometria does not list the collection.
    """
    account, collection = mapping.connections.ometria, mapping.collection
    if open_ := rebuilding.open_runs(ledger, mapping.name, account, collection):
        raise Misconfigured(
            f"Run {', '.join(map(str, open_))} of {mapping.name} has not ended. Wait for it, with the DAG paused. If "
            "the ledger comes from a backup that was made while it ran, `ometria-sync ledger restored` ends it."
        )
    hook, started = ometria_hook(ledger, account), monotonic()
    found = Rebuilt(mapping.name, account, collection, dry_run)
    if not dry_run:
        cursors.put(ledger, account, collection, rebuilding.CURSOR, at=datetime.now(UTC))
    keeper, told = _Keeper(ledger, mapping, found, send_all=send_all), started
    for page in pages(hook, collection):
        keeper.keep(page)
        found.requests, found.seconds = hook.usage.requests, round(monotonic() - started, 3)
        if monotonic() - told >= PROGRESS:
            told = monotonic()
            progress(found)
    on_list = hook.contact_list(mapping.list)
    found.on_list = on_list.size if on_list else None
    found.requests, found.seconds = hook.usage.requests, round(monotonic() - started, 3)
    if not dry_run:
        # Whoever changed while nobody knew is found by a complete scan only.
        for name in (changes.CURSOR, rebuilding.CURSOR):
            cursors.forget(ledger, account, collection, name)
    return found


def pages(hook: OmetriaHook, collection: str) -> Iterator[list[Contact]]:
    """Yield all contacts of a collection by the page, several pages asked for at once.

    No call deletes a contact (contract/ometria.md), so that pages shift forward at most: nobody is passed over. A page
    may be shorter than what was asked for; only an empty one is the end.

    :raises Misconfigured: when Ometria does not list the collection.
    """
    first = hook.contact_page(collection, 0)
    if first is None:
        raise Misconfigured(
            f"Ometria does not list the contacts of collection {collection} (`GET /contacts/{{collection}}` is an "
            "assumption: docs/unverified.md), so that the ledger cannot be rebuilt from it. A run without a rebuild "
            "sends everybody once more; docs/how-to/backup-and-restore.md says what to look out for."
        )
    step, is_over = len(first), not first

    def offsets() -> Iterator[int]:
        offset = step
        while not is_over:
            yield offset
            offset += step

    yield first
    for _, page in side_by_side(partial(hook.contact_page, collection), offsets(), hook.concurrency):
        is_over = is_over or not page
        if page:
            yield page


class _Keeper:
    """Writes page after page into the ledger, and counts."""

    def __init__(self, ledger: Ledger, mapping: Mapping, found: Rebuilt, *, send_all: bool) -> None:
        self.ledger, self.mapping, self.found, self.send_all = ledger, mapping, found, send_all
        # Bits are handed out by writing: a dry run has none, and needs none.
        given = [] if found.dry_run else mapping.remotes
        self.bits = remote_fields.field_bits(ledger, found.account, found.collection, given) if given else {}

    def keep(self, page: Sequence[Contact]) -> None:
        """Count a page's contacts, and write them down unless the run is dry."""
        own = {id_: contact for contact in page if 0 < len(id_ := str(contact.get("id") or "")) <= ID_LIMIT}
        at = datetime.now(UTC)
        rows = self._rows(own, at)
        found = self.found
        known = contacts.known_contacts(self.ledger, found.account, found.collection, list(own))
        found.contacts += len(rows)
        for row in rows:
            before = known.get(row.contact_id)
            found.new += before is None
            found.opted_out += bool(row.opted_out_at or row.sms_opted_out_at)
            if before is not None and before.state == "departed":
                found.departed += 1
            elif before is not None:
                is_same = (before.fingerprint, before.consent_digest) == (row.fingerprint, row.consent_digest)
                found.same, found.differing = found.same + is_same, found.differing + (not is_same)
        if rows and not found.dry_run:
            if self.send_all:
                rows = [row._replace(fingerprint=contacts.LOOK_AGAIN) for row in rows]
            of = (self.ledger, found.account, found.collection)
            rebuilding.keep_held(*of, rows, list_id=self.mapping.list, at=at)

    def _rows(self, own: dict[str, Contact], at: datetime) -> list[HeldRow]:
        from ometria_provider.mapping.held import held_records, refusals

        held = held_records(self.mapping, list(own.values()))
        remotes = self.mapping.remotes
        filled = pack(held.filled, remotes, self.bits) if self.bits else [b""] * len(own)
        return [
            HeldRow(
                contact_id=id_,
                fingerprint=digest(body),
                filled=bits,
                consent_digest=consent and digest(consent),
                opted_out_at=at if refused[0] else None,
                sms_opted_out_at=at if refused[1] else None,
            )
            for (id_, contact), body, consent, bits in zip(own.items(), held.bodies, held.consents, filled, strict=True)
            for refused in [refusals(contact)]
        ]
