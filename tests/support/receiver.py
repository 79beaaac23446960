"""The webhook receiver as Airflow's API server mounts it, over real sockets."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import jwt
import requests
import uvicorn
from fastapi import FastAPI
from ometria_provider.web import WEBHOOKS
from ometria_provider.web.webhooks import create_app

LOGIN, PASSWORD = "antavo", "an unguessable password: with colon"
SECRET = "a-secret-that-both-sides-know-and-nobody-else"

#: What the connection looks like that most tests use.
CONNECTION: dict[str, Any] = {
    "conn_type": "http",
    "login": LOGIN,
    "password": PASSWORD,
    "extra": {"jwt_algorithm": "HS256", "jwt_key": SECRET},
}


def event(id_: str = "e1", **changes: Any) -> dict[str, Any]:
    """Return a webhook's body: a member claims a reward."""
    common = {
        "id": id_,
        "action": "reward",
        "customer": {"id": "c1"},
        "points": -50,
        "timestamp": "2026-01-15T12:00:00.000Z",
        "properties": [{"name": "reward", "label": "Reward", "value": "r1"}],
    }
    return {"event": {name: value for name, value in {**common, **changes}.items() if value is not None}}


def token(key: Any = SECRET, algorithm: str = "HS256", *, lasts: float = 60, **claims: Any) -> str:
    """Return a signed token; a claim that is None is left out."""
    content = {"exp": int(time.time() + lasts), **claims}
    return jwt.encode({k: v for k, v in content.items() if v is not None}, key, algorithm=algorithm)


class Site:
    """A server that listens.

    :param url: of the receiver.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def post(self, content: Any, *, auth: Any = (LOGIN, PASSWORD), **options: Any) -> requests.Response:
        """Post a body: bytes as they are, anything else as JSON. A text for `auth` is a Bearer token."""
        headers = options.pop("headers", {})
        if isinstance(auth, str):
            headers, auth = {**headers, "Authorization": f"Bearer {auth}"}, None
        body = content if isinstance(content, bytes) or hasattr(content, "__next__") else json.dumps(content).encode()
        return self.session.post(self.url, data=body, auth=auth, headers=headers, timeout=30, **options)


def mounted(app: FastAPI | None = None) -> FastAPI:
    """Return an app that holds the receiver where Airflow's holds it."""
    root = FastAPI()
    root.mount(WEBHOOKS, app or create_app())
    return root


@contextlib.contextmanager
def serving(app: FastAPI | None = None) -> Iterator[Site]:
    """Serve the app as Airflow's API server does: mounted into another one, by uvicorn."""
    server = uvicorn.Server(
        uvicorn.Config(mounted(app), host="127.0.0.1", port=0, log_level="warning", access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    site = Site(f"http://127.0.0.1:{port}{WEBHOOKS}/antavo")
    try:
        yield site
    finally:
        site.session.close()
        server.should_exit = True
        thread.join(10)
