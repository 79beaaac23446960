"""Rules of ``where``: who is synchronised (files.md, "Operators")."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from typing import Any

from ometria_provider.mapping.catalogue import FieldType, LoyaltyField
from ometria_provider.mapping.fields import loyalty_field
from ometria_provider.mapping.model import Mapping, Rule
from ometria_provider.mapping.values import Unconvertible, is_empty, parse_number, time_text

Test = Callable[[Any], bool]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, operand: value > operand,
    "gte": lambda value, operand: value >= operand,
    "lt": lambda value, operand: value < operand,
    "lte": lambda value, operand: value <= operand,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one loyalty field.

    :param reason: how the rule reads in the ledger: ``where: status in [active, inactive]``.
    """

    loyalty: str
    reason: str
    test: Test


def conditions(mapping: Mapping) -> list[Condition]:
    """Compile a mapping's ``where``: a customer is in when every condition holds."""
    return compile_where(mapping.where, loyalty_field)


def compile_where(where: AnyMapping[str, Rule], look: Callable[[str], LoyaltyField]) -> list[Condition]:
    """Compile a ``where``.

    :param look: finds a field by its name.
    """
    return [
        Condition(name, f"where: {name} {operator} {_shown(operand)}", compile_test(look(name).type, operator, operand))
        for name, rule in where.items()
        for operator, operand in rule.items()
    ]


def compile_test(kind: FieldType, operator: str, operand: Any) -> Test:
    """Make the test for one operator on a field of this type.

    A missing (empty) value matches only ``ne``, ``not_in`` and ``exists: false``. A list matches when one of its items
    does; ``ne`` and ``not_in`` when none is equal. Text that holds a number compares with numbers as that number; times
    compare as moments.

    :raises Unconvertible: when the field holds times and the operand is none.
    """
    if operator == "exists":
        return lambda value: is_empty(value) is not operand
    if operator in _ORDER:
        return _any_item(_ordered(_ORDER[operator], _operand(operand, kind)))
    operands = operand if isinstance(operand, list) else [operand]
    equal = _any_item(_equal([_operand(item, kind) for item in operands]))
    if operator in ("eq", "in"):
        return equal
    return lambda value: not equal(value)


def _operand(operand: Any, kind: FieldType) -> Any:
    """Bring an operand for a time to the canonical text, whose order is that of the moments."""
    return time_text(operand) if kind == "time" else operand


def _any_item(test: Test) -> Test:
    def apply(value: Any) -> bool:
        if is_empty(value):
            return False
        return any(map(test, value)) if isinstance(value, list) else test(value)

    return apply


def _like(value: Any, operand: Any) -> Any:
    """Bring a value to its operand's type, or return None when the two cannot be compared."""
    if isinstance(operand, bool) or isinstance(value, bool):
        return value if type(value) is type(operand) else None
    if isinstance(operand, str):
        return value if isinstance(value, str) else None
    try:
        return parse_number(value)
    except Unconvertible:
        return None


def _equal(operands: list[Any]) -> Test:
    return lambda value: any(_like(value, operand) == operand for operand in operands)


def _ordered(compare: Callable[[Any, Any], bool], operand: Any) -> Test:
    def apply(value: Any) -> bool:
        like = _like(value, operand)
        return like is not None and compare(like, operand)

    return apply


def _shown(operand: Any) -> str:
    if isinstance(operand, list):
        return f"[{', '.join(map(_shown, operand))}]"
    return str(operand).lower() if isinstance(operand, bool) else str(operand)
