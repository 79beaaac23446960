"""What the caller's environment sets wins; the rest fits this checkout and this machine alone."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from launcher.environment import (
    Config,
    base_environment,
    choose_port,
    home_path,
    is_free,
    sandbox_places,
    server_environment,
)
from launcher.errors import Refused
from launcher.home import Home

CHECKOUT = Path("/checkout")


@pytest.fixture
def home(tmp_path):
    return Home.prepare(tmp_path)


def test_home_path_without_a_word_lies_in_the_checkout():
    assert home_path({}, CHECKOUT) == CHECKOUT / ".local" / "airflow"


def test_home_path_given_wins():
    assert home_path({"AIRFLOW_HOME": "/elsewhere"}, CHECKOUT) == Path("/elsewhere")


def test_base_environment_without_a_word_uses_the_checkout(home):
    environment = base_environment({}, home, CHECKOUT)
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == "/checkout/dags"
    assert environment["AIRFLOW__OMETRIA__MAPPINGS_FOLDER"] == "/checkout/include/mappings"
    assert environment["AIRFLOW__CORE__TEST_CONNECTION"] == "Enabled"
    assert environment["AIRFLOW_HOME"] == str(home.path)


def test_base_environment_shows_our_name_whole_unless_airflow_has_a_theme(home):
    assert "Ometria sync" in base_environment({}, home, CHECKOUT)["AIRFLOW__API__THEME"]
    home.config_file.write_text("[api]\ntheme = {}\n")
    assert "AIRFLOW__API__THEME" not in base_environment({}, home, CHECKOUT)


def test_base_environment_given_wins_for_every_airflow_setting(home):
    given = {
        "AIRFLOW__OMETRIA__MAPPINGS_FOLDER": "/mine",
        "AIRFLOW__OMETRIA__STAGING_PATH": "s3://bucket",
        "AIRFLOW__CORE__DAGS_FOLDER": "/dags",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "True",
    }
    environment = base_environment(given, home, CHECKOUT)
    assert {name: environment[name] for name in given} == given


def test_base_environment_folders_of_airflow_cfg_stay(home):
    home.config_file.write_text("[ometria]\nmappings_folder = /mine\n")
    environment = base_environment({}, home, CHECKOUT)
    assert "AIRFLOW__OMETRIA__MAPPINGS_FOLDER" not in environment
    assert "AIRFLOW__OMETRIA__EXPECTATIONS_FOLDER" in environment


def test_base_environment_proxy_of_the_caller_does_not_get_between(home):
    environment = base_environment({"NO_PROXY": "corp.example", "HTTP_PROXY": "http://proxy"}, home, CHECKOUT)
    assert environment["NO_PROXY"] == "corp.example,127.0.0.1,localhost"


def test_base_environment_keys_are_made_once_and_private(home):
    first, second = (base_environment({}, home, CHECKOUT) for _ in range(2))
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] == second["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert len(first["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert (home.path / "launcher-keys.json").stat().st_mode & 0o777 == 0o600


def test_sandbox_places_keep_made_up_members_out_of_the_accounts_ledger(home):
    places = sandbox_places(home, Config.read({}, home))
    assert places["AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN"] == f"sqlite:///{home.path}/sandbox_ledger.db"
    assert places["AIRFLOW__OMETRIA__STAGING_PATH"] == f"file://{home.path}/sandbox_staging"


def test_sandbox_places_given_by_the_caller_win(home):
    given = {
        "AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN": "sqlite:////mine.db",
        "AIRFLOW__OMETRIA__STAGING_PATH": "s3://b",
    }
    assert sandbox_places(home, Config.read(given, home)) == {}


def test_server_environment_addresses_move_with_the_port(home):
    environment = server_environment({}, {"A": "b"}, port=4711, command="run")
    assert environment["AIRFLOW__API__PORT"] == "4711"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:4711/execution/"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:4711"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["A"] == "b"


@pytest.mark.parametrize(("command", "scheduled"), [("run", "False"), ("up", "True")])
def test_server_environment_takes_scheduled_runs_on_in_up_only(command, scheduled):
    environment = server_environment({}, {}, port=1, command=command)
    assert environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == scheduled


@pytest.mark.parametrize(("command", "somebody"), [("run", "False"), ("up", "True")])
def test_server_environment_lets_a_run_ask_for_approval_in_up_only(command, somebody):
    environment = server_environment({}, {}, port=1, command=command)
    assert environment["AIRFLOW__OMETRIA__ASK_FOR_APPROVAL"] == somebody


def test_server_environment_given_wins(home):
    environment = server_environment({"AIRFLOW__CORE__PARALLELISM": "9"}, {}, port=1, command="run")
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "9"


def test_choose_port_preferred_taken_takes_the_next():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        assert port < choose_port({}, preferred=port) < port + 100


def test_choose_port_of_the_environment_taken_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Refused, match="AIRFLOW__API__PORT"):
            choose_port({"AIRFLOW__API__PORT": str(taken.getsockname()[1])}, preferred=None)


def test_config_environment_wins_over_the_file(home):
    home.config_file.write_text("[database]\nsql_alchemy_conn = sqlite:///a\n[core]\nempty =\n")
    config = Config.read({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///b"}, home)
    assert config.get("database", "sql_alchemy_conn") == "sqlite:///b"
    assert Config.read({}, home).get("database", "sql_alchemy_conn") == "sqlite:///a"
    assert Config.read({}, home).get("core", "empty") is None


def test_config_has_a_command_that_only_airflow_can_run(home):
    assert Config.read({"AIRFLOW__SECRETS__BACKEND_CMD": "cat x"}, home).has("secrets", "backend")
    assert not Config.read({}, home).has("secrets", "backend")
