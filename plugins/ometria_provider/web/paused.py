"""Which DAGs are paused: Airflow knows, and this process may ask its database."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ometria_provider.exceptions import Retryable


class AirflowUnasked(Retryable):
    """Airflow's database does not say which DAGs are paused."""


def paused(dag_ids: Collection[str]) -> frozenset[str]:
    """Return those of some DAGs that Airflow does not schedule because somebody paused them, or nobody unpaused them.

    :raises AirflowUnasked: when Airflow's database does not answer.
    """
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    query = select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids), DagModel.is_paused)
    try:
        with create_session() as session:
            return frozenset(session.scalars(query))
    except SQLAlchemyError as error:
        raise AirflowUnasked("Airflow's database does not say which DAGs are paused. Is it up?") from error
