"""Put into words how one customer stands now, mapping by mapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ometria_provider.cli.previewing import shown, way
from ometria_provider.text import table

if TYPE_CHECKING:
    from ometria_provider.mapping.model import Mapping
    from ometria_provider.operators.explaining import Explained, FieldNow


def mappings_asked_for(name: str | None) -> list[Mapping]:
    """Return the mapping of this name, or all that are whole.

    :raises Misused: when there is no such file.
    """
    from ometria_provider.cli.folder import mapping_named
    from ometria_provider.mapping.files import check_folder
    from ometria_provider.settings import read_settings

    return [mapping_named(name)] if name else check_folder(read_settings().mappings_folder)[0]


def ask(customer: str, mappings: Sequence[Mapping]) -> list[Explained]:
    """Ask Antavo and Ometria about a customer, within the accounts' shared rate budgets."""
    from ometria_provider.cli.connect import airflow
    from ometria_provider.cli.reading import open_for_reading
    from ometria_provider.settings import read_settings

    with airflow():
        from ometria_provider.operators.explaining import Explainer

        return Explainer(open_for_reading(), customer, read_settings().expectations_folder).explain(mappings)


def now_text(explained: Sequence[Explained]) -> str:
    """Return how the customer stands now, as text."""
    if not explained:
        return "Now: there is no mapping."
    return "\n\n".join("\n".join(_lines(one)) for one in explained)


def _lines(one: Explained) -> Iterator[str]:
    yield f"Now, under {one.mapping}: {one.words}"
    if one.problem:
        yield f"  problem      {one.problem}"
        return
    for reason in one.reasons:
        yield f"  why          {reason}"
    there = "" if one.in_ometria else "no "
    yield f"  in Ometria   {there}contact {one.contact_id or '(it has no usable id)'} in collection {one.collection}"
    if one.fields:
        head = ("loyalty field", "value, and after each transform", "remote field", "Ometria holds", "agree", "why")
        yield table(head, [_row(row) for row in one.fields], indent="  ")


def _row(row: FieldNow) -> tuple[str, ...]:
    agree = {True: "yes", False: "NO", None: "-"}[row.agrees]
    return (row.loyalty or "(constant)", way(row), row.remote, shown(row.held), agree, row.why or "")
