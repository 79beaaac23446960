"""Who may look, who may act, and from where."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi import Request
from ometria_provider.web.access import (
    NotAllowed,
    may_edit,
    may_read,
    readable,
    require_edit,
    require_read,
    same_origin,
)

DAG = "contact_sync__customers"


@pytest.fixture(autouse=True)
def _auth_manager() -> None:
    create_auth_manager()


def user(role: str | None) -> SimpleAuthManagerUser:
    return SimpleAuthManagerUser(username="ann", role=role)


@pytest.mark.parametrize(
    ("role", "reads", "edits"),
    [(None, False, False), ("VIEWER", True, False), ("USER", True, True), ("ADMIN", True, True)],
)
def test_access_is_that_to_the_dag(role, reads, edits):
    assert (may_read(user(role), DAG), may_edit(user(role), DAG)) == (reads, edits)
    assert readable(user(role), [DAG]) == ([DAG] if reads else [])


def test_access_that_is_refused_says_what_is_missing():
    with pytest.raises(NotAllowed, match="may not look at the DAG contact_sync__customers"):
        require_read(user(None), DAG)
    with pytest.raises(NotAllowed, match="may look, but not act"):
        require_edit(user("VIEWER"), DAG)
    require_edit(user("USER"), DAG)


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://airflow.test"}, True),
        ({"origin": "http://evil.test"}, False),
        ({"origin": "null"}, False),
        ({}, False),
        ({"authorization": "Bearer x"}, True),
        ({"authorization": "Bearer x", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_request_that_acts_comes_from_here(headers, passes):
    raw = [(name.encode(), value.encode()) for name, value in {"host": "airflow.test", **headers}.items()]
    request = Request({"type": "http", "headers": raw})
    if passes:
        same_origin(request)
    else:
        with pytest.raises(NotAllowed):
            same_origin(request)
