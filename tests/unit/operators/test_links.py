from __future__ import annotations

from airflow.sdk.types import TaskInstanceKey
from ometria_provider.operators.links import SyncLink
from ometria_provider.operators.ometria import OmetriaPushOperator
from ometria_provider.provider_info import get_provider_info


def test_link_leads_to_the_page_of_the_run_inside_airflow():
    key = TaskInstanceKey("contact_sync__customers", "push", "manual__2026-03-01T12:00:00+00:00", 1, 0)
    operator = OmetriaPushOperator(task_id="push", mapping="customers", window=None)
    (link,) = operator.operator_extra_links
    assert link.get_link(operator, ti_key=key) == (
        "/plugin/ometria-sync/ometria/of/contact_sync__customers?run=manual__2026-03-01T12%3A00%3A00%2B00%3A00"
    )


def test_link_of_a_task_that_pushes_a_file_leads_to_the_run_of_that_task():
    key = TaskInstanceKey("own", "push", "manual__1", 1, 2)
    operator = OmetriaPushOperator(task_id="push", records="/contacts.jsonl", collection="shop")
    (link,) = operator.operator_extra_links
    assert link.get_link(operator, ti_key=key) == "/plugin/ometria-sync/ometria/of/own.push%5B2%5D?run=manual__1"


def test_link_is_one_that_airflow_knows_when_it_reads_a_dag_back():
    assert get_provider_info()["extra-links"] == [f"{SyncLink.__module__}.{SyncLink.__qualname__}"]
