"""Show members' way through a mapping, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ometria_provider.text import json_text, table

if TYPE_CHECKING:
    from ometria_provider.mapping.records import FieldTrace
    from ometria_provider.operators.explaining import FieldNow
    from ometria_provider.operators.previewing import Previewed


def member_text(member: Previewed) -> str:
    """Return one line for each remote field: what Antavo holds, each transform's result, what is sent."""
    fate = {"record": "makes a record", "filtered": "left out", "rejected": "rejected"}[member.outcome]
    reasons = [*member.reasons, member.held] if member.held else member.reasons
    why = f" ({'; '.join(reasons)})" if reasons else ""
    rows = [(trace.loyalty or "(constant)", way(trace), trace.remote, sent(trace)) for trace in member.fields]
    head = ("loyalty field", "value, and after each transform", "remote field", "sent")
    return f"Customer {member.customer}: {fate}{why}\n" + table(head, rows, indent="  ")


def way(trace: FieldTrace | FieldNow) -> str:
    """Return the value's way; a transform that changes nothing says so in one sign."""
    words, before = [shown(trace.value)], trace.value
    for name, value in trace.steps:
        words.append(f"─{name}▶ {'=' if _same(value, before) else shown(value)}")
        before = value
    return " ".join(words)


def _same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def sent(trace: FieldTrace) -> str:
    """Return what is sent of a value, or why nothing is."""
    if trace.problem:
        return f"REJECTED: {trace.problem}"
    return "nothing (empty)" if trace.final is None else shown(trace.final)


def shown(value: Any) -> str:
    """Return a value as JSON, so that 1, "1" and null look different; long ones are cut."""
    text = json_text(value)
    return text if len(text) <= 60 else text[:59] + "…"
