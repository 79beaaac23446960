"""The doc page of a mapping's DAG."""

from __future__ import annotations

from ometria_provider.mapping.model import Mapping, SentRow
from ometria_provider.mapping.rules import conditions as conditions_of
from ometria_provider.mapping.transforms import make_steps

_WHEN_RED = """\
### When a run is red
1. Open the task `report`: its log says why, and what to do next. `ometria-sync show {name}:latest` prints the same.
2. Halted at `gate`: nothing was sent. The log names the limit, by how much it was broken, and how to go on.
3. Any other task: clear it. What Ometria acknowledged is not sent again; what was not goes on where it stopped.
4. `ometria-sync rejections {name}:latest` lists who was not delivered, and why; `ometria-sync trace ID` explains
   one customer.
"""


def _source(row: SentRow) -> str:
    return f"`{row.loyalty}`" if row.loyalty else f"constant `{row.value}`"


def _steps(row: SentRow) -> str:
    return ", ".join(step.label for step in make_steps(row.transform))


def mapping_doc(mapping: Mapping) -> str:
    """Return Markdown: what goes where, every row of the mapping, its limits, and what to do when a run is red."""
    rows = "\n".join(f"| {_source(row)} | {_steps(row)} | `{row.remote}` |" for row in mapping.rows)
    conditions = "\n".join(f"- {condition.reason.removeprefix('where: ')}" for condition in conditions_of(mapping))
    limits = "\n".join(
        f"- `{name}`: {'no limit' if value is None else value}" for name, value in mapping.limits.model_dump().items()
    )
    return (
        f"## {mapping.description or mapping.name}\n\n"
        f"Antavo customers (connection `{mapping.connections.antavo}`) to list **{mapping.list}** of Ometria "
        f"(connection `{mapping.connections.ometria}`), collection `{mapping.collection}`, {mapping.mode} mode.\n\n"
        f"### Fields\n| loyalty field | transforms | remote field |\n|---|---|---|\n{rows}\n\n"
        f"### Who is included\n{conditions}\n\n### Limits\n{limits}\n\n" + _WHEN_RED.format(name=mapping.name)
    )


def broken_doc(file: str, problems: str) -> str:
    """Return Markdown that shows what is wrong in a mapping file."""
    return (
        f"## {file} is broken\n\n```\n{problems}\n```\n\n"
        "Mend the file (`ometria-sync mappings check` says when it is right). Until then every run of this DAG, "
        "scheduled or not, fails."
    )
