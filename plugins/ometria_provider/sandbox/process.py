"""A sandbox in a process of its own, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

from ometria_provider.sandbox.settings import SandboxSettings


@dataclasses.dataclass(frozen=True)
class RunningSandbox:
    """Where a running sandbox answers.

    :param url: root of all; ``loyalty``, ``read`` and ``ometria`` are the roots of the APIs below it.
    """

    url: str
    settings: SandboxSettings
    process: subprocess.Popen[str]

    @property
    def loyalty(self) -> str:
        """Root of the Loyalty API: the ``host`` of an ``antavo`` connection."""
        return self.url + "/loyalty"

    @property
    def read(self) -> str:
        """Root of the Read API: ``read_api_url`` of an ``antavo`` connection."""
        return self.url + "/read"

    @property
    def ometria(self) -> str:
        """Root of Ometria: the ``host`` of an ``ometria`` connection."""
        return self.url + "/ometria"

    def antavo_connection(self, **extra: Any) -> str:
        """Return a connection as JSON, for ``AIRFLOW_CONN_ANTAVO_DEFAULT``."""
        settings = self.settings
        more = {
            "read_api_url": self.read,
            "credential_scope": settings.credential_scope,
            "requests_per_minute": settings.antavo_requests_per_minute,
        }
        if settings.read_credential_scope:
            more["read_credential_scope"] = settings.read_credential_scope
        return json.dumps(
            {
                "conn_type": "antavo",
                "host": self.loyalty,
                "login": settings.antavo_key,
                "password": settings.antavo_secret,
                "extra": more | extra,
            }
        )

    def ometria_connection(self, **extra: Any) -> str:
        """Return a connection as JSON, for ``AIRFLOW_CONN_OMETRIA_DEFAULT``."""
        settings = self.settings
        more = {
            "push_requests_per_second": settings.ometria_push_per_second,
            "data_requests_per_second": settings.ometria_data_per_second,
        }
        key = settings.ometria_key
        return json.dumps({"conn_type": "ometria", "host": self.ometria, "password": key, "extra": more | extra})

    def control(self, path: str, content: Any = None, *, method: str | None = None) -> Any:
        """Ask the control plane: GET, or POST when there is content (``control.py`` lists the paths).

        :raises urllib.error.HTTPError: it makes no sense to the sandbox.
        """
        request = urllib.request.Request(  # noqa: S310 (our own process)
            f"{self.url}/_sandbox/{path}",
            data=None if content is None else json.dumps(content).encode(),
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 (our own process)
            return json.load(response)


@contextlib.contextmanager
def running(settings: SandboxSettings | None = None) -> Iterator[RunningSandbox]:
    """Run a sandbox in a process of its own, on a free port unless the settings name one; stop it at the end.

    :raises RuntimeError: it did not start; its complaint is on standard error.
    """
    chosen = settings or SandboxSettings(port=0)
    if chosen.port == SandboxSettings.port:
        chosen = dataclasses.replace(chosen, port=0)
    command = [sys.executable, "-m", "ometria_provider.sandbox", "--until-stdin-closes", *chosen.arguments()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own module)
    assert process.stdin and process.stdout
    try:
        found = re.search(r"ready at (\S+)", process.stdout.readline())
        if found is None:
            raise RuntimeError(f"The sandbox did not start (exit {process.wait()}).")
        yield RunningSandbox(found[1], chosen, process)
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
