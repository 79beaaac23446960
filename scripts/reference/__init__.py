"""The pages of docs/reference/, each written from the code that it speaks of."""

from __future__ import annotations

from collections.abc import Callable

from ometria_provider.mapping import files as mapping_files
from ometria_provider.workflows import files as workflow_files

from reference import (
    answers,
    cli,
    configuration,
    connections,
    consent,
    dags,
    ledger,
    mapping,
    metrics,
    params,
    rules,
    sandbox,
    workflow,
)

#: What editors check files with: path in include/ → what writes its text.
SCHEMAS: dict[str, Callable[[], str]] = {
    "mappings/mapping.schema.json": mapping_files.schema_text,
    "workflows/workflow.schema.json": workflow_files.schema_text,
}

#: File name in docs/reference/ → what writes its text.
PAGES: dict[str, Callable[[], str]] = {
    "answers.md": answers.page,
    "cli.md": cli.page,
    "configuration.md": configuration.page,
    "connections.md": connections.page,
    "consent.md": consent.page,
    "dags.md": dags.page,
    "ledger.md": ledger.page,
    "mapping.md": mapping.page,
    "metrics.md": metrics.page,
    "params.md": params.page,
    "rules.md": rules.page,
    "sandbox.md": sandbox.page,
    "workflow.md": workflow.page,
}
