"""Show a member's way through a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ometria_provider.text import table

if TYPE_CHECKING:
    from ometria_provider.mapping.records import FieldTrace


def member_text(customer: str, traces: Sequence[FieldTrace]) -> str:
    """Return one line for each remote field: what Antavo holds, each transform's result, what is sent."""
    problems = [trace for trace in traces if trace.problem]
    fate = f"rejected: {problems[0].remote} {problems[0].problem}" if problems else "can be sent"
    rows = [(trace.loyalty or "(constant)", _way(trace), trace.remote, _sent(trace)) for trace in traces]
    head = ("loyalty field", "value, and after each transform", "remote field", "sent")
    return f"Customer {customer}: {fate}\n" + table(head, rows, indent="  ")


def _way(trace: FieldTrace) -> str:
    return " ".join([_value(trace.value), *(f"─{name}▶ {_value(value)}" for name, value in trace.steps)])


def _sent(trace: FieldTrace) -> str:
    if trace.problem:
        return f"REJECTED: {trace.problem}"
    return "nothing (empty)" if trace.final is None else _value(trace.final)


def _value(value: Any) -> str:
    """Return a value as JSON, so that 1, "1" and null look different; long ones are cut."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:59] + "…"
