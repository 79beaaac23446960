"""An S3-compatible store in a process of its own: moto's server, with faults that can be switched on.

``python tests/support/object_store.py PORT`` serves until its standard input closes. ``/_store/faults`` takes the fault
that is on as JSON (DELETE: none); ``/_store/stats`` says what was asked and struck, and how many bytes lie there.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

BUCKET = "staging"
_BODY = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>switched on</Message></Error>"


@dataclass(frozen=True)
class ObjectStore:
    """A store that runs.

    :param url: its endpoint.
    """

    url: str

    @property
    def staging_path(self) -> str:
        """A value of ``[ometria] staging_path``."""
        return f"s3://aws_default@{BUCKET}/ometria"

    @property
    def connection(self) -> str:
        """A value of ``AIRFLOW_CONN_AWS_DEFAULT``."""
        return json.dumps(
            {
                "conn_type": "aws",
                "login": "key",
                "password": "secret",
                "extra": {"endpoint_url": self.url, "region_name": "us-east-1"},
            }
        )

    def fail(self, *, status: int = 503, code: str = "SlowDown", methods: str = "*", share: float = 1.0) -> None:
        """Answer requests with an error until :meth:`mend`.

        :param methods: of these (``PUT GET``); ``*``: of all.
        :param share: of so many of them.
        """
        self._ask("faults", {"status": status, "code": code, "methods": methods.split(), "share": share})

    def mend(self) -> None:
        """Let everything work again."""
        self._ask("faults", method="DELETE")

    def stats(self) -> dict[str, Any]:
        """Return ``requests`` by method, ``struck``, ``objects`` and ``bytes``."""
        found: dict[str, Any] = self._ask("stats")
        return found

    def _ask(self, path: str, content: Any = None, method: str | None = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}/_store/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


@contextlib.contextmanager
def object_store(port: int = 0) -> Iterator[ObjectStore]:
    """Run a store with an empty bucket for staging."""
    command = [sys.executable, __file__, str(port)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin and process.stdout
    try:
        url = process.stdout.readline().strip()
        assert url, "the object store did not start"
        yield ObjectStore(url)
    finally:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        process.wait()
        process.stdout.close()


class _Faulty:
    """A WSGI application in front of moto's."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._fault: dict[str, Any] | None = None
        self._requests: Counter[str] = Counter()
        self._struck = 0

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith("/_store/"):
            return self._control(method, path.rpartition("/")[2], environ, start)
        self._requests[method] += 1
        fault = self._fault
        if fault and (method in fault["methods"] or "*" in fault["methods"]) and random.random() < fault["share"]:
            self._struck += 1
            size = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"].read(size)
            start(f"{fault['status']} {fault['code']}", [("Content-Type", "application/xml")])
            return [] if method == "HEAD" else [_BODY.format(fault["code"]).encode()]
        return self._application(environ, start)

    def _control(self, method: str, name: str, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        if name == "faults":
            size = int(environ.get("CONTENT_LENGTH") or 0)
            self._fault = json.loads(environ["wsgi.input"].read(size)) if method == "POST" else None
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"requests": self._requests, "struck": self._struck, **_kept()}).encode()]


def _kept() -> dict[str, int]:
    from moto.backends import get_backend

    buckets = get_backend("s3")["123456789012"]["aws"].buckets
    keys = [key for bucket in buckets.values() for key in bucket.keys.values()]
    return {"objects": len(keys), "bytes": sum(key.size for key in keys)}


def _serve(port: int) -> None:
    """Serve until standard input closes."""
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    # Without this each request waits 40 ms for an acknowledgement: headers and body leave as two packets.
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    application = _Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", port, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    client.create_bucket(Bucket=BUCKET)
    print(url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
