"""Which DAGs are paused: Airflow knows, and this process may ask its database."""

from __future__ import annotations

import logging
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)


def paused(dag_ids: Collection[str]) -> frozenset[str] | None:
    """Return those of some DAGs that start no run by schedule, as somebody paused them or nobody ever unpaused them.

    None when Airflow's database does not say: what the ledger knows is to be seen all the same.
    """
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    query = select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids), DagModel.is_paused)
    try:
        with create_session() as session:
            return frozenset(session.scalars(query))
    except SQLAlchemyError as error:
        log.warning("Airflow's database does not say which DAGs are paused: %s", type(error).__name__)
        return None
