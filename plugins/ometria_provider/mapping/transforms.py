"""Transforms of a mapping row (files.md): one function per transform, for one value that is not empty.

A function gets what JSON can hold and returns the same; it raises :class:`values.Unconvertible` with a reason that
never repeats the value. A list is transformed item by item, but for ``first`` and ``join``, which take the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any

from ometria_provider.mapping.countries import country_code
from ometria_provider.mapping.model import E164, Join, MapValues, MapValuesOrDefault, Round, Transform
from ometria_provider.mapping.values import (
    Unconvertible,
    clean_number,
    date_text,
    is_empty,
    parse_number,
    plain_text,
    time_text,
)

Convert = Callable[[Any], Any]

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_](?![^\W\d_]))*")
_INTEGER = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)
_TRUE = frozenset(("true", "yes", "y", "on", "1"))
_FALSE = frozenset(("false", "no", "n", "off", "0"))
OPTED_IN, OPTED_OUT = "EXPLICITLY_OPTEDIN", "EXPLICITLY_OPTEDOUT"
_CONSENTS = (OPTED_IN, OPTED_OUT, "NOT_SPECIFIED")
_GENDERS = {
    **dict.fromkeys(("m", "male", "man", "boy"), "m"),
    **dict.fromkeys(("f", "female", "woman", "girl"), "f"),
    **dict.fromkeys(("o", "other", "x", "d", "diverse", "divers", "non-binary", "nonbinary", "non binary"), "o"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One transform of a chain: what the mapping file calls it, and the function."""

    label: str
    convert: Convert


def run_steps(steps: Iterable[Step], value: Any) -> Any:
    """Send a value through a chain; empty stays empty, and anything empty comes out as None.

    :raises values.Unconvertible: with the step's name and the reason.
    """
    for step in steps:
        if not value and is_empty(value):
            return None
        try:
            value = step.convert(value)
        except Unconvertible as problem:
            raise Unconvertible(f"{step.label}: {problem}" if step.label else str(problem)) from None
    return None if not value and is_empty(value) else value


def make_steps(transforms: Iterable[Transform]) -> tuple[Step, ...]:
    """Compile the ``transform`` list of a row."""
    return tuple(_step(transform) for transform in transforms)


def text_steps(transforms: Iterable[Transform]) -> list[Callable[[str], str]] | None:
    """Return what transforms do to a text, or None when one of them may refuse it or make it anything else."""
    steps = [_ON_TEXT.get(transform) if isinstance(transform, str) else None for transform in transforms]
    return None if None in steps else [step for step in steps if step]


def _step(transform: Transform) -> Step:
    if isinstance(transform, str):
        convert = _NAMED[transform]
        return Step(transform, convert if transform == "first" else each(convert))
    if isinstance(transform, E164):
        return Step(f"e164 {transform.e164}", each(partial(e164, region=transform.e164)))
    if isinstance(transform, Join):
        return Step("join", partial(join, separator=transform.join))
    if isinstance(transform, Round):
        return Step(f"round {transform.round}", each(partial(round_half_up, decimals=transform.round)))
    return Step("map", each(_mapper(transform)))


def each(convert: Convert) -> Convert:
    """Let a function for one value take lists too, item by item; empty items are left out."""

    def apply(value: Any) -> Any:
        if type(value) not in (list, dict):
            return convert(value)
        if type(value) is dict:
            raise Unconvertible("is an object: map one of its members")
        results = [apply(item) for item in value if not is_empty(item)]
        return [result for result in results if not is_empty(result)]

    return apply


def strip(value: Any) -> Any:
    """Remove white space around a text; numbers and booleans pass."""
    return value.strip() if isinstance(value, str) else value


def lower(value: Any) -> Any:
    """Make a text lower case; numbers and booleans pass."""
    return value.lower() if isinstance(value, str) else value


def upper(value: Any) -> Any:
    """Make a text upper case; numbers and booleans pass."""
    return value.upper() if isinstance(value, str) else value


