"""Mapping and workflow files that belong to one deployment, for a test to change."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

from deployment import CHECKOUT, Deployment

_INSIDE = "/opt/airflow/include"


def own_include(deployment: Deployment) -> Path:
    """Give a deployment that is not up yet a copy of the checkout's `include/`, and return where it lies.

    Nothing starts a sync but a test: the shipped mapping `customers` has no schedule there, and there is no other.
    """
    include = deployment.folder / "volumes" / "include"
    shutil.copytree(CHECKOUT / "include", include)
    for file in (include / "mappings").glob("*.yaml"):
        if file.name == "customers.yaml":
            file.write_text(file.read_text().replace('schedule: "@hourly"', "schedule: null"))
        else:
            file.unlink()
    deployment.services = {
        name: replace(each, mounts={**each.mounts, **({_INSIDE: "include"} if _INSIDE in each.mounts else {})})
        for name, each in deployment.services.items()
    }
    return include


def change_constant(include: Path, word: str) -> None:
    """Let the mapping send another constant: every record differs from what Ometria has."""
    file = include / "mappings" / "customers.yaml"
    text, found = re.subn(r"\{value: \w+,", f"{{value: {word},", file.read_text())
    assert found, "the shipped mapping has no constant any more"
    file.write_text(text)
