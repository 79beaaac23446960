"""A tiny HTTP server on a real socket that serves scripted answers, and Airflow connections to it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-hooks-"))


@dataclass
class Answer:
    """One scripted answer.

    :param fault: ``reset`` cuts the connection, ``truncate`` sends half of the body, ``silence`` says nothing.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    fault: str | None = None

    @property
    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: Any

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}


class ScriptedApi:
    """Serves its script in order, then the last answer for ever; or whatever a function makes of the request."""

    def __init__(self) -> None:
        self.script: list[Answer] = [Answer(body={})]
        self.respond: Callable[[Received], Answer] | None = None
        self.received: list[Received] = []
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answers(self, *script: Answer) -> None:
        self.script = list(script)

    def answer_to(self, request: Received) -> Answer:
        with self._lock:
            self.received.append(request)
            if self.respond:
                return self.respond(request)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5
            wbufsize = -1  # one packet an answer; two would wait 40 ms for each other

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Received(self.command, self.path, dict(self.headers.items()), body, self.client_address)
                answer = api.answer_to(request)
                if answer.fault == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                    return
                if answer.fault == "silence":
                    api.released.wait(5)
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in {"Content-Length": str(len(answer.encoded)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.encoded[: 5 if answer.fault == "truncate" else None])
                self.close_connection = answer.fault == "truncate"

            def handle(self) -> None:
                with contextlib.suppress(OSError, ValueError):
                    super().handle()

            def finish(self) -> None:
                with contextlib.suppress(OSError, ValueError):
                    super().finish()

            def log_message(self, *args: Any) -> None:
                pass

        return Handler


@dataclass
class RecordingLimiter:
    """Notes what a hook asks of its limiter."""

    acquired: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    yielded: list[tuple[str, float]] = field(default_factory=list)

    def acquire(self, bucket: str) -> None:
        self.acquired.append(bucket)

    def departed(self, bucket: str) -> None:
        self.left.append(bucket)

    def yield_for(self, bucket: str, seconds: float) -> None:
        self.yielded.append((bucket, seconds))


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    server = ScriptedApi()
    yield server
    server.close()


@pytest.fixture
def limiter() -> RecordingLimiter:
    return RecordingLimiter()


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define an Airflow connection for the test."""

    def define(conn_id: str, **fields: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": conn_id[:7], **fields}))

    return define
