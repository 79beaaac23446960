"""One loyalty field of many customers: converting it costs one call for each distinct value, not for each customer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ometria_provider.mapping.values import Unconvertible, are_canonical_dates, are_canonical_times

if TYPE_CHECKING:
    import numpy as np

Convert = Callable[[Any], Any]


class Converted(NamedTuple):
    """A converted column.

    :param values: one for each customer, None where there is none or it could not be converted.
    :param failures: row → reason.
    """

    values: list[Any]
    failures: dict[int, str]


class Column:
    """The values of one loyalty field, as they came.

    Distinct values are found by pandas where all are of one type. In a mixed column every value is converted by itself:
    pandas, like Python, takes 1, 1.0 and True for the same.
    """

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self._types = set(map(type, values)) - {type(None)}

    @cached_property
    def _distinct(self) -> tuple[np.ndarray, list[Any]] | None:
        """Codes into the distinct values (-1: None) and the values; None for a column that has to go value by value."""
        if len(self._types) != 1 or not self._types <= {str, int, float, bool}:
            return None
        if float in self._types and any(value != value for value in self.values):  # noqa: PLR0124 # NaN is no gap
            return None
        import numpy as np
        import pandas as pd

        codes, uniques = pd.factorize(np.array(self.values, dtype=object))
        return codes, list(uniques)

    def as_text(self, steps: Sequence[Callable[[str], str]] = ()) -> Converted | None:
        """Return a column of nothing but text after some steps (``""`` gives None), or None when it is anything else.

        :param steps: what is done to each text; ``str`` as the first one takes whole numbers too.
        """
        if not (self._types <= {str} or (self._types == {int} and str in steps[:1])):
            return None
        values = self.values
        for step in steps:
            gaps = None in values  # without any, not even the loop is Python's
            values = [value if value is None else step(value) for value in values] if gaps else list(map(step, values))
        values = [value or None for value in values]
        try:
            "".join(filter(None, values)).encode()
        except UnicodeEncodeError:  # half a surrogate pair somewhere: find out where, the slow way
            return None
        return Converted(values, {})

    def as_numbers(self) -> Converted | None:
        """Return a column of nothing but whole numbers and booleans as it is, or None when it is anything else."""
        return Converted(self.values, {}) if self._types <= {int, bool} else None

    def as_times(self) -> Converted | None:
        """Return a column of nothing but canonical times as it is, or None when it is anything else."""
        if self._types <= {str} and are_canonical_times([value for value in self.values if value is not None]):
            return Converted(self.values, {})
        return None

    def as_dates(self, latest: str) -> Converted | None:
        """Return a column of nothing but canonical dates, none after the latest, as it is, or None."""
        dates = [value for value in self.values if value is not None]
        if self._types <= {str} and are_canonical_dates(dates) and max(dates, default="") <= latest:
            return Converted(self.values, {})
        return None

    def convert(self, convert: Convert) -> Converted:
        """Convert every value. ``convert`` is called with None too, and may raise :class:`Unconvertible`."""
        if self._distinct is None:
            results, reasons = _each(self.values, convert)
            return Converted(results, reasons)
        import numpy as np

        codes, uniques = self._distinct
        results, reasons = _each([*uniques, None], convert)  # code -1 finds the last one
        table = np.empty(len(results), dtype=object)
        for position, result in enumerate(results):  # one by one: numpy would make a matrix of lists
            table[position] = result
        failed = np.isin(codes, [code for code in reasons if code < len(uniques)]).nonzero()[0] if reasons else ()
        failures = {int(row): reasons[int(codes[row])] for row in failed}
        return Converted(table[codes].tolist(), failures)

    def test(self, test: Callable[[Any], bool]) -> list[bool]:
        """Ask a question about every value."""
        return self.convert(test).values


def _each(values: list[Any], convert: Convert) -> tuple[list[Any], dict[int, str]]:
    results, reasons = [], {}
    for position, value in enumerate(values):
        try:
            results.append(convert(value))
        except Unconvertible as problem:
            results.append(None)
            reasons[position] = str(problem)
    return results, reasons
