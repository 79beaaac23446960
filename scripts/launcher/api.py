"""Airflow's REST API on this machine, as the user that SimpleAuthManager made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from launcher.errors import Broken, Refused

_TIMEOUT = 30


@dataclass(frozen=True)
class Login:
    """A user of the local Airflow."""

    user: str
    password: str

    @classmethod
    def read(cls, home: Path) -> Login:
        """Return the first user whose password Airflow generated.

        :raises Broken: when there is none: another auth manager is configured.
        """
        file = home / "simple_auth_manager_passwords.json.generated"
        try:
            passwords: dict[str, str] = json.loads(file.read_text())
            user, password = next(iter(passwords.items()))
        except (OSError, ValueError, StopIteration) as error:
            raise Broken(
                f"No generated password in {file}: this launcher works with SimpleAuthManager only."
            ) from error
        return cls(user, password)


class Airflow:
    """A client of a running API server.

    :param url: its root, such as ``http://127.0.0.1:8080``.
    """

    def __init__(self, url: str, login: Login) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc between us and this machine
        token = self._call("POST", "/auth/token", {"username": login.user, "password": login.password})["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    @staticmethod
    def is_up(url: str) -> bool:
        """Say whether an API server answers there."""
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.get(f"{url}/api/v2/version", timeout=_TIMEOUT).ok
        except requests.RequestException:
            return False

    def warm_up(self) -> None:
        """Make the server build the part that workers talk to, which costs it seconds, before a task waits for it."""
        with contextlib.suppress(requests.RequestException), requests.Session() as session:
            session.trust_env = False
            session.get(f"{self.url}/execution/health", timeout=_TIMEOUT)

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """Return a DAG's facts; None when the DAG processor has not found it (yet)."""
        return self._find(f"/dags/{quote(dag_id)}/details")

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the DAG files that could not be read, with ``filename`` and ``stack_trace``."""
        found: list[dict[str, Any]] = self._call("GET", "/api/v2/importErrors")["import_errors"]
        return found

    def parse_again(self, file_token: str) -> None:
        """Ask the DAG processor to read a DAG file next."""
        self._call("PUT", f"/api/v2/parseDagFile/{quote(file_token)}")

    def pause(self, dag_id: str, *, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._call("PATCH", f"/api/v2/dags/{quote(dag_id)}?update_mask=is_paused", {"is_paused": paused})

    def trigger(self, dag_id: str, params: Mapping[str, Any]) -> str:
        """Start a run and return its run_id."""
        content = {"logical_date": None, "conf": dict(params)}
        run_id: str = self._call("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", content)["dag_run_id"]
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return a run's state; ``deleted`` when somebody deleted it."""
        found = self._find(f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}")
        return str(found["state"]) if found else "deleted"

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """End a run."""
        self._call("PATCH", f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}", {"state": "failed"})

    def other_runs(self, dag_id: str, run_id: str) -> list[str]:
        """Return the run_ids of a DAG's running runs but this one."""
        runs = self._call("GET", f"/api/v2/dags/{quote(dag_id)}/dagRuns?state=running")["dag_runs"]
        return [run["dag_run_id"] for run in runs if run["dag_run_id"] != run_id]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return a run's task instances."""
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances?limit=1000"
        found: list[dict[str, Any]] = self._call("GET", path)["task_instances"]
        return found

    def xcom(self, task: Mapping[str, Any], key: str) -> Any:
        """Return what a task left under a key; None when it left nothing."""
        place = f"/dags/{quote(task['dag_id'])}/dagRuns/{quote(task['dag_run_id'])}/taskInstances/{task['task_id']}"
        found = self._find(f"{place}/xcomEntries/{quote(key)}?stringify=false")
        return found["value"] if found else None

    def log(self, task: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the lines of a task's last try, each with ``event`` and perhaps ``level``, ``error_detail``."""
        place = f"/dags/{quote(task['dag_id'])}/dagRuns/{quote(task['dag_run_id'])}/taskInstances/{task['task_id']}"
        index = f"?map_index={task['map_index']}&full_content=true"
        found = self._find(f"{place}/logs/{max(task['try_number'], 1)}{index}")
        lines = found["content"] if found else []
        return [line for line in lines if isinstance(line, dict)]

    def _find(self, path: str) -> dict[str, Any] | None:
        answer = self._send("GET", f"/api/v2{path}", None)
        if answer.status_code == requests.codes.not_found:
            return None
        return self._content(answer)

    def _call(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        return self._content(self._send(method, path, content))

    def _send(self, method: str, path: str, content: Any) -> requests.Response:
        headers = {"Accept": "application/json"}
        try:
            return self._session.request(method, self.url + path, json=content, headers=headers, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise Broken(f"Airflow's API server at {self.url} does not answer: {type(error).__name__}.") from error

    @staticmethod
    def _content(answer: requests.Response) -> dict[str, Any]:
        if answer.ok:
            return dict(answer.json() or {}) if answer.content else {}
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = answer.text[:500]
        error = Refused if answer.status_code in (400, 422) else Broken
        raise error(f"Airflow refused {answer.request.method} {answer.request.path_url}: {detail}")
