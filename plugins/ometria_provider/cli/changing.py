"""Put into words what a run would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ometria_provider.cli.previewing import shown
from ometria_provider.text import members, table

if TYPE_CHECKING:
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.operators.comparing import Comparison, Member


def compare_newest(mapping: Mapping, limit: int) -> Comparison:
    """Compare the newest members, as they would be sent, with what Ometria holds."""
    from datetime import UTC, datetime

    from ometria_provider.cli.connect import antavo, ometria, ready_ledger
    from ometria_provider.operators.comparing import of_members
    from ometria_provider.operators.previewing import ask_details, preview_members

    source, ledger = antavo(mapping.connections.antavo), ready_ledger()
    customers = ask_details(mapping, source, source.sample(limit))
    previewed = preview_members(mapping, customers, today=datetime.now(UTC).date(), ledger=ledger)
    return of_members(mapping, previewed, ometria(mapping.connections.ometria), ledger)


def comparison_text(found: Comparison) -> str:
    """Return members before and after, as text: only what would not stay as it is."""
    if not found.members:
        return "None of the newest members makes a record, so there is nothing to compare."
    rows = [(row.field, row.set, row.changed, row.emptied) for row in found.fields]
    head = f"Of the {members(len(found.members))} that were looked at"
    counts = table(("field", "would get a value", "another one", "lose it"), rows, indent="  ")
    return "\n\n".join([f"{head}\n{counts}", *map(_member, found.members)])


def _member(member: Member) -> str:
    if not member.differing:
        return f"Contact {member.contact_id}: stays as it is"
    rows = [(each.field, shown(each.before), shown(each.after), each.kind) for each in member.differing]
    new = " (new in Ometria)" if member.is_new else ""
    return f"Contact {member.contact_id}{new}\n" + table(
        ("field", "Ometria holds", "would hold", ""), rows, indent="  "
    )
