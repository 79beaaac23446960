"""What is known of the remote fields of a collection: each one's bit, and whether it ever arrives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select, update

from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.models import RemoteField
from ometria_provider.ledger.statements import insert


def field_bits(ledger: Ledger, account: str, collection: str, names: Iterable[str]) -> dict[str, int]:
    """Return each remote field's bit in `contact_state.filled`, handing out bits to new fields."""
    key = (RemoteField.account == account, RemoteField.collection == collection)
    with ledger.write() as connection:
        rows = connection.execute(select(RemoteField.name, RemoteField.bit).where(*key))
        bits: dict[str, int] = dict(iter(rows))
        new = [name for name in names if name not in bits]
        for bit, name in enumerate(new, start=max(bits.values(), default=-1) + 1):
            bits[name] = bit
            connection.execute(
                insert(ledger, RemoteField).values(account=account, collection=collection, name=name, bit=bit)
            )
    return bits


def silent_fields(ledger: Ledger, account: str, collection: str) -> set[str]:
    """Return the fields that arrived in none of the contacts read back when they were looked at last."""
    query = select(RemoteField.name).where(
        RemoteField.account == account, RemoteField.collection == collection, RemoteField.silent.is_(True)
    )
    with ledger.read() as connection:
        return set(connection.execute(query).scalars())


def note_arrivals(ledger: Ledger, account: str, collection: str, silent: Mapping[str, bool]) -> None:
    """Write down which of the fields that were looked at are silent; nobody knows more of the others than before."""
    with ledger.write() as connection:
        for is_silent in (False, True):
            names = [name for name, found in silent.items() if found is is_silent]
            connection.execute(
                update(RemoteField)
                .where(
                    RemoteField.account == account, RemoteField.collection == collection, RemoteField.name.in_(names)
                )
                .values(silent=is_silent)
            )
