"""The Airflow plugin: what the API server mounts, and shows in its navigation."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from ometria_provider.addresses import NAVIGATION, PAGES, airflow_root
from ometria_provider.web import WEBHOOKS


class OmetriaPlugin(AirflowPlugin):
    """Every Airflow process loads plugins, but only the API server asks for their apps: they are made then."""

    name = "ometria"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow reads it from the instance
        """Return the apps to mount; the receiver comes first, as its place is below that of the pages."""
        from ometria_provider.web import pages, webhooks

        return [
            {"name": "Ometria webhooks", "app": webhooks.create_app(), "url_prefix": WEBHOOKS},
            {"name": "Ometria sync", "app": pages.create_app(), "url_prefix": PAGES},
        ]

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow reads it from the instance
        """Return the entry of Airflow's navigation."""
        place = f"{airflow_root()}{PAGES}"
        icon = {"icon": f"{place}/static/icon.svg", "icon_dark_mode": f"{place}/static/icon_dark.svg"}
        return [
            {
                "name": "Ometria sync",
                "href": f"{place}/",
                "destination": "nav",
                "url_route": NAVIGATION,
                "nav_top_level": True,
                **icon,
            }
        ]
