"""docs/examples/kubernetes and its page say what the package and the chart's own Airflow understand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from object_store import object_store
from ometria_provider import __version__
from ometria_provider.provider_info import get_provider_info

OPTIONS = set(get_provider_info()["config"]["ometria"]["options"])

#: What a Secret of the page is for, by the key of the chart's values that names it; the chart reads this entry of it.
ENTRIES = {
    "fernetKeySecretName": "fernet-key",
    "jwtSecretName": "jwt-secret",
    "apiSecretKeySecretName": "api-secret-key",
}


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "docs" / "examples" / "kubernetes"


@pytest.fixture
def how_to(root: Path) -> str:
    return (root / "docs" / "how-to" / "kubernetes.md").read_text(encoding="utf-8")


def values(folder: Path, name: str = "values") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def named(entries: list[dict[str, str]]) -> dict[str, str]:
    """Return a list of environment variables by name."""
    return {entry["name"]: entry["value"] for entry in entries}


def options_in(names: Any) -> set[str]:
    return {name.removeprefix("AIRFLOW__OMETRIA__").lower() for name in names if name.startswith("AIRFLOW__OMETRIA__")}


def folders_in(options: dict[str, str]) -> dict[str, str]:
    return {name: place for name, place in options.items() if name.endswith("_folder")}


def test_image_and_airflow_are_those_of_this_version(folder: Path, root: Path, how_to: str) -> None:
    chart = values(folder)
    image = chart["images"]["airflow"]
    assert image["tag"] == __version__
    locked = re.search(r"^apache-airflow==(.+)$", (root / "requirements.txt").read_text(), re.MULTILINE)
    assert locked is not None
    assert chart["airflowVersion"] == locked[1]
    built = re.findall(r"docker build -t (\S+)", how_to)
    base = re.findall(r"^FROM (.+)$", (folder / "Dockerfile").read_text(), re.MULTILINE)
    assert built == [*base, f"{image['repository']}:{image['tag']}"]


def test_options_are_those_that_there_are(folder: Path, how_to: str) -> None:
    for name in ("values", "git-sync", "secrets-manager"):
        said = {key.removesuffix("_secret") for key in values(folder, name)["config"]["ometria"]}
        assert said <= OPTIONS, name
    assert options_in(re.findall(r"AIRFLOW__[A-Z_]+", how_to)) <= OPTIONS


def test_folders_are_where_the_image_and_git_sync_put_them(folder: Path) -> None:
    copied = dict(re.findall(r"^COPY (\S+)/ (\S+)/$", (folder / "Dockerfile").read_text(), re.MULTILINE))
    for name, root in (("values", copied["include"]), ("git-sync", "/opt/airflow/dags/repo/include")):
        places = folders_in(values(folder, name)["config"]["ometria"])
        assert places == {f"{each}_folder": f"{root}/{each}" for each in ("mappings", "workflows", "expectations")}
    assert copied["dags"] == "/opt/airflow/dags"


def test_api_server_has_no_git_sync_and_reads_the_image_s_folders(folder: Path) -> None:
    given = named(values(folder, "git-sync")["apiServer"]["env"])
    of_the_image = folders_in(values(folder)["config"]["ometria"])
    assert given == {f"AIRFLOW__OMETRIA__{name.upper()}": place for name, place in of_the_image.items()}
    # A name twice in a container's environment is refused when Helm applies it on the server.
    assert not given.keys() & named(values(folder)["env"]).keys()


def test_airflow_reaches_its_database_with_drivers_that_are_in_the_image(
    folder: Path, how_to: str, tmp_path: Path
) -> None:
    chart = values(folder)
    (connection,) = re.findall(
        rf"generic {chart['data']['metadataSecretName']} --from-literal=connection='(.+)'", how_to
    )
    secrets = {(chart["data"]["metadataSecretName"], "connection"): connection}
    # What the chart gives each container of Airflow's.
    given = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": connection,
        **{each["envName"]: secrets[each["secretName"], each["secretKey"]] for each in chart["secret"]},
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVERS],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[-2:] == ["psycopg", "psycopg"], done.stderr[-2000:]


def test_ledger_is_upgraded_before_the_pods_of_an_upgrade(folder: Path) -> None:
    job = values(folder)["migrateDatabaseJob"]
    assert "ometria-sync ledger upgrade" in job["args"][-1]
    # With the chart's own hook on, it says post-upgrade, and no other annotation counts.
    assert job["useHelmHooks"] is False
    assert set(job["jobAnnotations"]["helm.sh/hook"].split(",")) == {"post-install", "pre-upgrade"}


def test_configuration_names_options_of_airflow(folder: Path) -> None:
    from airflow.configuration import conf

    for name in ("values", "secrets-manager"):
        for section, options in values(folder, name)["config"].items():
            if section in ("celery", "ometria"):  # of providers
                continue
            assert set(options) <= set(conf.configuration_description[section]["options"]), section


def test_page_makes_each_secret_that_the_values_name_with_the_entry_that_is_read(folder: Path, how_to: str) -> None:
    chart = values(folder)
    made = dict(re.findall(r"create secret generic (\S+)(?: \\\n )? --from-literal=([\w-]+)=", how_to))
    wanted = {chart[key]: entry for key, entry in ENTRIES.items()}
    assert made == {
        **wanted,
        chart["data"]["metadataSecretName"]: "connection",
        yaml.safe_load(chart["extraEnvFrom"])[0]["secretRef"]["name"]: "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN",
    }


def test_connections_are_json_of_types_that_there_are(folder: Path, how_to: str) -> None:
    shown = [json.loads(text) for text in re.findall(r"'(\{.+\})'", how_to)]
    assert [connection["conn_type"] for connection in shown] == ["antavo", "ometria"] * 2
    assert shown[:2] == shown[2:]
    assert json.loads(named(values(folder)["env"])["AIRFLOW_CONN_AWS_DEFAULT"])["conn_type"] == "aws"


def test_secrets_backend_finds_what_the_page_puts_there(folder: Path, how_to: str) -> None:
    config = values(folder, "secrets-manager")["config"]
    prefixes = json.loads(config["secrets"]["backend_kwargs"])
    assert re.findall(r"create-secret --name (\S+)", how_to) == [
        f"{prefixes['connections_prefix']}/antavo_default",
        f"{prefixes['connections_prefix']}/ometria_default",
        f"{prefixes['config_prefix']}/{config['ometria']['ledger_sql_alchemy_conn_secret']}",
    ]


@pytest.mark.parametrize("part", ["migrateDatabaseJob", "apiServer", "scheduler", "dagProcessor", "triggerer"])
def test_every_part_that_reads_the_staging_or_asks_for_secrets_may_do_so(folder: Path, part: str) -> None:
    chart = values(folder)
    assert chart[part]["serviceAccount"] == chart["workers"]["celery"]["serviceAccount"]


def test_secrets_backend_gives_the_connections_and_the_ledger_that_the_page_stores(
    folder: Path, how_to: str, tmp_path: Path
) -> None:
    config = values(folder, "secrets-manager")["config"]
    stored = re.findall(r"create-secret --name (\S+) \\\n\s+--secret-string '([^']+)'", how_to)
    assert len(stored) == 3
    with object_store() as store:
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": store.url}
        client = boto3.client(
            "secretsmanager",
            region_name=json.loads(config["secrets"]["backend_kwargs"])["region_name"],
            endpoint_url=store.url,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        for name, text in stored:
            client.create_secret(Name=name, SecretString=text)
        done = subprocess.run(
            [sys.executable, "-c", ASKING],
            env={
                **os.environ,
                **keys,
                "AIRFLOW_HOME": str(tmp_path),
                **{
                    f"AIRFLOW__{section.upper()}__{option.upper()}": text
                    for section, options in config.items()
                    for option, text in options.items()
                },
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    asked = dict(stored)
    assert found["antavo_default"] == json.loads(asked["airflow/connections/antavo_default"])["password"]
    assert found["ometria_default"] == json.loads(asked["airflow/connections/ometria_default"])["password"]
    assert found["ledger"] == asked["airflow/config/ometria_ledger"]


#: As every part of Airflow makes its engines when it starts.
DRIVERS = "from airflow import settings; print(settings.engine.driver, settings.async_engine.driver)"

#: As a task or command asks for them.
ASKING = """
import json
from airflow.sdk import BaseHook
from airflow.configuration import conf
found = {id_: BaseHook.get_connection(id_).password for id_ in ("antavo_default", "ometria_default")}
print(json.dumps({**found, "ledger": conf.get("ometria", "ledger_sql_alchemy_conn")}))
"""
