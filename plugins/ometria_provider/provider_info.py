"""Tell Airflow what this distribution brings."""

from __future__ import annotations

from typing import Any

from ometria_provider import __version__


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata (Airflow reads it through the entry point)."""
    return {
        "package-name": "airflow-provider-ometria",
        "name": "Ometria",
        "description": "Keeps Ometria contacts in step with Antavo customers.",
        "versions": [__version__],
    }
