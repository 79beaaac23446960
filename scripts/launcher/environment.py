"""The environment that the parts of the local Airflow run in. What the caller's environment sets wins."""

from __future__ import annotations

import configparser
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import Refused
from launcher.home import Home

HOST = "127.0.0.1"
#: Lets Airflow's navigation show the name of our entry whole, in two lines. Its own rule comes later: `!important`.
_TWO_LINES = {"whiteSpace": "normal !important", "lineHeight": "1.1 !important"}
THEME = {"globalCss": {"a[aria-label='Ometria sync'] > div": _TWO_LINES}}
_AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"


@dataclass(frozen=True)
class Config:
    """Airflow's configuration as far as it can be read without importing Airflow.

    :param environment: variables; they win over the file.
    """

    environment: Mapping[str, str]
    file: configparser.ConfigParser

    @classmethod
    def read(cls, environment: Mapping[str, str], home: Home) -> Config:
        """Read airflow.cfg, if there is one."""
        file = configparser.ConfigParser(interpolation=None, strict=False)
        file.read(environment.get("AIRFLOW_CONFIG") or home.config_file, encoding="utf-8")
        return cls(environment, file)

    def get(self, section: str, key: str) -> str | None:
        """Return an option's value; None when it is nowhere or empty."""
        value = self.environment.get(f"AIRFLOW__{section.upper()}__{key.upper()}")
        return value or self.file.get(section, key, fallback=None) or None

    def has(self, section: str, key: str) -> bool:
        """Say whether an option is set, also through a command or a secret that only Airflow can resolve."""
        variables = (f"AIRFLOW__{section.upper()}__{key.upper()}{suffix}" for suffix in ("", "_CMD", "_SECRET"))
        return any(self.environment.get(name) for name in variables) or any(
            self.file.get(section, key + suffix, fallback=None) for suffix in ("", "_cmd", "_secret")
        )


def home_path(environment: Mapping[str, str], checkout: Path) -> Path:
    """Return Airflow's home: what AIRFLOW_HOME says, else inside the checkout."""
    given = environment.get("AIRFLOW_HOME")
    return Path(given).expanduser() if given else checkout / ".local" / "airflow"


def base_environment(given: Mapping[str, str], home: Home, checkout: Path) -> dict[str, str]:
    """Return the variables for every Airflow command: home, folders, database and users; no ports yet."""
    config = Config.read(given, home)
    defaults = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(checkout / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(checkout / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": _AUTH_MANAGER,
        # Airflow answers 403 to a connection's Test button otherwise; everything here listens on this machine only.
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__API_AUTH__JWT_SECRET": home.keys()["jwt"],
        "AIRFLOW__API__SECRET_KEY": home.keys()["session"],
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    if not config.has("api", "theme"):
        # Airflow cuts names in its narrow navigation, which is why this is said in docs/how-to/install.md too.
        defaults["AIRFLOW__API__THEME"] = json.dumps(THEME)
    if not config.has("ometria", "mappings_editable"):
        # The files are the checkout's, where whoever edits them on the page finds them.
        defaults["AIRFLOW__OMETRIA__MAPPINGS_EDITABLE"] = "True"
    for folder in ("mappings", "workflows", "expectations"):
        if not config.has("ometria", f"{folder}_folder"):
            defaults[f"AIRFLOW__OMETRIA__{folder.upper()}_FOLDER"] = str(checkout / "include" / folder)
    environment = {**defaults, **given, "AIRFLOW_HOME": str(home.path)}
    # A proxy of the caller's must not get between the parts.
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, [given.get(name), HOST, "localhost"]))
    return environment


def sandbox_places(home: Home, config: Config) -> dict[str, str]:
    """Return ledger and staging of their own for runs into the sandbox, unless the caller chose some.

    The ledger says what an account holds. What the sandbox holds must not be taken for what a real account holds,
    which goes by the same connection id.
    """
    places = {
        "ledger_sql_alchemy_conn": f"sqlite:///{home.path / 'sandbox_ledger.db'}",
        "staging_path": f"file://{home.path / 'sandbox_staging'}",
    }
    return {
        f"AIRFLOW__OMETRIA__{key.upper()}": place for key, place in places.items() if not config.has("ometria", key)
    }


def server_environment(given: Mapping[str, str], base: Mapping[str, str], *, port: int, command: str) -> dict[str, str]:
    """Return the variables for the parts that run: address, executor, and how eagerly they look for work.

    :param command: ``run`` takes no scheduled run on beside the one that was asked for; ``up`` does.
    """
    url = f"http://{HOST}:{port}"
    defaults = {
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        # Workers talk to the API server through this one; it has to move with the port.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        # The scheduler sleeps this long before it looks whether a task has ended: once for each task of a chain, and
        # whether a webhook put something into the inbox.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(command == "up"),
        # Behind `run` nobody looks at Airflow's pages: a run that wants approval is halted, and does not wait.
        "AIRFLOW__OMETRIA__ASK_FOR_APPROVAL": str(command == "up"),
        # A worker that was killed is noticed after this long.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    }
    return {**base, **{name: given.get(name, value) for name, value in defaults.items()}}


def choose_port(given: Mapping[str, str], *, preferred: int | None) -> int:
    """Return the port for the API server.

    :param preferred: this one, or the next free one after it; None takes any free one.
    :raises Refused: when the environment names a port and that is in use.
    """
    if wanted := given.get("AIRFLOW__API__PORT"):
        if not wanted.isdigit() or not is_free(int(wanted)):
            raise Refused(f"AIRFLOW__API__PORT={wanted} cannot be used on {HOST}: it is taken, or no port number.")
        return int(wanted)
    if preferred is None:
        return free_port()
    return next((port for port in range(preferred, preferred + 100) if is_free(port)), free_port())


def is_free(port: int) -> bool:
    """Say whether a port of this machine can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
