"""What the plugin puts into the API server: one public route, pages for signed-in users, and where they are shown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Annotated, Any

import pytest
from airflow.api_fastapi.app import RESERVED_URL_PREFIXES
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from ometria_provider.addresses import in_airflow
from ometria_provider.web.plugin import OmetriaPlugin

#: Routes that ask for credentials of their own. This list may only shrink.
PUBLIC = {"/ometria/webhooks/antavo"}


def open_routes(apps: list[dict[str, Any]]) -> set[str]:
    """Return the paths that somebody who is not signed in reaches."""
    return {
        entry["url_prefix"] + route.path
        for entry in apps
        for route in entry["app"].routes
        if not (isinstance(route, APIRoute) and get_user in calls(route.dependant))
    }


def calls(dependant: Any) -> Iterator[Callable[..., Any]]:
    for each in dependant.dependencies:
        yield each.call
        yield from calls(each)


def test_plugin_only_the_receiver_is_open_to_who_is_not_signed_in():
    assert open_routes(OmetriaPlugin().fastapi_apps) == PUBLIC


def test_check_sees_a_route_that_forgot_the_signed_in_user():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/guarded")
    def guarded(user: Annotated[Any, Depends(get_user)]) -> None: ...

    @app.get("/open")
    def open_() -> None: ...

    assert open_routes([{"url_prefix": "/x", "app": app}]) == {"/x/open"}


def test_plugin_is_found_by_airflow_and_its_prefix_is_not_reserved():
    found = [entry for entry in entry_points(group="airflow.plugins") if entry.name == "ometria"]
    assert [entry.load() for entry in found] == [OmetriaPlugin]
    for entry in OmetriaPlugin().fastapi_apps:
        assert not entry["url_prefix"].startswith(tuple(RESERVED_URL_PREFIXES))


def test_plugin_mounts_the_receiver_before_the_pages_that_would_cover_it():
    assert [entry["url_prefix"] for entry in OmetriaPlugin().fastapi_apps] == ["/ometria/webhooks", "/ometria"]


def test_plugin_puts_the_pages_into_airflow_s_navigation(monkeypatch):
    (view,) = OmetriaPlugin().external_views
    assert (view["name"], view["href"], view["destination"]) == ("Ometria sync", "/ometria/", "nav")
    assert in_airflow("/runs/7") == "/plugin/ometria-sync/ometria/runs/7"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.test/team")
    (view,) = OmetriaPlugin().external_views
    assert view["href"] == "/team/ometria/"
    assert in_airflow("/runs/7") == "/team/plugin/ometria-sync/team/ometria/runs/7"


@pytest.mark.parametrize("module", ["fastapi", "jwt", "pandas", "msgspec", "ometria_provider.web.webhooks"])
def test_plugin_costs_other_processes_of_airflow_nothing(module):
    code = (
        "import sys, airflow.plugins_manager\nbefore = set(sys.modules)\n"
        "from ometria_provider.web.plugin import OmetriaPlugin\nOmetriaPlugin()\n"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert module not in done.stdout.split()
