"""Which records an error may be about: its path names a field, and a record is suspect when it carries that field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Field(NamedTuple):
    """A remote field that a mapping sends.

    :param custom: it is a custom field, which Ometria keeps under a type of its own.
    """

    remote: str
    custom: bool


#: Where each remote field stands in a record: the keys that lead to it → the field.
Fields = Mapping[tuple[str, ...], Field]

#: Between the paths of several errors that may be the same record's.
OR = " | "


def keys(path: str) -> tuple[str, ...]:
    """Return the keys that a path names: `root > properties > mm:x` gives `("properties", "mm:x")`."""
    root, *rest = [part.strip() for part in path.split(">")]
    return tuple(rest) if root == "root" and all(rest) else ()


def concerned(path: str, fields: Fields) -> frozenset[str] | None:
    """Return the remote fields that an error's path may be about; None when every record may be the one.

    A path that cannot be read, names the whole record or a directive (all records carry those) concerns every record.
    One that names a field which this mapping does not send concerns none.
    """
    named = keys(path)
    if not named or named[0].startswith("@"):
        return None
    return frozenset(
        field.remote
        for own, field in fields.items()
        # The field, something inside it (an item of a list), or an object that holds it.
        if own == named[: len(own)] or named == own[: len(named)]
    )


def field_of(path: str, fields: Fields) -> str | None:
    """Return the one remote field that a path names, or None."""
    found = concerned(path, fields)
    return next(iter(found)) if found is not None and len(found) == 1 else None


def concerning(paths: Iterable[str], fields: Fields) -> dict[str, frozenset[str] | None]:
    """Return the paths that may be about a record of this mapping, each with the fields (None: any record)."""
    found = {path: concerned(path, fields) for path in paths}
    return {path: remotes for path, remotes in found.items() if remotes is None or remotes}


def join(paths: Iterable[str], limit: int = 250) -> str:
    """Return several paths as one text that the ledger can keep; an empty path is `?`."""
    return OR.join(path or "?" for path in paths)[:limit]


def split(suspect: str) -> list[str]:
    """Return the paths that :func:`join` joined."""
    return suspect.split(OR)
