"""Contacts as Ometria holds them, made into the records that would have left them so: what a lost ledger is told by."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ometria_provider.mapping.formats import final_step
from ometria_provider.mapping.layout import path
from ometria_provider.mapping.model import Mapping as ContactMapping
from ometria_provider.mapping.records import encode_bodies, encode_consents
from ometria_provider.mapping.transforms import OPTED_OUT, run_steps
from ometria_provider.mapping.values import Unconvertible, is_empty

if TYPE_CHECKING:
    import numpy as np

Contact = Mapping[str, Any]

_SMS = ("allow_marketing", "allow_transactional")


@dataclass(frozen=True)
class Held:
    """What Ometria holds of n contacts; all lists in their order.

    :param bodies: the records that would leave them as they are, consent groups apart.
    :param consents: their consent groups, as far as the mapping maps consent.
    :param filled: which of the mapping's remote fields they hold, shape (n, len(mapping.remotes)).
    """

    bodies: list[bytes]
    consents: list[bytes | None]
    filled: np.ndarray


def held_records(mapping: ContactMapping, contacts: Sequence[Contact]) -> Held:
    """Return the records of a mapping that would leave contacts as they are.

    A value in another form than the one that is sent (contract/ometria.md does not say how Ometria gives values back)
    makes another record: its contact is sent once more, which does no harm.
    """
    import numpy as np

    columns = {remote: list(_values(mapping, remote, contacts)) for remote in mapping.remotes}
    everybody = [True] * len(contacts)
    filled = np.array([[value is not None for value in column] for column in columns.values()], dtype=bool)
    return Held(
        bodies=[body or b"" for body in encode_bodies(mapping, columns, everybody)],
        consents=encode_consents(mapping, columns, everybody) or [None] * len(contacts),
        filled=filled.T.reshape(len(contacts), len(columns)),
    )


def _values(mapping: ContactMapping, remote: str, contacts: Iterable[Contact]) -> Iterable[Any]:
    """Yield what contacts hold in a remote field, in the form in which it is sent; None: nothing."""
    keys, step = path(remote, mapping.mode), final_step(remote, datetime.date.max)
    for contact in contacts:
        value: Any = contact
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if is_empty(value):
            yield None
            continue
        try:
            final = run_steps((step,), value)
        except Unconvertible:
            final = value
        yield None if is_empty(final) else final


def refusals(contact: Contact) -> tuple[bool, bool]:
    """Say whether a contact is opted out of marketing, and of anything by SMS, whatever a mapping maps."""
    channels = contact.get("channels")
    sms = channels.get("sms") if isinstance(channels, Mapping) else None
    is_out = str(contact.get("marketing_optin") or "").upper() == OPTED_OUT
    return is_out, isinstance(sms, Mapping) and any(sms.get(name) is False for name in _SMS)
