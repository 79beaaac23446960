"""The overview beside Airflow's own database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pages import pages
from sqlalchemy import delete
from sync import Sync

DAGS = ("contact_sync__asleep", "contact_sync__awake")


@pytest.fixture
def dags(airflow_database: None) -> Iterator[None]:
    """Airflow knows the DAGs of two mappings, the first of them paused."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="of-a-test"))
        session.flush()
        for dag_id in DAGS:
            session.merge(DagModel(dag_id=dag_id, bundle_name="of-a-test", is_paused=dag_id == DAGS[0]))
    yield
    with create_session() as session:
        session.execute(delete(DagModel).where(DagModel.dag_id.in_(DAGS)))


@pytest.mark.usefixtures("dags")
def test_overview_says_which_dags_are_paused(sync: Sync) -> None:
    sync.ledger.ready()
    sync.mapping("asleep")
    sync.mapping("awake")
    text = pages("VIEWER").get("/ometria/").text
    rows = {name: text[text.index(f">{name}</a>") :].partition("</tr>")[0] for name in ("asleep", "awake")}
    assert {name: ">paused</span>" in row for name, row in rows.items()} == {"asleep": True, "awake": False}
    assert "does not say which DAGs are paused" not in text
