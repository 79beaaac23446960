"""Leave a line in Airflow's own audit log when somebody looks at a customer (docs/adr/0052).

It stands beside Airflow's own lines (Browse, Audit Log): when, who, and which DAG. Of whom was looked at it holds a
digest: Airflow keeps the log for as long as it likes, also when the person is to be forgotten.
"""

from __future__ import annotations

import json

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from sqlalchemy.exc import SQLAlchemyError

from ometria_provider.exceptions import Retryable
from ometria_provider.operators.forgetting import mark

#: The events, as Airflow's audit log names them.
VIEWED, EXPLAINED, SEARCHED = "ometria_customer_viewed", "ometria_customer_explained", "ometria_customer_searched"
PREVIEWED, COMPARED = "ometria_mapping_previewed", "ometria_run_compared"


class NotAudited(Retryable):
    """Airflow's audit log did not take the line, so nothing is shown."""


def note(user: BaseUser, event: str, customer: str | None = None, *, values: bool = False) -> None:
    """Write that a user looks at a customer; nothing is shown before this is done.

    :param values: members' values are shown.
    :raises NotAudited: when Airflow's database does not take it.
    """
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    known = {"values": values, **({"customer_digest": mark(customer)} if customer is not None else {})}
    try:
        with create_session() as session:
            session.add(Log(event=event, owner=user.get_name(), extra=json.dumps(known)))
    except SQLAlchemyError as error:
        raise NotAudited(
            "Airflow's audit log does not take the line that says who looked, so nothing is shown. Is Airflow's "
            "database up?"
        ) from error
