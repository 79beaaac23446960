"""Settings come from where Airflow would take them, without importing Airflow."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, sys
from ometria_provider.settings import read_settings
settings = read_settings()
folders = settings.mappings_folder, settings.workflows_folder
print(json.dumps([settings.ledger_url, settings.staging_path, *map(str, folders)]))
print("airflow" in sys.modules)
"""


def read(env: dict[str, str], cwd: Path = Path("/")) -> tuple[list[str], bool]:
    """Read the settings in a process of its own: what is imported there is the point."""
    import json

    done = subprocess.run([sys.executable, "-c", CODE], env=env, cwd=cwd, capture_output=True, text=True, check=True)
    settings, airflow = done.stdout.splitlines()
    return json.loads(settings), airflow == "True"


def test_settings_by_default_lie_in_airflows_home(tmp_path: Path) -> None:
    settings, airflow = read({"AIRFLOW_HOME": str(tmp_path)})
    assert settings == [
        f"sqlite:///{tmp_path}/ometria_ledger.db",
        f"file://{tmp_path}/ometria_staging",
        f"{tmp_path}/include/mappings",
        f"{tmp_path}/include/workflows",
    ]
    assert not airflow


def test_settings_in_the_environment_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[ometria]\nstaging_path = s3://file\nmappings_folder = /maps\n")
    env = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__OMETRIA__STAGING_PATH": "s3://environment",
        "AIRFLOW__OMETRIA__WORKFLOWS_FOLDER": "/flows",
    }
    settings, airflow = read(env)
    assert settings[1:] == ["s3://environment", "/maps", "/flows"]
    assert not airflow


def test_settings_beside_a_dags_folder_of_ones_own(tmp_path: Path) -> None:
    settings, _ = read({"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__DAGS_FOLDER": "/elsewhere/dags"})
    assert settings[2:] == ["/elsewhere/include/mappings", "/elsewhere/include/workflows"]


@pytest.mark.parametrize("kind", ["environment", "file"])
def test_settings_by_command_are_left_to_airflow(tmp_path: Path, kind: str) -> None:
    env = {"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    if kind == "environment":
        env["AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN_CMD"] = "echo sqlite:////by/command"
    else:
        (tmp_path / "airflow.cfg").write_text("[ometria]\nledger_sql_alchemy_conn_cmd = echo sqlite:////by/command\n")
    settings, airflow = read(env)
    assert airflow
    assert settings[0] == "sqlite:////by/command"


def test_settings_in_a_checkout_without_airflow_are_the_checkouts_files(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    settings, _ = read({"AIRFLOW_HOME": str(tmp_path / "no" / "airflow")}, cwd=tmp_path)
    assert settings[2] == f"{tmp_path}/include/mappings"
