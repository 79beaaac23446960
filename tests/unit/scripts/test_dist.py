"""`make dist`: what is in the wheel, and that the wheel alone is enough."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from ometria_provider import __version__

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "plugins" / "ometria_provider"

#: What the sdist says it needs to make the wheel, and what a checkout holds besides.
SOURCES = ("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "requirements.txt", "dags", "include", "plugins")


def run(*command: str | Path, **environment: str) -> str:
    """Run a command with this Python, somewhere else than in the checkout, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *command], env=os.environ | environment, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return done.stdout


def build(source: Path, to: Path) -> list[Path]:
    """Build sdist and wheel with the backend of pyproject.toml."""
    code = "import os, sys; os.chdir(sys.argv[1]); from hatchling.build import build_sdist, build_wheel; "
    run("-c", code + "print(build_sdist(sys.argv[2]), build_wheel(sys.argv[2]))", source, to)
    return sorted(to.iterdir())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what goes into the wheel, so that what lies about in the checkout's own folders is told apart."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return wheel and sdist."""
    wheel, sdist = build(checkout, tmp_path_factory.mktemp("dist"))
    assert (wheel.suffix, sdist.suffix) == (".whl", ".gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def names(built: tuple[Path, Path]) -> list[str]:
    return zipfile.ZipFile(built[0]).namelist()


@pytest.fixture(scope="module")
def metadata(built: tuple[Path, Path]) -> Message:
    content = zipfile.ZipFile(built[0]).read(f"airflow_provider_ometria-{__version__}.dist-info/METADATA")
    return message_from_bytes(content)


def test_wheel_holds_each_file_of_the_package(names: list[str]) -> None:
    files = {path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*") if path.is_file()}
    wanted = {path.as_posix() for path in files if "__pycache__" not in path.parts}
    assert wanted - set(names) == set()
    for kind in (
        "web/templates/*.html",
        "web/static/*.js",
        "ledger/migrations/versions/0*.py",
        "py.typed",
        "**/*.mako",
    ):
        assert [*PACKAGE.glob(kind)], f"the test looks for {kind} in the wrong place"


def test_wheel_holds_dags_files_and_schemas_to_begin_with(names: list[str]) -> None:
    begin = "ometria_provider/examples/"
    assert {name.removeprefix(begin) for name in names if name.startswith(begin)} == {
        path.relative_to(ROOT).as_posix()
        for folder in ("dags", "include")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_holds_nothing_else(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert tops == {"ometria_provider", f"airflow_provider_ometria-{__version__}.dist-info"}
    assert [name for name in names if {"tests", "scripts", "docs", "__pycache__"} & set(name.split("/"))] == []


def test_wheel_says_who_it_is_and_under_which_licence(metadata: Message, built: tuple[Path, Path]) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("airflow-provider-ometria", __version__)
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", [])
    assert metadata.get_all("Project-URL") is None, "the project has no address yet"
    info = f"airflow_provider_ometria-{__version__}.dist-info"
    wheel = zipfile.ZipFile(built[0])
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert wheel.read(f"{info}/extra_metadata/CHANGELOG.md") == (ROOT / "CHANGELOG.md").read_bytes()


def test_sdist_makes_the_same_wheel_to_the_byte(built: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    (tmp_path / "again").mkdir()
    again = build(unpacked, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [wheel.read_bytes(), sdist.read_bytes()]


def test_wheel_passes_the_linters(built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    run("-m", "twine", "check", "--strict", wheel, sdist)
    run("-m", "check_wheel_contents", "--config", ROOT / "pyproject.toml", wheel)


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a site-packages with the wheel in it and this environment's other packages, but not the checkout."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(site)
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if "airflow_provider_ometria" not in package.name:
            (site / package.name).symlink_to(package)
    return site


def run_installed(site: Path, *command: str | Path, **environment: str) -> str:
    """Run a command that sees this site-packages and no other."""
    return run("-S", *command, PYTHONPATH=str(site), **environment)


LEDGER = """
import sys
import ometria_provider
from ometria_provider.ledger.engine import open_ledger
assert ometria_provider.__file__.startswith(sys.argv[1]), ometria_provider.__file__
ledger = open_ledger(f"sqlite:///{sys.argv[2]}")
ledger.ready()
ledger.check_version()
"""

AIRFLOW = """
import json, sys
from airflow.providers_manager import ProvidersManager
from airflow import plugins_manager

manager = ProvidersManager()
provider = manager.providers["airflow-provider-ometria"]
plugins, errors = plugins_manager._get_plugins()
(plugin,) = [each for each in plugins if each.name == "ometria"]
for app in plugin.fastapi_apps:
    app["app"].openapi()
import ometria_provider
assert ometria_provider.__file__.startswith(sys.argv[1]), ometria_provider.__file__
print(json.dumps({
    "version": provider.version,
    "hooks": sorted(kind for kind, hook in manager.hooks.items() if "-ometria" in str(hook and hook.package_name)),
    "notifications": [name for name in manager.notification if name.startswith("ometria_provider.")],
    "links": [name for name in manager.extra_links_class_names if name.startswith("ometria_provider.")],
    "triggers": [each.trigger_class_name for each in manager.trigger if each.package_name.endswith("-ometria")],
    "options": sorted(dict(manager.provider_configs)["airflow-provider-ometria"]["ometria"]["options"]),
    "errors": errors,
}))
"""


def test_wheel_alone_brings_a_new_ledger_to_its_newest_shape(installed: Path, tmp_path: Path) -> None:
    run_installed(installed, "-c", LEDGER, installed, tmp_path / "ledger.db")


def test_wheel_alone_shows_airflow_all_that_it_brings(installed: Path, tmp_path: Path) -> None:
    printed = run_installed(installed, "-c", AIRFLOW, installed, AIRFLOW_HOME=str(tmp_path))
    seen = json.loads(printed.splitlines()[-1])
    assert seen["version"] == __version__
    assert seen["hooks"] == ["antavo", "ometria"]
    assert seen["notifications"] == ["ometria_provider.notifications.ometria.SyncNotifier"]
    assert seen["links"] == ["ometria_provider.operators.links.SyncLink"]
    assert seen["triggers"] == ["ometria_provider.triggers.inbox"]
    assert {"ledger_sql_alchemy_conn", "mappings_folder"} <= set(seen["options"])
    assert seen["errors"] == {}


def test_wheel_alone_has_the_command(installed: Path) -> None:
    assert "doctor" in run_installed(installed, "-c", "from ometria_provider.cli import main; main()", "--help")
