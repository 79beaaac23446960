from __future__ import annotations

import importlib
import json
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airflow.sdk import BaseHook, BaseNotifier, BaseOperator, BaseOperatorLink
from airflow.triggers.base import BaseTrigger
from ometria_provider import __version__, hooks, notifications, operators, triggers
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.hooks.base import JsonApiHook
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.provider_info import get_provider_info

HOOKS: list[tuple[str, type[JsonApiHook]]] = [("antavo", AntavoHook), ("ometria", OmetriaHook)]


def _connection(kind: str) -> dict[str, Any]:
    connections = {entry["connection-type"]: entry for entry in get_provider_info()["connection-types"]}
    found: dict[str, Any] = connections[kind]
    return found


def test_info_satisfies_airflows_own_schema() -> None:
    import airflow

    schema = json.loads((Path(airflow.__path__[0]) / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_info_is_reached_through_the_entry_point() -> None:
    entry = next(e for e in entry_points(group="apache_airflow_provider") if e.value.startswith("ometria_provider"))
    assert entry.load()()["versions"] == [__version__]


def _defined(room: Any, base: type) -> set[str]:
    """Return `module.Class` of what a room defines for people to use; the bases that it shares are not for them."""
    modules = [importlib.import_module(f"{room.__name__}.{each.name}") for each in pkgutil.iter_modules(room.__path__)]
    return {
        f"{module.__name__}.{name}"
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
        if not module.__name__.endswith(".base")
    }


@pytest.mark.parametrize(
    ("key", "room", "base"),
    [("operators", operators, BaseOperator), ("hooks", hooks, BaseHook), ("triggers", triggers, BaseTrigger)],
)
def test_info_names_every_module_that_people_import_from(key: str, room: Any, base: type) -> None:
    named = [module for entry in get_provider_info()[key] for module in entry["python-modules"]]
    assert sorted(named) == sorted({name.rpartition(".")[0] for name in _defined(room, base)})


def test_info_names_every_notifier_and_link() -> None:
    info = get_provider_info()
    assert set(info["notifications"]) == _defined(notifications, BaseNotifier)
    assert set(info["extra-links"]) == _defined(operators, BaseOperatorLink)


def test_info_names_each_integration_that_it_uses() -> None:
    info = get_provider_info()
    used = {entry["integration-name"] for key in ("operators", "hooks", "triggers") for entry in info[key]}
    assert used == {entry["integration-name"] for entry in info["integrations"]}


@pytest.mark.parametrize(("kind", "hook"), HOOKS)
def test_connection_type_names_the_hook(kind: str, hook: type[JsonApiHook]) -> None:
    module, _, name = _connection(kind)["hook-class-name"].rpartition(".")
    assert getattr(importlib.import_module(module), name) is hook
    assert (hook.conn_type, hook.hook_name) == (kind, _connection(kind)["hook-name"])
    assert hook(**{hook.conn_name_attr: "x"}).conn_id == "x"  # as Airflow's Test button makes it


@pytest.mark.parametrize(("kind", "hook"), HOOKS)
def test_connection_form_offers_the_extras_that_the_hook_reads(kind: str, hook: type[JsonApiHook]) -> None:
    assert set(_connection(kind)["conn-fields"]) == set(hook.known_extras)


def test_config_every_option_is_described_and_left_to_the_settings() -> None:
    options = get_provider_info()["config"]["ometria"]["options"]
    folders = {"mappings_folder", "workflows_folder", "expectations_folder"}
    others = {
        "ledger_sql_alchemy_conn",
        "staging_path",
        "alerts_conn_id",
        "stale_after",
        "ask_for_approval",
        "staging_keep",
    }
    assert set(options) == folders | others | {"mappings_editable"}
    assert all(option["default"] is None and option["description"] for option in options.values())
