"""The pages as Airflow's API server mounts them, seen by one of Airflow's users."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi import FastAPI
from fastapi.testclient import TestClient
from ometria_provider.addresses import PAGES
from ometria_provider.web.pages import create_app
from sqlalchemy import select

#: What a browser says when somebody follows a link, and when a form of the same page is sent.
BROWSER = {"accept": "text/html,application/xhtml+xml"}
FORM = {**BROWSER, "sec-fetch-site": "same-origin"}


def pages(role: str | None, **client: str) -> TestClient:
    """Return a client of the pages.

    :param role: the user's with SimpleAuthManager, such as VIEWER or USER; empty: one who may nothing; None: nobody
        is signed in.
    """
    create_auth_manager()
    app, outer = create_app(), FastAPI()
    if role is not None:
        app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username=role.lower() or "nobody", role=role)
    outer.mount(PAGES, app)
    return TestClient(outer, base_url="http://airflow.test", headers={**BROWSER, **client}, follow_redirects=False)


class Line(NamedTuple):
    """A line of Airflow's audit log."""

    event: str
    owner: str
    dag_id: str | None
    run_id: str | None
    extra: dict[str, Any]


def audited() -> list[Line]:
    """Return the lines of Airflow's audit log about looks at members."""
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    with create_session() as session:
        query = select(Log).where(Log.event.like("ometria_%")).order_by(Log.id)
        return [
            Line(log.event, log.owner, log.dag_id, log.run_id, json.loads(log.extra)) for log in session.scalars(query)
        ]
