"""Find a person's contacts by e-mail address, live: the ledger holds no address, and keeps none.

Antavo documents no search by e-mail (contract/antavo.md), Ometria does: its profiles name the contacts of a person. So
whom Ometria does not have is not found this way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ometria_provider.operators.accounts import ometria_hook

if TYPE_CHECKING:
    from ometria_provider.ledger.engine import Ledger
    from ometria_provider.mapping.model import Mapping


def contacts_by_email(ledger: Ledger, email: str, mappings: Iterable[Mapping], **options: Any) -> list[str]:
    """Return the ids of the contacts of these mappings' collections that Ometria knows by an address.

    :param options: of the hook: `attempts`, `first_wait`.
    """
    found: dict[str, None] = {}
    collections: dict[str, set[str]] = {}
    for mapping in mappings:
        collections.setdefault(mapping.connections.ometria, set()).add(mapping.collection)
    for account, names in collections.items():
        for profile in ometria_hook(ledger, account, **options).profiles(email):
            found.update(dict.fromkeys(_contact_ids(profile, names)))
    return list(found)


def _contact_ids(profile: dict[str, Any], collections: set[str]) -> list[str]:
    """Return the ids of a profile's contacts in some collections."""
    identities = [each for each in profile.get("identities") or () if isinstance(each, dict) and each.get("id")]
    return [str(each["id"]) for each in identities if each.get("@collection", each.get("collection")) in collections]
