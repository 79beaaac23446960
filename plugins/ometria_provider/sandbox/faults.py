"""Faults that can be switched on; ``control.py`` describes them to callers."""

from __future__ import annotations

import dataclasses
import fnmatch
import random
from typing import Any, Literal, get_args

Kind = Literal[
    "429", "500", "refused", "502_html", "reset_before", "reset_after", "timeout_before", "timeout_after",
    "truncated", "slow", "html", "broken_text", "poison", "rejected", "late_error",
]  # fmt: skip


@dataclasses.dataclass
class Fault:
    """One fault. It strikes requests that it matches, until ``times`` have been struck.

    :param kind: what happens.
    :param api: ``loyalty``, ``read``, ``antavo`` (both), ``ometria``, or None for all three.
    :param path: pattern of the path without the prefix, such as ``/v2/push`` or ``/customers/*``.
    :param method: GET or POST; None for both.
    :param probability: of each matching request, 0 to 1.
    :param times: how many requests it strikes; None: no end.
    :param skip: how many matching requests pass first.
    :param seconds: how long ``slow`` and the time-outs take.
    :param retry_after: value of the Retry-After header of ``429`` and ``500``; None: no header.
    :param contacts: ids of contacts or custom events that ``poison``, ``rejected`` and ``late_error`` look for; for
        ``rejected`` and ``late_error`` none means every record.
    :param status: of ``poison`` and ``refused``: 400, 413 or 422.
    :param field: of ``late_error``: the field that the error names; of ``broken_text``: the field that is broken.
    """

    kind: Kind
    api: str | None = None
    path: str | None = None
    method: str | None = None
    probability: float = 1.0
    times: int | None = None
    skip: int = 0
    seconds: float = 60.0
    retry_after: float | None = None
    contacts: tuple[str, ...] = ()
    status: int = 400
    field: str = "lastname"
    struck: int = 0

    def matches(self, api: str, method: str, path: str) -> bool:
        """Tell whether the fault is about such a request."""
        return (
            (self.api in (None, api) or (self.api == "antavo" and api in ("loyalty", "read")))
            and (self.path is None or fnmatch.fnmatchcase(path, self.path))
            and (self.method is None or self.method == method)
        )


def make_fault(settings: dict[str, Any]) -> Fault:
    """Return the fault that somebody asked for.

    :raises ValueError: there is no such kind or setting.
    """
    known = {field.name for field in dataclasses.fields(Fault)} - {"struck"}
    if unknown := settings.keys() - known:
        raise ValueError(f"unknown in a fault: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    if settings.get("kind") not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}")
    return Fault(**{**settings, "contacts": tuple(map(str, settings.get("contacts") or ()))})


class Faults:
    """The faults that are on."""

    def __init__(self, seed: int) -> None:
        self.active: list[Fault] = []
        self._random = random.Random(seed)  # noqa: S311 (test data)

    def strike(self, kinds: frozenset[str], api: str, method: str, path: str) -> Fault | None:
        """Return the first fault of some kinds that strikes a request, and count it."""
        for fault in self.active:
            if fault.kind not in kinds or not fault.matches(api, method, path):
                continue
            if fault.times is not None and fault.struck >= fault.times:
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif self._random.random() < fault.probability:
                fault.struck += 1
                return fault
        return None

    def about(self, kind: Kind, contact_ids: set[str]) -> Fault | None:
        """Return the first fault of a kind that names one of these contacts (or, but for poison, none at all)."""
        for fault in self.active:
            spent = fault.times is not None and fault.struck >= fault.times
            if (
                fault.kind == kind
                and not spent
                and (contact_ids & set(fault.contacts) or not (fault.contacts or kind == "poison"))
            ):
                fault.struck += 1
                return fault
        return None
