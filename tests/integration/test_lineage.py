"""What OpenLineage's own extractor gets from our operators, around whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.sdk import DAG
from ometria_provider import campaign_factory
from ometria_provider.operators.antavo import ExtractOperator
from ometria_provider.operators.ometria import OmetriaPushOperator
from sync import Sync

SLICE = {"index": 0, "gte": None, "lt": None}


def lineage(task: Any, *, state: str, run_id: str = "") -> Any:
    """Ask as the listener does, which swallows what an operator raises."""
    from airflow.utils.state import TaskInstanceState

    instance = SimpleNamespace(run_id=run_id, map_index=-1)
    dagrun = SimpleNamespace(run_id=run_id)
    return ExtractorManager().extract_metadata(dagrun, task, TaskInstanceState(state), task_instance=instance)  # type: ignore[arg-type]


def task(kind: type[Any], dag_id: str = "contact_sync__members", **more: Any) -> Any:
    with DAG(dag_id):
        return kind(task_id=kind.step, mapping="members", window=SLICE, **more)


def names(datasets: Any) -> list[tuple[str, str]]:
    return [(one.namespace, one.name) for one in datasets]


@pytest.mark.parametrize("state", ["running", "success", "failed"])
def test_extract_reads_the_customers_of_the_account(sync: Sync, state: str) -> None:
    sync.mapping()
    run = sync.run()
    found = lineage(task(ExtractOperator), state=state, run_id=run.work.run_id)
    assert names(found.inputs) == [("antavo://antavo_default", "customers")]
    assert found.outputs == []
    (customers,) = found.inputs
    assert {"email", "score", "tiers.basic_structure.next.name", "status"} <= {
        field.name for field in customers.facets["schema"].fields
    }
    counted = customers.inputFacets.get("inputStatistics")
    assert (counted.rowCount if counted else None) == (None if state == "running" else run.row["read"])


@pytest.mark.parametrize("state", ["running", "success", "failed"])
def test_push_writes_the_collection_field_by_field(sync: Sync, state: str) -> None:
    sync.mapping()
    run = sync.run()
    found = lineage(task(OmetriaPushOperator), state=state, run_id=run.work.run_id)
    assert names(found.inputs) == [("antavo://antavo_default", "customers")]
    assert names(found.outputs) == [("ometria://ometria_default", "contacts/members")]
    (contacts,) = found.outputs
    assert "next_tier" in {field.name for field in contacts.facets["schema"].fields}
    (source,) = contacts.facets["columnLineage"].fields["points"].inputFields
    assert (source.namespace, source.name, source.field) == ("antavo://antavo_default", "customers", "score")
    counted = contacts.outputFacets.get("outputStatistics")
    assert (counted.rowCount if counted else None) == (None if state == "running" else run.row["accepted"])


def test_cleared_push_tells_of_the_mapping_as_planned(sync: Sync) -> None:
    sync.mapping()
    run = sync.run()
    sync.mapping(fields=[{"loyalty": "first_name", "remote": "firstname"}])
    (contacts,) = lineage(task(OmetriaPushOperator), state="success", run_id=run.work.run_id).outputs
    assert "points" in contacts.facets["columnLineage"].fields


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("s3://aws_default@bucket/shop/contacts.parquet", "s3://bucket", "shop/contacts.parquet"),
        ("file:///data/contacts.jsonl", "file", "/data/contacts.jsonl"),
        ("/data/contacts.jsonl", "file", "/data/contacts.jsonl"),
    ],
)
def test_push_of_a_file_reads_that_file(uri: str, namespace: str, name: str) -> None:
    with DAG("own"):
        push = OmetriaPushOperator(task_id="push", records=uri, collection="shop", ometria_conn_id="ometria_uk")
    for state in ("running", "success"):
        found = lineage(push, state=state)
        assert names(found.inputs) == [(namespace, name)]
        assert names(found.outputs) == [("ometria://ometria_uk", "contacts/shop")]


def test_campaigns_read_events_and_write_custom_events(sync: Sync) -> None:
    payload = [{"value": "x", "remote": "y"}]
    for name, kind in (("thanks", "claimed"), ("survey", "asked"), ("again", "claimed")):
        data = {"trigger": {"event": "reward"}, "action": {"event_type": kind, "payload": payload}}
        (Path(sync.workflows) / f"{name}.yaml").write_text(json.dumps(data))
    (dag,) = campaign_factory.campaign_event_dags().values()
    for state in ("running", "success"):
        found = lineage(dag.get_task("campaigns"), state=state)
        assert names(found.inputs) == [("antavo://antavo_default", "events"), ("antavo://antavo_default", "customers")]
        assert names(found.outputs) == [
            ("ometria://ometria_default", "custom_events/asked"),
            ("ometria://ometria_default", "custom_events/claimed"),
        ]
