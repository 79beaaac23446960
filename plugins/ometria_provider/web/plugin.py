"""The Airflow plugin: what the API server mounts."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from ometria_provider.web import WEBHOOKS


class OmetriaPlugin(AirflowPlugin):
    """Every Airflow process loads plugins, but only the API server asks for their apps: they are made then."""

    name = "ometria"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow reads it from the instance
        """Return the apps to mount."""
        from ometria_provider.web.webhooks import create_app

        return [{"name": "Ometria webhooks", "app": create_app(), "url_prefix": WEBHOOKS}]
