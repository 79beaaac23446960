"""The doc pages of DAGs."""

from __future__ import annotations

from ometria_provider.mapping.model import Mapping, SentRow
from ometria_provider.mapping.rules import conditions as conditions_of
from ometria_provider.mapping.transforms import make_steps
from ometria_provider.workflows.accounts import Campaigns
from ometria_provider.workflows.model import Payload, PayloadRow, Workflow

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


_CAMPAIGNS_RED = """\
### When a run is red
1. Its log says why, and what to do next. What Ometria acknowledged is not sent again, however often it is cleared.
2. A server that did not answer: nothing to do. Events wait, and the next run, a minute later, delivers them.
3. `ometria-sync events --state rejected` lists what must be mended, each with the field; `ometria-sync events retry`
   delivers it when it is. `ometria-sync trace ID` explains one event, or one customer.
"""


def campaigns_doc(campaigns: Campaigns) -> str:
    """Return Markdown: what starts which campaign, with what in it, and what to do when a run is red."""
    parts = [
        f"## Campaigns from Antavo (connection `{campaigns.account}`)\n\n"
        "Collects new events every minute, and at once when a webhook brought one, and sends a custom event to Ometria "
        "for each workflow that an event triggers: once."
    ]
    parts += [_workflow(workflow) for workflow in campaigns.workflows.values()]
    parts += [
        f"### {file} is broken\n\n```\n{problems}\n```\n\nIts events wait, and every run is red until it is mended "
        "(`ometria-sync workflows check` says when)."
        for file, problems in campaigns.broken.items()
    ]
    return "\n\n".join([*parts, _CAMPAIGNS_RED])


def _workflow(workflow: Workflow) -> str:
    rows = "\n".join(f"| {_payload_source(row)} | `{row.remote}` |" for row in workflow.action.payload)
    where = "".join(f"; where `{name}`" for name in workflow.where)
    start = "the first collection" if workflow.starts_at is None else f"{workflow.starts_at:%Y-%m-%d %H:%M:%SZ}"
    pushed = f"`{workflow.contact_mapping}` pushes it first" if workflow.contact_mapping else "nobody pushes it first"
    return (
        f"### {workflow.description or workflow.name}\n\n"
        f"`{workflow.name}.yaml`: event `{workflow.trigger.event}`{where} becomes `{workflow.action.event_type}` in "
        f"Ometria (connection `{workflow.connections.ometria}`).\n\n"
        f"| field | tag in templates |\n|---|---|\n{rows}\n\n"
        f"- events before {start} are not mailed, nor those older than {workflow.expires_after}\n"
        f"- a contact that Ometria lacks: {pushed}\n"
        f"- members who opted out: {'mailed too (transactional)' if workflow.transactional else 'not mailed'}"
    )


def _payload_source(row: Payload) -> str:
    return f"`{row.loyalty}`" if isinstance(row, PayloadRow) else f"constant `{row.value}`"
