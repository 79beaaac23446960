"""From an Antavo customer to the values that a mapping reads, in one canonical shape (contract/antavo.md).

Canonical: times are ISO 8601 UTC text, statuses and genders lower case, groups a list of ids, language maps resolved,
``spendable`` computed where the API leaves it out. Whatever has the wrong shape (tiers null, a list where an object is
expected, a tier that vanished) reads as empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as AnyMapping
from typing import Any

from ometria_provider.mapping.catalogue import split_path
from ometria_provider.mapping.fields import loyalty_field
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.values import Unconvertible, difference, parse_number, time_text

Customer = dict[str, Any]
Finish = Callable[[Any, Customer], Any]

_READ_NAMES = {"id": "_id", "nickname": "handler", "groups": "group_id"}
_FINE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{6})?\+00:00)?", re.ASCII)
_PARTS = ("spent", "reserved", "expired")
_SPENT = ("score", *_PARTS)

#: What the Read API does not carry: one detail call of the Loyalty API for each customer.
DETAILS, EXPIRING, HISTORY = "extensions", "expiring_points", "expiring_points.history"


class Reader:
    """Reads some loyalty fields from customers, and nothing else.

    :param paths: the loyalty fields.
    :param language: of language maps.
    """

    def __init__(self, paths: Iterable[str], language: str) -> None:
        self.paths: tuple[str, ...] = tuple(paths)
        """Loyalty fields, in the order of the values that :meth:`project` returns."""
        readers = [_compile(path, language) for path in self.paths]
        self._roots = [root for root, _ in readers]
        self._finishes = [(index, finish) for index, (_, finish) in enumerate(readers) if finish]
        self._details = [index for index, root in enumerate(self._roots) if root == DETAILS]
        self.keys: frozenset[str] = frozenset((*self._roots, *(_SPENT if "spendable" in self._roots else ())))
        """The keys of a customer of the Read API that are looked at."""
        self.detail_fields: tuple[str, ...] = tuple(
            field
            for field in (EXPIRING, HISTORY)
            if any(f"{path}.".startswith(f"{DETAILS}.{field}.") for path in self.paths)
            or (field == EXPIRING and self._details)
        )
        """What the detail call is asked for (`fields=`); empty when no details are read."""

    def project(self, customer: Customer) -> list[Any]:
        """Return the values of :attr:`paths` for a customer of the Read API, JSON-able; null where there is none.

        Plain attributes, which most are, are all read in one go.
        """
        values = list(map(customer.get, self._roots))
        for index, finish in self._finishes:
            values[index] = finish(values[index], customer)
        return values

    def details(self, customer: Customer) -> list[Any]:
        """Return the values of the paths that only a detail call's answer has (see :func:`with_details`)."""
        values = self.project(with_details({}, customer))
        return [values[index] for index in self._details]

    def complete(self, values: list[Any], details: list[Any]) -> list[Any]:
        """Return a customer's values together with what :meth:`details` returned for it."""
        whole = list(values)
        for index, value in zip(self._details, details, strict=True):
            whole[index] = value
        return whole


class Projection(Reader):
    """Reads from customers exactly what a mapping needs.

    :param mapping: whose identity, ``where`` and rows say what is read, and whose language resolves language maps.
    """

    def __init__(self, mapping: Mapping) -> None:
        named = [row.loyalty for row in mapping.rows if row.loyalty is not None]
        super().__init__(dict.fromkeys((*named, *mapping.where)), mapping.language)


def with_details(customer: Customer, answer: Customer) -> Customer:
    """Return a customer of the Read API with the details that a detail call of the Loyalty API answered."""
    return {**customer, DETAILS: {EXPIRING: answer.get(EXPIRING)}}


def _compile(path: str, language: str) -> tuple[str, Finish | None]:
    """Return a customer's key to start from, and what makes the value of what stands there; None when it is the value.

    :raises fields.FieldProblem: when there is no such loyalty field.
    """
    field, segments = loyalty_field(path), split_path(path)
    root = _READ_NAMES.get(segments[0], segments[0])
    if field.name == "spendable":
        return "spendable", lambda value, customer: spendable(customer, "score") if value is None else value
    if field.name.endswith(".spendable"):
        account = segments[1]
        return root, lambda value, _: spendable(_member(value, (account,)), "earned")
    inner = tuple("_id" if field.name == "tiers.<structure>.id" and key == "id" else key for key in segments[1:])
    if field.name.endswith(".name"):
        return root, lambda value, _: resolve_language(_member(value, inner), language)
    if field.type == "time":
        return root, lambda value, _: canonical_time(_member(value, inner))
    if path in ("gender", "status"):
        return root, lambda value, _: _lower(value)
    reach = reach_inside if root == DETAILS else _member
    return root, (lambda value, _: reach(value, inner)) if inner else None


def _member(value: Any, keys: tuple[str, ...]) -> Any:
    """Go down into objects; None as soon as there is none."""
    for key in keys:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def reach_inside(value: Any, keys: tuple[str, ...]) -> Any:
    """Go down into objects and, by position, into lists: the shape of details is not documented."""
    for key in keys:
        if type(value) is list and key.isdecimal():
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = _member(value, (key,))
    return value


def spendable(balance: Any, total: str) -> Any:
    """Return the points that are left of a balance: ``total`` - spent - reserved - expired (an assumption)."""
    if type(balance) is not dict:
        return None
    given = balance.get("spendable")
    return difference(balance.get(total), *map(balance.get, _PARTS)) if given is None else given


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def canonical_time(value: Any) -> Any:
    """Return a time as ISO 8601 UTC text. A bare date stays one; what is no time stays as it is, to be seen later."""
    if type(value) is str and _FINE.fullmatch(value):
        return value
    if value is None or value == "":
        return value
    try:
        return time_text(value)
    except Unconvertible:
        return value


def resolve_language(value: Any, language: str) -> Any:
    """Return the text of a language map: in this language, else in ``en``, else the first by name."""
    if type(value) is not dict:
        return value
    for key in (language, "en", *sorted(value)):
        if value.get(key) not in (None, ""):
            return value[key]
    return None


def from_loyalty_api(customer: AnyMapping[str, Any]) -> Customer:
    """Return a customer of the Loyalty API in the shape of the Read API, so that both project to the same values.

    Arrays of tiers and accounts become objects by id, groups a list of ids, text points numbers; times are unix
    seconds and become canonical when they are projected. Fields that this API does not carry are left out.
    """
    same = {key: value for key, value in customer.items() if key not in ("id", "nickname", "groups")}
    renamed = {_READ_NAMES[key]: customer[key] for key in ("id", "nickname") if key in customer}
    shaped = same | renamed
    if "groups" in customer:
        shaped["group_id"] = [group.get("id") for group in _objects(customer["groups"])]
    if "accounts" in customer:
        shaped["accounts"] = {account.get("id"): account for account in _objects(customer["accounts"])}
    if "tiers" in customer:
        tiers = [(tier.get("structure"), tier) for tier in _objects(customer["tiers"])]
        shaped["tiers"] = {
            structure.get("id"): _read_tier(tier) for structure, tier in tiers if isinstance(structure, dict)
        }
    return shaped


def _objects(value: Any) -> list[Customer]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _read_tier(tier: Customer) -> Customer:
    following = tier.get("next")
    following = dict(following) if isinstance(following, dict) else {}
    if isinstance(following.get("points"), str):
        try:
            following["points"] = parse_number(following["points"])
        except Unconvertible:
            following["points"] = None
    return {**tier, "_id": tier.get("id"), "next": following}
