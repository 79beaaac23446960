"""Show real events' way through a workflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from ometria_provider.exceptions import SyncError
from ometria_provider.text import table

if TYPE_CHECKING:
    from ometria_provider.hooks.antavo import AntavoHook
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.mapping.records import FieldTrace
    from ometria_provider.workflows.events import Event
    from ometria_provider.workflows.model import Workflow
    from ometria_provider.workflows.records import Recipe

MOST_LOOKED_AT = 10_000
"""So many of the newest events are looked through, ten requests: no call filters by action or id."""


@dataclass(frozen=True)
class PreviewedEvent:
    """One event's way through a workflow.

    :param outcome: ``custom_event``, or the state that its delivery would end in.
    :param reason: why it would not be mailed.
    :param fields: each value's way; none when Antavo does not know the customer.
    :param record: the custom event, exactly; also of an event that is too old by now.
    """

    event: str
    customer: str | None
    timestamp: datetime | None
    outcome: str
    reason: str | None
    fields: list[FieldTrace]
    record: dict[str, Any] | None


def contacts_of(workflow: Workflow) -> Mapping | None:
    """Return a workflow's contact mapping; None: it names none, or one that is broken, for which a run waits."""
    from ometria_provider.mapping.files import load_mapping
    from ometria_provider.settings import read_settings

    if workflow.contact_mapping is None:
        return None
    try:
        return load_mapping(read_settings().mappings_folder / f"{workflow.contact_mapping}.yaml")
    except SyncError:
        return None


def newest(hook: AntavoHook) -> Iterator[Event]:
    """Yield the newest events, each once."""
    from ometria_provider.workflows.events import UnreadableEvent, event_view

    had: set[str] = set()
    rows = (row for page in hook.latest_events() for row in page)
    for row in islice(rows, MOST_LOOKED_AT):
        try:
            event = event_view(row)
        except UnreadableEvent:  # no workflow's, for it has no action or id
            continue
        if event.id not in had:
            had.add(event.id)
            yield event


def preview_events(recipe: Recipe, events: Iterable[Event], hook: AntavoHook, now: datetime) -> list[PreviewedEvent]:
    """Make custom events as a run does, and follow each value besides. What the ledger knows is not asked."""
    look_up = cache(hook.reward)
    return [_preview(recipe, event, hook, look_up, now) for event in events]


def _preview(
    recipe: Recipe, event: Event, hook: AntavoHook, look_up: Callable[[str], dict[str, Any] | None], now: datetime
) -> PreviewedEvent:
    import msgspec

    from ometria_provider.workflows.records import CustomEvent

    refusal = recipe.refusal(event, now=now)
    customer = _customer(recipe, event, hook)
    reward_id = recipe.reward_id(event)
    reward = look_up(reward_id) if reward_id else None
    made = recipe.make(event, customer, reward)
    if isinstance(made, CustomEvent):
        record, late = msgspec.json.decode(made.body), None
    else:
        record, late = None, made
    final = refusal or late
    return PreviewedEvent(
        event.id,
        event.customer_id,
        event.timestamp,
        final.state if final else "custom_event",
        final.reason if final else None,
        [] if customer is None else list(recipe.explain(event, customer, reward)),
        None if event.problem else record,
    )


def _customer(recipe: Recipe, event: Event, hook: AntavoHook) -> dict[str, Any] | None:
    """Return the whole customer, with the details that the workflow reads."""
    from ometria_provider.mapping.customers import with_details

    customer = hook.customer(event.customer_id) if event.customer_id else None
    if customer is None or not recipe.detail_fields:
        return customer
    details = hook.details(str(event.customer_id), recipe.detail_fields)
    return None if details is None else with_details(customer, details)


def event_text(previewed: PreviewedEvent) -> str:
    """Return one line for each value's way, and the custom event as it would be sent."""
    import msgspec

    from ometria_provider.cli.previewing import sent, way
    from ometria_provider.text import json_text, moment

    fate = "makes a custom event" if previewed.outcome == "custom_event" else previewed.outcome
    why = f" ({previewed.reason})" if previewed.reason else ""
    at = moment(previewed.timestamp) if previewed.timestamp else "no time"
    blocks = [f"Event {previewed.event} of customer {previewed.customer or '-'}, {at}: {fate}{why}"]
    if previewed.fields:
        rows = [
            (trace.loyalty or "(constant)", way(trace), trace.remote, _noted(trace, sent)) for trace in previewed.fields
        ]
        head: Sequence[str] = ("field", "value, and after each transform", "property", "sent")
        blocks.append(table(head, rows, indent="  "))
    if previewed.record:
        blocks.append(msgspec.json.format(json_text(previewed.record)))
    return "\n".join(blocks)


def _noted(trace: FieldTrace, sent: Callable[[FieldTrace], str]) -> str:
    note = " (a list: segments and triggers cannot use it)" if isinstance(trace.final, list) else ""
    return sent(trace) + note
