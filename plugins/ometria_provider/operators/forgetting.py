"""Forget one person: remove them from ledger, staging and inbox, and have Ometria delete them if asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING

from ometria_provider.delivery.consent import who
from ometria_provider.exceptions import Halted
from ometria_provider.ledger import forgetting
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.forgetting import Removed
from ometria_provider.mapping.identity import own_id
from ometria_provider.operators.accounts import antavo_hook, ometria_hook
from ometria_provider.staging.store import remove_runs_with

if TYPE_CHECKING:
    from ometria_provider.mapping.model import Mapping


@dataclass(frozen=True)
class Receipt:
    """What forgetting came to. It does not name the person.

    :param person: digest of the id.
    :param removed: what was removed from the ledger.
    :param staged_runs: runs whose staging held the person, and was removed.
    :param requested: Ometria connections at which a deletion was requested.
    :param left_in: what Ometria still holds, as `account/collection`; requested deletions take up to 14 days.
    """

    person: str
    at: datetime
    removed: Removed
    staged_runs: int
    requested: tuple[str, ...]
    left_in: tuple[str, ...]


def mark(customer: str) -> str:
    """Return the digest by which a receipt, and the audit log, name a customer."""
    return blake2b(customer.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def forget(
    ledger: Ledger, staging: str, customer: str, mappings: Sequence[Mapping], *, in_ometria: bool, force: bool = False
) -> Receipt:
    """Forget a person; done again after it broke off, it does the rest.

    :param staging: URI of the staging folder.
    :param mappings: whose accounts are asked.
    :param in_ometria: have Ometria delete the person.
    :param force: also while a run is at work, and though Antavo still has the customer.
    :raises Halted: when one of these is so, and nothing was forced.
    """
    ids = (customer, own_id(customer))
    if not force:
        _refuse(ledger, customer, mappings)
    targets = dict.fromkeys((mapping.connections.ometria, mapping.collection) for mapping in mappings)
    found = [(account, collection) for account, collection, *_ in forgetting.whereabouts(ledger, ids)]
    there = list(dict.fromkeys((*targets, *found)))
    requested: dict[str, None] = {}
    left = []
    for account, collection in there if in_ometria else ():
        hook = ometria_hook(ledger, account)
        if contact := hook.contact(collection, customer):
            hook.request_deletion(contact)
            requested[account] = None
            left.append(f"{account}/{collection}")
    if not in_ometria:
        left = [f"{account}/{collection}" for account, collection in dict.fromkeys(found)]
    staged = remove_runs_with(staging, ids)
    removed = forgetting.forget(ledger, ids, who)
    return Receipt(mark(customer), datetime.now(UTC), removed, staged, tuple(requested), tuple(left))


def _refuse(ledger: Ledger, customer: str, mappings: Sequence[Mapping]) -> None:
    if running := forgetting.runs_at_work(ledger):
        raise Halted(
            f"Run {', '.join(map(str, running))} has not ended: it may hold the person, and write them down again. "
            "Nothing was removed. Wait until it ended, or give --force."
        )
    for account in dict.fromkeys(mapping.connections.antavo for mapping in mappings):
        if antavo_hook(ledger, account).customer(customer) is not None:
            raise Halted(
                f"Antavo ({account}) still has this customer: the next run would send it anew. Nothing was removed. "
                "Have it erased in Antavo first, or give --force."
            )
