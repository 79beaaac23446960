"""The webhook node against a site of ours, over real sockets."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from ometria_provider.sandbox import RunningSandbox, SandboxSettings, running
from ometria_provider.sandbox.webhooks import Node

SECRET = "a shared secret of thirty-two bytes"


class Site:
    """A trusted site: answers what ``statuses`` says next, then 200."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got: list[tuple[str | None, Any]] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                site.got.append((self.headers["Authorization"], body))
                status = site.statuses.pop(0) if site.statuses else 200
                if status:
                    self.send_response(status)
                    self.end_headers()
                else:
                    time.sleep(1)  # longer than the node waits

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningSandbox]:
    with running(SandboxSettings(members=20)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: RunningSandbox) -> RunningSandbox:
    shared.control("reset", {})
    return shared


def settled(sandbox: RunningSandbox) -> Any:
    deadline = time.monotonic() + 30
    while (counts := sandbox.control("webhooks"))["waiting"]:
        assert time.monotonic() < deadline, counts
        time.sleep(0.02)
    return counts


def test_event_is_posted_with_basic_as_the_api_shows_it(sandbox: RunningSandbox, site: Site) -> None:
    node = {"url": site.url, "actions": ["reward"], "login": "antavo", "password": "pässword"}
    sandbox.control("webhooks", node)
    (event_id,) = sandbox.control("claims", {"customer": "c1", "reward": "r1"})["ids"]
    sandbox.control("events", {"action": "opt_in", "customer_id": "c1"})
    assert settled(sandbox) == {"answers": {"200": 1}, "waiting": 0, "dropped": []}
    ((authorization, body),) = site.got
    assert base64.b64decode((authorization or "").removeprefix("Basic ")).decode() == "antavo:pässword"
    assert body.keys() == {"event"}
    assert (body["event"]["id"], body["event"]["action"]) == (event_id, "reward")


def test_error_and_timeout_are_tried_again_until_dropped(sandbox: RunningSandbox, site: Site) -> None:
    sandbox.control("webhooks", {"url": site.url, "retry_seconds": 0.02, "timeout": 0.2})
    site.statuses = [500, 0, 302]
    sandbox.control("events", {"action": "reward", "customer_id": "c1"})
    assert settled(sandbox)["answers"] == {"200": 1, "302": 1, "500": 1, "timeout": 1}
    site.statuses = [503] * 6
    sent = sandbox.control("events", {"action": "reward", "customer_id": "c1"})
    counts = settled(sandbox)
    assert (counts["answers"]["503"], counts["dropped"]) == (6, [sent["id"]])


def test_site_that_is_down_is_tried_again(sandbox: RunningSandbox) -> None:
    sandbox.control("webhooks", {"url": "http://127.0.0.1:9/", "retry_seconds": 0.01})
    sandbox.control("events", {"action": "reward", "customer_id": "c1"})
    counts = settled(sandbox)
    assert (counts["answers"], len(counts["dropped"])) == ({"error": 6}, 1)


def test_copies_come_twice_and_a_stopped_node_posts_nothing(sandbox: RunningSandbox, site: Site) -> None:
    sandbox.control("webhooks", {"url": site.url, "copies": 2})
    sandbox.control("events", {"action": "reward", "customer_id": "c1"})
    settled(sandbox)
    sandbox.control("webhooks", method="DELETE")
    sandbox.control("events", {"action": "reward", "customer_id": "c1"})
    assert len(site.got) == 2
    assert site.got[0] == site.got[1]


def test_node_waits_ten_seconds_and_tries_five_times_again_by_itself() -> None:
    node = Node(url="x")
    assert (node.retries, node.retry_seconds) == (5, 10)


def test_token_is_signed_with_the_secret_and_new_each_time() -> None:
    node = Node(url="x", jwt_algorithm="HS256", jwt_key=SECRET)
    tokens = [(node.authorization(time.time()) or "").removeprefix("Bearer ") for _ in range(2)]
    claims = [jwt.decode(token, SECRET, algorithms=["HS256"]) for token in tokens]
    assert claims[0]["jti"] != claims[1]["jti"]
    assert claims[0]["exp"] - claims[0]["iat"] == 60


def test_token_is_signed_with_a_private_key() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    node = Node(url="x", jwt_algorithm="RS256", jwt_key=key.private_bytes(*form).decode())
    token = (node.authorization(time.time()) or "").removeprefix("Bearer ")
    assert "jti" in jwt.decode(token, key.public_key(), algorithms=["RS256"])


@pytest.mark.parametrize("content", [{"url": "x", "uri": "y"}, {"url": "x", "jwt_algorithm": "none"}])
def test_node_with_a_mistake_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown: uri|HS256 or RS256"):
        Node.make(content)
