"""Who may look and who may act: Airflow's auth manager decides, by the DAG of what is shown.

A mounted app is public unless each route depends on the signed-in user, and a custom view tells no viewer from an
operator (docs/adr/0050): so every route takes `SignedIn`, and asks here about its DAG.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from fastapi import Depends, Request

from ometria_provider.origin import dag_of

#: The signed-in user, by cookie or bearer token. Who is signed out is refused (`pages.sign_in`).
SignedIn = Annotated[BaseUser, Depends(get_user)]


class NotAllowed(Exception):
    """The user is known, and may not do this. The text says what, and whom to ask."""


def may_read(user: BaseUser, dag_id: str) -> bool:
    """Say whether the user may look at a DAG, and so at what its runs did."""
    return get_auth_manager().is_authorized_dag(method="GET", details=_details(dag_id), user=user)


def may_edit(user: BaseUser, dag_id: str) -> bool:
    """Say whether the user may edit a DAG, and so act on its runs and see its members' values."""
    return get_auth_manager().is_authorized_dag(method="PUT", details=_details(dag_id), user=user)


def readable(user: BaseUser, dag_ids: Iterable[str]) -> list[str]:
    """Return those of some DAGs, by the ledger's ids, at which the user may look."""
    return [dag_id for dag_id in dag_ids if may_read(user, dag_of(dag_id))]


def require_read(user: BaseUser, dag_id: str) -> None:
    """Let pass who may look at a DAG.

    :raises NotAllowed: for anybody else.
    """
    if not may_read(user, dag_id):
        raise NotAllowed(f"You may not look at the DAG {dag_id}: who runs your Airflow can allow you to read it.")


def require_edit(user: BaseUser, dag_id: str) -> None:
    """Let pass who may edit a DAG.

    :raises NotAllowed: for anybody else.
    """
    if not may_edit(user, dag_id):
        raise NotAllowed(
            f"You may look, but not act: that takes the right to edit the DAG {dag_id}, which who runs your Airflow "
            "can give you."
        )


def same_origin(request: Request) -> None:
    """Refuse a request that another site's page made in the user's name: its cookie goes along by itself.

    Browsers say where a request comes from (`Sec-Fetch-Site`, older ones `Origin`); a program with a bearer token
    says neither, and no browser sends that token unasked.

    :raises NotAllowed: when it comes from elsewhere, or does not say and has no bearer token.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        here = site == "same-origin"
    elif origin is not None:
        here = urlsplit(origin).netloc == request.headers.get("host")
    else:
        here = request.headers.get("authorization", "").lower().startswith("bearer ")
    if not here:
        raise NotAllowed("This was asked for by a page of another site, so nothing was done. Do it from the page here.")


#: What each route that acts takes beside `SignedIn`.
SameOrigin = Depends(same_origin)


def _details(dag_id: str) -> DagDetails:
    team = None
    if conf.getboolean("core", "multi_team", fallback=False):
        from airflow.models.dag import DagModel

        team = DagModel.get_team_name(dag_id)
    return DagDetails(id=dag_id, team_name=team)
