"""Where in Airflow a run of the ledger is found."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ometria_provider.origin import Origin, dag_of, file_push_id, origin_of


def run(dag_id: str, run_id: str = "manual__1", mapping: str = "customers") -> SimpleNamespace:
    return SimpleNamespace(dag_id=dag_id, run_id=run_id, mapping=mapping)


@pytest.mark.parametrize("mapping", ["customers", "a.b"], ids=["a name", "a name with a dot"])
def test_run_of_a_contact_sync_has_airflows_own_ids(mapping: str) -> None:
    own = f"contact_sync__{mapping}"
    assert origin_of(run(own, mapping=mapping)) == Origin(own, "manual__1", sync=own)


def test_push_that_a_campaign_made_first_is_tried_again_by_its_mapping() -> None:
    found = origin_of(run("campaign_events__antavo.uk", "contacts__5e0c"))
    assert found == Origin("campaign_events__antavo.uk", None, "campaigns", sync="contact_sync__customers")


@pytest.mark.parametrize(
    ("dag_id", "task_id", "map_index"),
    [
        ("own", "push", None),
        ("own", "push", 2),
        ("team.shop", "push", None),
        ("own", "morning.push", None),
        ("team.shop", "morning.eu.push", 0),
    ],
)
def test_push_of_a_file_is_found_by_its_dag_and_task(dag_id: str, task_id: str, map_index: int | None) -> None:
    known_as = file_push_id(dag_id, task_id, map_index)
    assert origin_of(run(known_as, mapping="shop")) == Origin(dag_id, "manual__1", task_id, map_index)
    assert dag_of(known_as) == dag_id


def test_push_of_a_file_keeps_the_id_that_the_ledger_knows_it_by() -> None:
    assert (file_push_id("own", "push", -1), file_push_id("own", "push", 3)) == ("own.push", "own.push[3]")


def test_id_without_a_dot_is_airflows() -> None:
    assert dag_of("own") == "own"
