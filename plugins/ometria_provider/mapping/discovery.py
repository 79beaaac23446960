"""Which loyalty fields there are: built-in ones, and those that live members hold, with how often they are filled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ometria_provider.mapping.catalogue import FieldType, LoyaltyField, Mode, join_path, split_path
from ometria_provider.mapping.customers import DETAILS, Customer, Reader
from ometria_provider.mapping.fields import LOYALTY_FIELDS

#: How deep the objects inside custom attributes are looked at, and how many fields are named at most.
DEEPEST = 3
MOST = 1000

_FAMILIES = ("properties", "external_ids", "tiers", "accounts")


@dataclass(frozen=True)
class Offered:
    """A loyalty field that a mapping can name.

    :param filled: how many of the members looked at have a value there; None: that was not looked at.
    """

    name: str
    type: FieldType
    meaning: str
    modes: tuple[Mode, ...]
    filled: int | None = None


def offered(customers: Sequence[Customer] = ()) -> list[Offered]:
    """Return all fields, the members of families as far as these customers have them, and the families themselves.

    :param customers: of the Read API, as they came; none: nothing is said of how often a field is filled.
    """
    found: dict[str, LoyaltyField] = {}
    for field in LOYALTY_FIELDS:
        segments = split_path(field.name.replace("<", "").replace(">", ""))
        if "<" not in field.name:
            found[field.name] = field
            continue
        for name in _members(segments[0], segments, field, customers):
            found.setdefault(name, field)
        found[field.name] = field
    families = {field.name for field in LOYALTY_FIELDS if "<" in field.name}
    counts = _filled([name for name in found if name not in families], customers)
    all_fields = [Offered(name, one.type, one.meaning, one.modes, counts.get(name)) for name, one in found.items()]
    return all_fields[:MOST]


def _members(root: str, segments: tuple[str, ...], field: LoyaltyField, customers: Sequence[Customer]) -> Iterator[str]:
    """Yield the members of a family that customers have, by name."""
    if root not in _FAMILIES:
        return
    holders = [holder for customer in customers if isinstance(holder := customer.get(root), dict)]
    if field.type == "any":
        yield from sorted({join_path((root, *keys)) for holder in holders for keys in _leaves(holder)})
        return
    ids = sorted({key for holder in holders for key in holder if isinstance(key, str) and key})
    yield from (join_path((root, key, *segments[2:])) for key in ids)


def _leaves(value: dict[Any, Any], depth: int = 1) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        if not isinstance(key, str) or not key:
            continue
        if isinstance(inner, dict) and inner and depth < DEEPEST:
            yield from ((key, *below) for below in _leaves(inner, depth + 1))
        else:
            yield (key,)


def _filled(names: Sequence[str], customers: Sequence[Customer]) -> dict[str, int]:
    """Return how many customers fill each field; fields that take a request each are not looked at."""
    if not customers:
        return {}
    reader = Reader([name for name in names if not name.startswith(f"{DETAILS}.")], "en")
    counts = dict.fromkeys(reader.paths, 0)
    for customer in customers:
        for name, value in zip(reader.paths, reader.project(customer), strict=True):
            counts[name] += value not in (None, "", [], {})
    return counts