def title(value: Any) -> Any:
    """Capitalise each word of a text: ``o'neil-smith`` gives ``O'Neil-Smith``, ``it's`` gives ``It's``."""
    return _WORD.sub(lambda word: word[0].capitalize(), value) if isinstance(value, str) else value


def gender(value: Any) -> str:
    """Bring male, female, other and their short forms, in any case, to ``m``, ``f`` or ``o``."""
    found = _GENDERS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise Unconvertible("is not a known gender")
    return found


def boolean(value: Any) -> bool:
    """Bring true/false, yes/no, y/n, on/off and 1/0, in any case, to a boolean."""
    word = plain_text(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Unconvertible("is not yes or no")


def consent(value: Any) -> str:
    """Bring Ometria's three words, in any case, or yes and no to a word: no means opted out."""
    word = plain_text(value).strip().upper()
    if word in _CONSENTS:
        return word
    try:
        return OPTED_IN if boolean(value) else OPTED_OUT
    except Unconvertible:
        raise Unconvertible(f"is none of {', '.join(_CONSENTS)}, nor yes or no") from None


def integer(value: Any) -> int:
    """Bring a whole number or its text to an integer, exact at any length; true is 1, false is 0."""
    if isinstance(value, str):
        text = value.strip()
        if _INTEGER.fullmatch(text) and len(text) <= 1000:
            return int(text.partition(".")[0])
        raise Unconvertible("is not a whole number")
    number = parse_number(value)
    if isinstance(number, int):
        return number
    raise Unconvertible("is not a whole number")


def first(value: Any) -> Any:
    """Return the first item of a list that is not empty; a single value counts as a list of one."""
    if not isinstance(value, list):
        return value
    return next((item for item in value if not is_empty(item)), None)


def join(value: Any, separator: str) -> str:
    """Join the items of a list, empty ones left out; a single value counts as a list of one."""
    items = value if isinstance(value, list) else [value]
    return separator.join(plain_text(item) for item in items if not is_empty(item))


def round_half_up(value: Any, decimals: int) -> int | float:
    """Round a number, or its text, to so many decimals, halves away from zero: 2.5 gives 3, 1.005 gives 1.01."""
    number = parse_number(value)
    if isinstance(number, int):
        return number
    exact = Decimal(repr(number))
    if exact.adjusted() >= 16:  # beyond a double's digits there is nothing to round
        return number
    return clean_number(float(exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)))


def e164(value: Any, region: str | None = None) -> str:
    """Bring a phone number to E.164; one without ``+`` belongs to the region."""
    import phonenumbers

    try:
        number = phonenumbers.parse(plain_text(value).strip(), region)
    except phonenumbers.NumberParseException:
        reason = "is not a phone number" if region else "is not an international phone number (write {e164: GB})"
        raise Unconvertible(reason) from None
    # Possible, not valid: numbering plans grow faster than the library's tables, and Ometria judges in the end.
    if not phonenumbers.is_possible_number(number):
        raise Unconvertible("is not a phone number")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _mapper(transform: MapValues) -> Convert:
    table = transform.map
    if isinstance(transform, MapValuesOrDefault):
        default = transform.default
        return lambda value: table.get(plain_text(value), default)

    def convert(value: Any) -> Any:
        text = plain_text(value)
        if text not in table:
            raise Unconvertible("is a value that `map` does not list")
        return table[text]

    return convert


_NAMED: dict[str, Convert] = {
    "strip": strip,
    "lower": lower,
    "upper": upper,
    "title": title,
    "date": date_text,
    "datetime": time_text,
    "e164": e164,
    "country": country_code,
    "gender": gender,
    "bool": boolean,
    "consent": consent,
    "integer": integer,
    "number": parse_number,
    "string": plain_text,
    "first": first,
}

_ON_TEXT: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    "lower": str.lower,
    "upper": str.upper,
    "string": str,
}
