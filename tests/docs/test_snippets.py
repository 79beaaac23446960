"""What a reader may copy works: snippets of mappings and workflows load, suites are accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.mapping.files import load_mapping
from ometria_provider.validation.suites import load_suites
from ometria_provider.workflows.files import load_workflow
from ruamel.yaml import YAML

#: What a snippet that shows only a few keys is completed with.
_MAPPING = "list: 4821\n", "fields:\n  - {loyalty: first_name, remote: firstname}\n"
_WORKFLOW = (
    "trigger: {event: reward}\n",
    "action: {event_type: claimed}\n",
    "reward_id: event.properties.reward\n",
)
_OF_WORKFLOWS = {"trigger", "action"}


def _is_workflow(snippet: str) -> bool:
    return bool(_OF_WORKFLOWS & YAML(typ="safe").load(snippet).keys())


def _completed(snippet: str) -> str:
    data = YAML(typ="safe").load(snippet)
    rest = _WORKFLOW if _is_workflow(snippet) else _MAPPING
    return snippet + "".join(part for part in rest if part.partition(":")[0] not in data)


def test_snippets_of_a_page_load(page: Any, tmp_path: Path) -> None:
    for number, snippet in enumerate(page.blocks("yaml")):
        file = tmp_path / f"snippet{number}.yaml"
        file.write_text(_completed(snippet), encoding="utf-8")
        (load_workflow if _is_workflow(snippet) else load_mapping)(file)  # its error shows the line


def test_mapping_snippets_are_there(pages: list[Any]) -> None:
    assert sum(len(page.blocks("yaml")) for page in pages) >= 10


def test_suite_of_the_how_to_is_accepted(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "how-to" / "write-rules.md").read_text(encoding="utf-8")
    suite = text.split("```json\n")[1].split("```")[0]
    (tmp_path / "customers.json").write_text(suite, encoding="utf-8")
    mapping = load_mapping(root / "include" / "mappings" / "customers.yaml")
    assert len(load_suites(tmp_path, "customers", mapping.remotes).rules) == len(json.loads(suite)["expectations"])


@pytest.mark.parametrize("mode", ["legacy", "v2"])
def test_record_of_the_how_to_is_what_the_snippet_sends(root: Path, tmp_path: Path, mode: str) -> None:
    from datetime import date

    from ometria_provider.mapping.customers import Projection
    from ometria_provider.mapping.records import map_customers

    page = (root / "docs" / "how-to" / "legacy-or-v2.md").read_text(encoding="utf-8")
    snippet, shown = page.split("```yaml\n")[1].split("```")[0], json.loads(page.split("```json\n")[1].split("```")[0])
    if mode == "legacy":  # "the members of `properties` stand one level up", and no tiers
        snippet = snippet.replace("mode: v2", "mode: legacy").replace("tiers.basic_structure.next.name", "properties.t")
        shown |= shown.pop("properties")
    file = tmp_path / "customers.yaml"
    file.write_text(snippet, encoding="utf-8")
    mapping = load_mapping(file)
    customer = {
        "_id": "280e",
        "email": "ann@example.com",
        "first_name": "Ann",
        "status": "active",
        "tiers": {"basic_structure": {"next": {"name": {"en": "Gold"}}}},
        "properties": {"t": "Gold"},
    }
    mapped = map_customers(mapping, [Projection(mapping).project(customer)], today=date(2026, 1, 1))
    assert mapped.records == [shown]
