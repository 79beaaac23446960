"""Plain values: what is empty, what is a clean number, what is a moment in time.

Everything here works on one value of JSON's types and is shared by reading customers, transforms and rules.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_UNIX = re.compile(r"-?(\d{1,7}|\d{9,12})(\.\d+)?", re.ASCII)  # eight digits are an ISO date: 20240131
_CANONICAL_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CANONICAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00", re.ASCII)
_DIGITS = str.maketrans("123456789", "0" * 9)
_TIME_SHAPES = ("0000-00-00T00:00:00+00:00\n", "0000-00-00T00:00:00.000000+00:00\n")
_DATE_SHAPES = ("0000-00-00\n",)
_NO_TIME = "is not an ISO 8601 date or time, nor unix seconds"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unconvertible(ValueError):
    """A value that cannot be brought to what is wanted. Its text is the reason and never holds the value."""


def is_empty(value: object) -> bool:
    """Say whether a value is empty in the sense of the mapping file: null, ``""``, ``[]`` or ``{}``."""
    return not value and (value is None or isinstance(value, (str, list, dict)))


def clean_number(value: float) -> int | float:
    """Return a number without float noise: whole ones as int, others rounded to 15 significant digits.

    Fifteen digits are what a double always carries faithfully: 0.1 + 0.2 becomes 0.3, and 500.0 becomes 500.

    :raises Unconvertible: for NaN and the infinities, which JSON cannot hold.
    """
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        raise Unconvertible("is not a finite number")
    tidy = value if value.is_integer() else float(f"{value:.15g}")
    return int(tidy) if tidy.is_integer() else tidy


def parse_number(value: object) -> int | float:
    """Read a number from a number, a boolean (1 or 0) or its text; whole numbers of any length stay exact.

    :raises Unconvertible: when the value is nothing like a number.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return clean_number(value)
    text = value.strip() if isinstance(value, str) else ""
    if not _NUMBER.fullmatch(text):
        raise Unconvertible("is not a number")
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else clean_number(float(exact))


def parse_time(value: object) -> datetime:
    """Read a moment from ISO 8601 text (without an offset: UTC) or unix seconds, as an aware UTC datetime.

    :raises Unconvertible: when the value is neither, or lies outside the years 1 to 9999.
    """
    if isinstance(value, str):
        text = value.strip()
        if not _UNIX.fullmatch(text):
            return _from_iso(text)
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unconvertible(_NO_TIME)
    try:
        return _EPOCH + timedelta(seconds=value)
    except (OverflowError, ValueError):
        raise Unconvertible(_NO_TIME) from None


def _from_iso(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is UTC:
            return moment
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unconvertible(_NO_TIME) from None


def time_text(value: object) -> str:
    """Return the canonical text of a moment: ``2024-01-31T10:00:00+00:00``, with a fraction only if it has one.

    Text that is canonical already is only looked through, which is what nearly all of Antavo's times need.

    :raises Unconvertible: as :func:`parse_time`.
    """
    if isinstance(value, str) and _CANONICAL_TIME.fullmatch(value):
        _from_iso(value)
        return value
    return parse_time(value).isoformat()


def are_canonical_times(texts: list[str]) -> bool:
    """Say whether :func:`time_text` would leave each of these texts as it is; one call instead of one for each."""
    return _are_shaped(texts, _TIME_SHAPES, datetime.fromisoformat)


def are_canonical_dates(texts: list[str]) -> bool:
    """Say whether :func:`date_text` would leave each of these texts as it is; one call instead of one for each."""
    return _are_shaped(texts, _DATE_SHAPES, date.fromisoformat)


def _are_shaped(texts: list[str], shapes: tuple[str, ...], parse: Callable[[str], Any]) -> bool:
    rest = "".join([f"{text}\n" for text in texts]).translate(_DIGITS)
    for shape in shapes:
        rest = rest.replace(shape, "")
    if rest:
        return False
    try:
        deque(map(parse, texts), maxlen=0)
    except ValueError:
        return False
    return True


def date_text(value: object) -> str:
    """Return the day of a moment in UTC: ``2024-01-31``.

    :raises Unconvertible: as :func:`parse_time`.
    """
    if isinstance(value, str) and _CANONICAL_DATE.fullmatch(value):
        _from_iso(value)
        return value
    return parse_time(value).date().isoformat()


def plain_text(value: object) -> str:
    """Return the text of a scalar: ``true`` for True, ``500`` for 500.0, never ``None`` or ``nan``.

    :raises Unconvertible: for anything but text, numbers and booleans.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(clean_number(value))
    raise Unconvertible("is not a single value")


def difference(total: object, *parts: Any) -> int | float | None:
    """Subtract parts from a total exactly; None when the total is missing or anything is not a number.

    A missing part counts as nothing. Decimals are subtracted as written, so 100.3 - 50.1 is 50.2.
    """
    numbers: list[Any] = [total, *(part or 0 for part in parts)]
    if set(map(type, numbers)) == {int}:
        return int(numbers[0] - sum(numbers[1:]))
    if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
        return None
    exact = [Decimal(repr(number)) for number in numbers]
    return clean_number(float(exact[0] - sum(exact[1:])))
