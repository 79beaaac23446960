"""A prepared home with its parts running: what `run` and `up` have in common."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ometria_provider.exceptions import SyncError
from ometria_provider.ledger.engine import HEAD, open_ledger, upgrade
from ometria_provider.settings import read_settings

from launcher import metadata, processes
from launcher.accounts import Pair, given_connections, stand_ins, variable
from launcher.environment import (
    HOST,
    Config,
    base_environment,
    choose_port,
    sandbox_places,
    server_environment,
)
from launcher.errors import Broken
from launcher.home import Home
from launcher.services import Services
from launcher.shell import write_shell_file

#: The port that people expect Airflow's UI on.
UI_PORT = 8080


@dataclass(frozen=True)
class Session:
    """Parts that were started.

    :param url: root of the API server, which may not answer yet.
    :param sandbox: root of the sandbox; empty: none was needed.
    """

    home: Home
    url: str
    sandbox: str


def start(
    command: str, pairs: Iterable[Pair], home: Home, checkout: Path, services: Services, *, asked: Mapping[str, str]
) -> Session:
    """Prepare a home that is held by this launcher, and start the parts of Airflow and the sandbox in it.

    :param command: ``run`` or ``up``.
    :param pairs: connection ids that are going to be used together.
    :param asked: the caller's environment.
    :raises Refused: when the sandbox would meet a real account.
    """
    if left := processes.end(home.path, patience=3):
        say(f"Ended {left} processes that an earlier launcher left behind.")
    base = base_environment(asked, home, checkout)
    os.environ.update(base)  # for the ledger and the mappings, which are read in this process
    config = Config.read(base, home)
    seen = metadata.glance(home, config)
    pairs = list(pairs)
    made_up = _made_up(pairs, config, seen.connections)
    port = choose_port(asked, preferred=UI_PORT if command == "up" else None)

    places = sandbox_places(home, config) if {each for _, each in pairs} <= {each for each, _ in made_up} else {}
    os.environ.update(places)
    environment = server_environment(asked, base | places, port=port, command=command)
    if made_up:
        sandbox = services.start_sandbox(environment)
        made = {
            # It validates within a fifth of a second, and nobody else sends to it.
            each: sandbox.antavo_connection() if antavo else sandbox.ometria_connection(settle_seconds=1)
            for each, antavo in made_up
        }
        environment |= {variable(each): text for each, text in made.items()}
        os.environ.update({variable(each): text for each, text in made.items()})
    _prepare(home, seen, environment, checkout)
    services.start_airflow(command, environment)
    _prepare_ledger()
    # After `run` the sandbox is gone: its connections would lead nowhere.
    connections = [variable(each) for each, _ in made_up] if command == "up" else []
    write_shell_file(home, environment, [*places, *connections], asked=asked)
    if made_up:
        services.wait_for_sandbox(sandbox)
        say(f"Sandbox with {sandbox.settings.members:,} made-up members at {sandbox.url}")
    return Session(home, f"http://{HOST}:{port}", sandbox.url if made_up else "")


def _made_up(pairs: list[Pair], config: Config, stored: Mapping[str, str | None]) -> list[tuple[str, bool]]:
    """Return the connection ids that the sandbox stands in for, each with whether it is Antavo's."""
    if any(config.has(section, "secrets_backend" if section == "workers" else "backend") for section in _SECRETS):
        return []  # connections come from there, before any that the sandbox could give
    antavo_ids = {antavo for antavo, _ in pairs}
    ids = sorted({each for pair in pairs for each in pair})
    missing = stand_ins(pairs, given_connections(ids, config.environment, stored))
    return [(each, each in antavo_ids) for each in sorted(missing)]


_SECRETS = ("secrets", "workers")


def _prepare(home: Home, seen: metadata.Glance, environment: Mapping[str, str], checkout: Path) -> None:
    if not metadata.is_current(home, seen):
        say("Preparing Airflow's database (once) ...")
        metadata.migrate(home, environment, checkout)
    if seen.unfinished:
        dags = sorted({run.dag_id for run in seen.unfinished})
        say(f"Closing the unfinished run of {', '.join(dags)}: its launcher was killed.")
        metadata.abandon(seen.unfinished, home, environment, checkout)
    for run in sorted(seen.waiting):
        say(f"Run {run.run_id} of {run.dag_id} waits in Airflow: it goes first once that DAG is at work.")


def _prepare_ledger() -> None:
    """Bring the ledger up to date. Rows that a killed run left open are closed by the next run's plan."""
    url = read_settings().ledger_url
    try:
        if open_ledger(url).version() != HEAD:
            upgrade(url)
    except SyncError as error:
        raise Broken(str(error)) from error


def say(text: str) -> None:
    """Print a line at once, so that it shows through a pipe too."""
    print(text, flush=True)
