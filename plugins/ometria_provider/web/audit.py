"""Leave a line in Airflow's own audit log when somebody looks at a customer (docs/adr/0052).

It stands beside Airflow's own lines (Browse, Audit Log): when, who, and, of a look at a mapping's members, which DAG
and run. Of whom was looked at it holds digests: Airflow keeps the log for as long as it likes, also when the person is
to be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from sqlalchemy.exc import SQLAlchemyError

from ometria_provider.exceptions import Retryable
from ometria_provider.operators.forgetting import mark

#: The events, as Airflow's audit log names them.
VIEWED, EXPLAINED, SEARCHED = "ometria_customer_viewed", "ometria_customer_explained", "ometria_customer_searched"
PREVIEWED, COMPARED = "ometria_mapping_previewed", "ometria_run_compared"


class NotAudited(Retryable):
    """Airflow's audit log did not take the line, so nothing is shown."""


def note(
    user: BaseUser,
    event: str,
    customers: Iterable[str] = (),
    *,
    values: bool = False,
    dag_id: str | None = None,
    run_id: str | None = None,
    **place: int | str,
) -> None:
    """Write that a user looks at customers; nothing is shown before this is done.

    :param customers: ids of those who are shown, as far as they are known by id.
    :param values: members' values are shown.
    :param dag_id: the DAG whose members they are, and `run_id` its run; None: the look is at no DAG in particular.
    :param place: where else they are shown: `run`, the ledger's number, or `mapping`.
    :raises NotAudited: when Airflow's database does not take it.
    """
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    digests = [mark(customer) for customer in customers]
    known = {"values": values, **place, **({"customer_digests": digests} if digests else {})}
    line = Log(event=event, owner=user.get_name(), dag_id=dag_id, run_id=run_id, extra=json.dumps(known))
    try:
        with create_session() as session:
            session.add(line)
    except SQLAlchemyError as error:
        raise NotAudited(
            "Airflow's audit log does not take the line that says who looked, so nothing is shown. Is Airflow's "
            "database up?"
        ) from error
