"""`local.py up`: Airflow's UI, scheduler, workers and the sandbox until Ctrl-C."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from ometria_provider.settings import read_settings
from ometria_provider.web import ANTAVO, CONNECTION, WEBHOOKS

from launcher.accounts import fingerprint
from launcher.api import Login
from launcher.environment import base_environment
from launcher.errors import Refused
from launcher.home import Home, Running
from launcher.request import pairs_in
from launcher.services import Services
from launcher.session import say, start
from launcher.shell import shell_file


def up(home: Home, checkout: Path) -> int:
    """Run everything until the process is asked to end, which is a good end: 0. Nothing of it is left then.

    :raises Refused: when another launcher works in this home.
    """
    asked = dict(os.environ)
    os.environ.update(base_environment(asked, home, checkout))
    running = Running(os.getpid(), "up", accounts=fingerprint(asked))
    with home.held(running) as free:
        if not free:
            other = home.holder()
            what = f"`make {other.command}` (process {other.pid})" if other else "Another launcher"
            raise Refused(f"{what} works in {home.path}. End it first, or set AIRFLOW_HOME.")
        services = Services(home, checkout)
        try:
            say("Starting Airflow ...")
            settings = read_settings()
            pairs = pairs_in(settings.mappings_folder, settings.workflows_folder)
            session = start("up", pairs, home, checkout, services, asked=asked)
            services.wait_for_airflow(session.url)
            ledger = read_settings().ledger_url
            home.say(dataclasses.replace(running, url=session.url, ledger=ledger, sandbox=session.sandbox))
            _welcome(session.url, Login.read(home.path), home)
            while True:
                services.check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            return 0
        finally:
            say("\nEnding Airflow ...")
            services.end()
            say("Nothing is left running.")


def _welcome(url: str, login: Login, home: Home) -> None:
    say(
        f"\n  Airflow    {url}\n"
        f"  User       {login.user}\n"
        f"  Password   {login.password}\n"
        f"  Webhooks   {url}{WEBHOOKS}{ANTAVO} (when there is a connection {CONNECTION})\n\n"
        f"`make run` in another terminal runs a mapping here; `. {shell_file(home)}` there\n"
        "prepares a shell for `ometria-sync` and `airflow`. Ctrl-C ends everything."
    )
