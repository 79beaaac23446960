"""`make env`: secrets of their own for everybody, once."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
from composefile import read_env_file, services
from deployment import CHECKOUT
from env_file import env_text, main, write_env_file
from ometria_provider.sandbox.process import RunningSandbox
from ometria_provider.sandbox.settings import SandboxSettings

SECRET = re.compile(r"_(PASSWORD|KEY|SECRET)$")


def test_env_file_is_readable_for_its_owner_alone(tmp_path):
    path = tmp_path / ".env"
    assert write_env_file(path, ["celery"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_env_file_that_is_there_is_left_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["celery,s3"]) == 0
    first = Path(".env").read_text()
    assert main(["sandbox"]) == 0
    assert Path(".env").read_text() == first
    assert "left as it is" in capsys.readouterr().out


def test_env_file_has_other_secrets_each_time_and_none_twice(tmp_path):
    made = []
    for name in ("one", "two"):
        write_env_file(tmp_path / name, [])
        variables = read_env_file(tmp_path / name)
        made += [value for key, value in variables.items() if SECRET.search(key)]
    assert len(made) == 20  # one of them the object store's access key
    assert len(set(made)) == len(made)
    assert min(map(len, made)) >= 20
    # They stand in URLs and in SQL.
    assert all(re.fullmatch(r"[A-Za-z0-9_=-]+", value) for value in made)


def test_env_file_for_an_unknown_profile_is_refused_and_not_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["celery,kafka"]) == 2
    assert "kafka" in capsys.readouterr().err
    assert not Path(".env").exists()


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ([], {"AIRFLOW_EXECUTOR": "LocalExecutor", "LEDGER_DATABASE": "ometria_ledger", "COMPOSE_PROFILES": ""}),
        (["celery"], {"AIRFLOW_EXECUTOR": "CeleryExecutor", "COMPOSE_PROFILES": "celery"}),
        (["s3"], {"STAGING_PATH": "s3://staging@ometria-staging/runs", "AIRFLOW_EXECUTOR": "LocalExecutor"}),
        (["sandbox"], {"LEDGER_DATABASE": "ometria_sandbox", "COMPOSE_PROFILES": "sandbox"}),
    ],
    ids=["none", "celery", "s3", "sandbox"],
)
def test_env_file_says_what_follows_from_a_profile(tmp_path, profiles, expected):
    write_env_file(tmp_path / ".env", profiles)
    assert expected.items() <= read_env_file(tmp_path / ".env").items()


def test_env_file_of_the_sandbox_has_its_connections():
    sandbox = RunningSandbox("http://sandbox:8765", SandboxSettings(), None)
    given = dict(line.split("=", 1) for line in env_text(["sandbox"]).splitlines() if line.startswith("AIRFLOW_CONN"))
    antavo = json.loads(given["AIRFLOW_CONN_ANTAVO_DEFAULT"].strip("'"))
    expected = json.loads(sandbox.antavo_connection())
    expected["extra"].pop("requests_per_minute")  # the hook's own default
    assert antavo == expected
    ometria = json.loads(given["AIRFLOW_CONN_OMETRIA_DEFAULT"].strip("'"))
    expected = json.loads(sandbox.ometria_connection())
    del expected["extra"]  # the hook's own defaults
    assert ometria == expected
    assert "AIRFLOW_CONN" not in "".join(line for line in env_text([]).splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("profiles", [[], ["celery"]], ids=["LocalExecutor", "Celery"])
def test_one_dag_takes_fewer_places_than_there_are(tmp_path, profiles):
    write_env_file(tmp_path / ".env", profiles)
    found = services(CHECKOUT / "docker-compose.yaml", read_env_file(tmp_path / ".env"))
    given = found["scheduler"].environment
    places = int(given["AIRFLOW__CORE__PARALLELISM"])
    if worker := found.get("worker"):
        places = min(places, worker.replicas * int(given["AIRFLOW__CELERY__WORKER_CONCURRENCY"]))
    assert 1 < int(given["AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG"]) < places
