"""Read the `[ometria]` section of Airflow's configuration, without importing Airflow when a plain look is enough.

Importing Airflow costs more than a second, and most commands of `ometria-sync` need a few strings. So the two plain
sources (environment variable, airflow.cfg) are read here in Airflow's own order of precedence; anything cleverer
(`…_CMD`, `…_SECRET`) is left to Airflow itself.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SECTION = "ometria"

#: Folders that a DAG file names itself, by the field of :class:`Settings`.
Folders = Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    """Where this deployment keeps its things.

    :param ledger_url: SQLAlchemy URL of the ledger.
    :param staging_path: URI of the folder for Parquet between tasks (`file://`, `s3://`, …).
    :param mappings_folder: folder of the mapping files.
    :param workflows_folder: folder of the workflow files.
    :param expectations_folder: folder of the Great Expectations suites.
    :param alerts_conn_id: the Apprise connection that people are told through; None: nobody is told.
    :param stale_after: after how many schedules without a green run a mapping counts as late, as configured.
    :param ask_for_approval: whether runs may wait for a person, as configured.
    :param staging_keep: how many days the staging of runs is kept, as configured.
    :param mappings_editable: whether the page of mappings may write their files.
    """

    ledger_url: str
    staging_path: str
    mappings_folder: Path
    workflows_folder: Path
    expectations_folder: Path
    alerts_conn_id: str | None = None
    stale_after: str = "3"
    ask_for_approval: str = "True"
    staging_keep: str = "3"
    mappings_editable: bool = False


def airflow_home() -> Path:
    """Return Airflow's home folder (`AIRFLOW_HOME`, default `~/airflow`)."""
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()


def chosen_folders(**folders: Path | str | None) -> Folders:
    """Return what a DAG file says of its folders: `mappings`, `workflows`, `expectations`."""
    return {f"{name}_folder": str(folder) for name, folder in folders.items() if folder}


def read_settings(folders: Folders | None = None) -> Settings:
    """Return the settings in force for this process.

    :param folders: those that a DAG file names itself; they win over the configuration.
    """
    chosen: dict[str, Any] = {name: Path(folder) for name, folder in (folders or {}).items()}
    return replace(_configured(), **chosen)


def _configured() -> Settings:
    option = _option_reader()
    home = airflow_home()
    include = _include_folder(home)
    return Settings(
        ledger_url=option("ledger_sql_alchemy_conn") or f"sqlite:///{home / 'ometria_ledger.db'}",
        staging_path=option("staging_path") or f"file://{home / 'ometria_staging'}",
        mappings_folder=Path(option("mappings_folder") or include / "mappings"),
        workflows_folder=Path(option("workflows_folder") or include / "workflows"),
        expectations_folder=Path(option("expectations_folder") or include / "expectations"),
        alerts_conn_id=option("alerts_conn_id"),
        stale_after=option("stale_after") or "3",
        ask_for_approval=option("ask_for_approval") or "True",
        staging_keep=option("staging_keep") or "3",
        mappings_editable=(option("mappings_editable") or "").lower() in ("true", "t", "1", "yes", "on"),
    )


def _option_reader() -> Callable[[str], str | None]:
    if "airflow.configuration" in sys.modules:
        return _from_airflow
    config = _config_file()

    def option(key: str) -> str | None:
        name = f"AIRFLOW__{SECTION.upper()}__{key.upper()}"
        if value := os.environ.get(name):
            return value
        indirect = {f"{name}_CMD", f"{name}_SECRET"} & os.environ.keys() or any(
            config.has_option(SECTION, f"{key}{suffix}") for suffix in ("_cmd", "_secret")
        )
        if indirect:
            return _from_airflow(key)
        return config.get(SECTION, key, fallback=None) or None

    return option


def _from_airflow(key: str) -> str | None:
    from airflow.configuration import conf

    value: str | None = conf.get(SECTION, key, fallback=None)
    # What a command prints ends in a newline.
    return (value or "").strip() or None


def _config_file() -> configparser.ConfigParser:
    path = os.environ.get("AIRFLOW_CONFIG") or airflow_home() / "airflow.cfg"
    config = configparser.ConfigParser(interpolation=None)
    config.read(path, encoding="utf-8")
    return config


def _include_folder(home: Path) -> Path:
    """Return the folder beside the DAGs; in a checkout that no Airflow was told of, the checkout's own."""
    beside, here = _dags_folder(home).parent / "include", Path.cwd() / "include"
    return here if here.is_dir() and not beside.is_dir() else beside


def _dags_folder(home: Path) -> Path:
    """Return the DAG folder: mappings, workflows and suites lie beside it unless the configuration says otherwise."""
    configured = os.environ.get("AIRFLOW__CORE__DAGS_FOLDER") or _config_file().get("core", "dags_folder", fallback="")
    return Path(configured) if configured else home / "dags"
