"""The locked requirements: complete, exact, and from nowhere in particular."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = ("requirements.txt", "requirements-deploy.txt", "requirements-dev.txt")
#: What a deployment installs beside the package's own dependencies.
DEPLOYED = ("postgres", "alerts", "celery", "fab", "metrics", "s3")


def _pins(file):
    lines = (ROOT / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r requirements"))]


def _name(requirement):
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("file", FILES)
def test_requirements_are_exact_versions_and_nothing_else(file):
    assert [line for line in _pins(file) if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line)] == []


def test_requirements_hold_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = {_name(line) for line in _pins("requirements.txt")}
    wanted = {_name(each) for each in project["project"]["dependencies"] + project["build-system"]["requires"]}
    assert wanted - locked == set()
    extras = project["project"]["optional-dependencies"]
    locked |= {_name(line) for line in _pins("requirements-deploy.txt")}
    assert {_name(each) for extra in DEPLOYED for each in extras[extra]} - locked == set()
    locked |= {_name(line) for line in _pins("requirements-dev.txt")}
    assert {_name(each) for each in extras["dev"]} - locked == set()


def test_requirements_of_a_deployment_stand_on_those_of_a_run():
    assert "-r requirements.txt" in (ROOT / "requirements-deploy.txt").read_text().splitlines()
    assert "-r requirements-deploy.txt" in (ROOT / "requirements-dev.txt").read_text().splitlines()


def test_requirements_name_nothing_twice():
    names = [_name(line) for file in FILES for line in _pins(file)]
    assert len(names) == len(set(names))
