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


def environment(folder: Path, name: str = "values") -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in values(folder, name)["env"]}


def options_in(names: Any) -> set[str]:
    return {name.removeprefix("AIRFLOW__OMETRIA__").lower() for name in names if name.startswith("AIRFLOW__OMETRIA__")}


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


def test_environment_names_options_that_there_are(folder: Path, how_to: str) -> None:
    for name in ("values", "git-sync"):
        assert options_in(environment(folder, name)) <= OPTIONS
    assert options_in(re.findall(r"AIRFLOW__[A-Z_]+", how_to)) <= OPTIONS
    assert {key.removesuffix("_secret") for key in values(folder, "secrets-manager")["config"]["ometria"]} <= OPTIONS


def test_git_sync_says_all_of_the_environment_as_helm_replaces_lists(folder: Path) -> None:
    assert environment(folder, "git-sync").keys() == environment(folder).keys()


def test_folders_are_where_the_image_and_git_sync_put_them(folder: Path) -> None:
    copied = dict(re.findall(r"^COPY (\S+)/ (\S+)/$", (folder / "Dockerfile").read_text(), re.MULTILINE))
    for name, root in (("values", copied["include"]), ("git-sync", "/opt/airflow/dags/repo/include")):
        places = [value for key, value in environment(folder, name).items() if key.endswith("_FOLDER")]
        assert len(places) == 3
        assert all(place.startswith(f"{root}/") for place in places)
    assert copied["dags"] == "/opt/airflow/dags"


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
    assert json.loads(environment(folder)["AIRFLOW_CONN_AWS_DEFAULT"])["conn_type"] == "aws"


def test_secrets_backend_finds_what_the_page_puts_there(folder: Path, how_to: str) -> None:
    config = values(folder, "secrets-manager")["config"]
    prefixes = json.loads(config["secrets"]["backend_kwargs"])
    assert re.findall(r"create-secret --name (\S+)", how_to) == [
        f"{prefixes['connections_prefix']}/antavo_default",
        f"{prefixes['connections_prefix']}/ometria_default",
        f"{prefixes['config_prefix']}/{config['ometria']['ledger_sql_alchemy_conn_secret']}",
    ]


def test_every_service_that_reads_the_staging_may_do_so(folder: Path) -> None:
    chart = values(folder)
    accounts = [chart[name]["serviceAccount"] for name in ("apiServer", "scheduler", "dagProcessor", "triggerer")]
    assert all(each == chart["workers"]["celery"]["serviceAccount"] for each in accounts)


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


#: As a task or command asks for them.
ASKING = """
import json
from airflow.sdk import BaseHook
from airflow.configuration import conf
found = {id_: BaseHook.get_connection(id_).password for id_ in ("antavo_default", "ometria_default")}
print(json.dumps({**found, "ledger": conf.get("ometria", "ledger_sql_alchemy_conn")}))
"""
