from __future__ import annotations

import importlib
import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ometria_provider import __version__
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
