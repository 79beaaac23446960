"""The two tables that are staged: what was read of a chunk's customers, and what map made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def source_table(
    contact_ids: Sequence[str],
    sources: Sequence[bytes],
    digests: Sequence[bytes],
    whole: Sequence[bool],
    customers: Sequence[str] | None = None,
) -> pa.Table:
    """Return what was read: one row a customer.

    :param sources: the values that the mapping reads, as JSON.
    :param digests: their digests.
    :param whole: whether the values are all there: nobody asked for details of a customer who is unchanged without.
    :param customers: Antavo's ids, where the contacts have others.
    """
    import numpy as np
    import pyarrow as pa

    bits = pa.py_buffer(np.packbits(np.array(whole, dtype=bool), bitorder="little").tobytes())
    columns = {
        "contact_id": _text(contact_ids),
        "source": _binary(sources),
        "digest": _binary(digests),
        "whole": pa.Array.from_buffers(pa.bool_(), len(whole), [None, bits]),
    }
    if customers is not None:
        columns["customer"] = _text(customers)
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def with_contact_ids(table: pa.Table, contact_ids: Sequence[str]) -> pa.Table:
    """Return what was read under other contact ids."""
    return table.set_column(table.column_names.index("contact_id"), "contact_id", _text(contact_ids))


def missing_table(contact_ids: Sequence[str], reasons: Sequence[str | None]) -> pa.Table:
    """Return who was not read: one row a contact.

    :param reasons: why it departs; None, "" in the table: missing for the first time.
    """
    import pyarrow as pa

    texts = (contact_ids, [reason or "" for reason in reasons])
    return pa.Table.from_arrays([_text(each) for each in texts], names=["contact_id", "reason"])


def _text(values: Sequence[str]) -> pa.Array:
    """Return a column of texts."""
    import pyarrow as pa

    return _binary([value.encode() for value in values]).cast(pa.string())


def _binary(values: Sequence[bytes]) -> pa.Array:
    """Return a column of bytes.

    `pyarrow.array` would do, but imports pandas to see whether it was given a Series: half a second and 50 MB in a task
    that has no other use for it.
    """
    import numpy as np
    import pyarrow as pa

    ends = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, values), dtype=np.int64, count=len(values)), out=ends[1:])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.large_binary(), len(values), buffers)


def mapped_table(**columns: Sequence[Any]) -> pa.Table:
    """Return what map made: one row a customer; a column that is not given is empty.

    ``action``: what is to be done (`delivery.compare.Action`). ``known``: Ometria has acknowledged a record of this
    member before. ``touched``: the ledger's row of a member who needs nothing sent is out of date all the same.
    ``body``: the record as JSON without its consent group, null for a member without one. ``filled``: bitmap of the
    remote fields that it fills. ``reason``: why a member has no record. ``group``: the consent group as mapped.
    ``consent``: what of it is to be sent. ``held``: why an opt-in is held back. ``alone``: what carries the opt-out of
    a rejected member.
    """
    import pyarrow as pa

    schema = pa.schema(
        [
            ("contact_id", pa.string()),
            ("action", pa.string()),
            ("known", pa.bool_()),
            ("touched", pa.bool_()),
            ("body", pa.binary()),
            ("fingerprint", pa.binary()),
            ("source_digest", pa.binary()),
            ("filled", pa.binary()),
            ("reason", pa.string()),
            ("group", pa.binary()),
            ("consent", pa.binary()),
            ("held", pa.string()),
            ("alone", pa.binary()),
        ]
    )
    size = len(columns["contact_id"])
    return pa.table(
        [columns[name] if name in columns else pa.nulls(size, schema.field(name).type) for name in schema.names],
        schema=schema,
    )
