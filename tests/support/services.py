"""Services that alerts go to, over real sockets: one that takes JSON or Slack's webhooks, and a mail server."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Posts:
    """What came by HTTP.

    :param status: what to answer with; it may be changed.
    :param fail_first: so many are refused before.
    """

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        self.fail_first = 0
        self.port = 0

    @property
    def url(self) -> str:
        """Where the service is, for Apprise's plain JSON."""
        return f"json://127.0.0.1:{self.port}/alerts"

    def texts(self) -> list[tuple[str, str]]:
        """Return title and body of what came as Apprise's plain JSON."""
        return [(post["title"], post["message"]) for post in self.received]


@contextlib.contextmanager
def posts() -> Iterator[Posts]:
    """Take what is posted."""
    found = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 500 if found.fail_first else found.status
            found.fail_first = max(found.fail_first - 1, 0)
            if status == 200:
                found.received.append(json.loads(body))
                found.paths.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        found.port = port
        yield found


@contextlib.contextmanager
def mail_server() -> Iterator[tuple[int, list[EmailMessage]]]:
    """Take mail; yield the port and what came."""
    mails: list[EmailMessage] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                command = line.split(b" ")[0].strip().upper()
                if command == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    data = b"".join(iter(self.rfile.readline, b".\r\n"))
                    mails.append(message_from_bytes(data, policy=policy.default))
                self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
                if command == b"QUIT":
                    return

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, mails


@contextlib.contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Statsd:
    """What came by UDP, as StatsD has it."""

    def __init__(self, receiver: socket.socket) -> None:
        self._socket = receiver
        self._socket.settimeout(0.2)
        self.lines: list[str] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def values(self) -> dict[str, float]:
        """Return what has come so far by name: counters added up, of all others the last value."""
        # Sent and received on one machine: what was sent before this call is there.
        with contextlib.suppress(TimeoutError):
            while True:
                self.lines += self._socket.recv(65_536).decode().splitlines()
        found: dict[str, float] = {}
        for line in self.lines:
            name, _, rest = line.partition(":")
            value, kind = rest.split("|")[:2]
            found[name] = found.get(name, 0) + float(value) if kind == "c" else float(value)
        return found

    def forget(self) -> None:
        """Begin anew."""
        self.values()
        self.lines.clear()


@contextlib.contextmanager
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Statsd]:
    """Listen, and let Airflow's statistics go there as a worker sets them up."""
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics import stats_utils

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        found = Statsd(receiver)
        for name, value in {"ON": "True", "HOST": "127.0.0.1", "PORT": str(found.port)}.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__STATSD_{name}", value)
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        try:
            yield found
        finally:
            for name in ("ON", "HOST", "PORT"):
                monkeypatch.delenv(f"AIRFLOW__METRICS__STATSD_{name}")
            stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
