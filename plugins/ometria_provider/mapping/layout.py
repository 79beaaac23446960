"""Where each remote field stands in a record, and the way from columns to records and back.

A record is a tree of objects: built-in fields on top, some of them inside an object of their own, custom fields under
``properties`` (v2) or on top as well (legacy, an assumption; contract/ometria.md, "Contact" and "Legacy mode").

Columns become records without a Python object for each value: msgspec makes a type of the tree, and its objects are
made and encoded in C.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AnyMapping
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from ometria_provider.mapping.catalogue import Mode
from ometria_provider.mapping.fields import remote_type

#: Key → an object, or the name of the column whose value stands there.
Tree: TypeAlias = "dict[str, Tree | str]"

Record = dict[str, Any]


def path(remote: str, mode: Mode) -> tuple[str, ...]:
    """Return the keys that lead to a remote field's value in a record."""
    if remote_type(remote) is None:
        return (remote,) if mode == "legacy" else ("properties", remote)
    if remote.startswith("channels."):
        return tuple(remote.split("."))
    outer, dot, inner = remote.partition(".")  # an extra identifier's own name may hold dots
    return (outer, inner) if dot else (outer,)


def tree(remotes: Iterable[str], mode: Mode) -> Tree:
    """Return the tree of a record with these remote fields."""
    found: Tree = {}
    for remote in remotes:
        *outer, last = path(remote, mode)
        here: Any = found
        for key in outer:
            here = here.setdefault(key, {})
        here[last] = remote
    return found


def encode_records(shape: Tree, columns: AnyMapping[str, Iterable[Any]], wanted: Iterable[bool]) -> list[bytes | None]:
    """Return each row as canonical JSON: keys sorted, nothing empty; None for a row that is not wanted.

    :param columns: by the names in the tree; None is an empty value. One may go on for ever, not all.
    """
    encode = msgspec.json.Encoder().encode
    rows = _objects(_kind(shape)(), shape, columns)
    return [encode(row) if want else None for row, want in zip(rows, wanted, strict=True)]


def _objects(nothing: Any, shape: Tree, columns: AnyMapping[str, Iterable[Any]]) -> list[Any]:
    """Return each row's object.

    :param nothing: the empty object, which its holder leaves out: identity decides.
    """
    kind = type(nothing)
    parts = [
        columns[inside] if isinstance(inside, str) else _objects(empty, inside, columns)
        for (_, inside), empty in zip(sorted(shape.items()), kind.__struct_defaults__, strict=True)
    ]
    return [nothing if row == nothing else row for row in map(kind, *parts)]


def _kind(shape: Tree) -> Any:
    """Return the type of a tree's objects: keys in order, an empty value is left out."""
    slots = [
        (f"slot_{number}", Any, None) if isinstance(inside, str) else (f"slot_{number}", kind := _kind(inside), kind())
        for number, (_, inside) in enumerate(sorted(shape.items()))
    ]
    names = {name: key for (name, _, _), key in zip(slots, sorted(shape), strict=True)}
    return msgspec.defstruct("Object", slots, rename=names, omit_defaults=True, frozen=True, gc=False)


def decode_columns(bodies: Iterable[bytes], remotes: Iterable[str], mode: Mode) -> dict[str, list[Any]]:
    """Return remote fields of encoded records as columns; an empty field is None. Nothing else is decoded."""
    shape = tree(remotes, mode)
    rows = list(map(msgspec.json.Decoder(_kind(shape)).decode, bodies))
    return {remote: list(map(attrgetter(slot), rows)) for remote, slot in _slots(shape)}


def _slots(shape: Tree, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield each remote field of a tree with the attribute that holds it."""
    for number, (_, inside) in enumerate(sorted(shape.items())):
        here = f"{before}slot_{number}"
        if isinstance(inside, str):
            yield inside, here
        else:
            yield from _slots(inside, f"{here}.")


def clear_fields(record: Record, remotes: Iterable[str], mode: Mode) -> Record:
    """Return a copy of a record with null for these remote fields, which tells Ometria to clear them.

    A field that the record fills is left as it is.
    """
    return _with_nulls(record, tree(remotes, mode))


def _with_nulls(record: Record, shape: Tree) -> Record:
    copy = dict(record)
    for key, inside in shape.items():
        if isinstance(inside, str):
            copy.setdefault(key, None)
        else:
            copy[key] = _with_nulls(copy.get(key) or {}, inside)
    return copy
