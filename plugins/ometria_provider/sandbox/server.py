"""The stand-in servers: one process, one port, both systems.

=============  ==========================  ==========================================
API            root for the connection     its paths
=============  ==========================  ==========================================
Loyalty API    ``http://HOST:PORT/loyalty``  ``/customers…``, ``/rewards…``, ``/entities…``
Read API       ``http://HOST:PORT/read``     ``/v1/customers…``
Ometria        ``http://HOST:PORT/ometria``  ``/v2/push…``
control        ``http://HOST:PORT``          ``/_sandbox/…`` (see ``control.py``)
=============  ==========================  ==========================================

The paths do not collide, so the plain ``http://HOST:PORT`` is a root for all three as well. A signature covers the path
as it was sent, prefix included.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ometria_provider.sandbox.antavo import Antavo
from ometria_provider.sandbox.claims import Claims
from ometria_provider.sandbox.control import control
from ometria_provider.sandbox.directory import Directory
from ometria_provider.sandbox.events import Events
from ometria_provider.sandbox.faults import Fault, Faults, make_fault
from ometria_provider.sandbox.limits import SlidingWindowLog
from ometria_provider.sandbox.members import Generator
from ometria_provider.sandbox.ometria import Ometria
from ometria_provider.sandbox.rewards import Rewards
from ometria_provider.sandbox.settings import SandboxSettings
from ometria_provider.sandbox.state import commit, open_state
from ometria_provider.sandbox.webhooks import Webhooks
from ometria_provider.sandbox.wire import Answer, Call, parse_query

_PREFIXES = ("loyalty", "read", "ometria")
_COMMIT_SECONDS = 0.5
_HTML = (
    b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Something is wrong here</h1></body></html>"
)
_BEFORE = frozenset(("429", "500", "refused", "502_html", "html", "reset_before", "timeout_before"))
_AFTER = frozenset(("reset_after", "timeout_after", "truncated", "slow", "broken_text"))
_IDS = (
    (re.compile(r"(/v1)?/customers/(?!-)[^/]+"), r"\1/customers/{id}"),
    (re.compile(r"(/entities/rewards/reward|/rewards)/[^/]+"), r"\1/{id}"),
    (re.compile(r"/v2/(lists|profiles)/[^/]+"), r"/v2/\1/{id}"),
    (re.compile(r"/v2/contacts/[^/]+/[^/]+"), "/v2/contacts/{collection}/{id}"),
)


class Sandbox:
    """Both systems and all that steers them, without a socket.

    :param later: runs something after so many seconds.
    """

    def __init__(self, settings: SandboxSettings, later: Any) -> None:
        self.settings, self._later = settings, later
        self.database = open_state(settings.state)
        self.faults = Faults(settings.seed)
        self.faults.active += map(make_fault, settings.faults)
        self.ometria = Ometria(settings, self.database, self.faults, later)
        self.requests: Counter[tuple[str, str]] = Counter()
        self.rewards = Rewards(settings.seed, self.database)
        self.webhooks = Webhooks()
        self.events = Events(settings, self.rewards, self.database, self.webhooks.heard)
        self._start_members()
        self._start_limits()

    def _start_members(self) -> None:
        settings = self.settings
        generator = Generator(settings.seed, settings.members, settings.bulk_import)
        self.directory = Directory(generator, self.database)
        self.antavo = Antavo(settings, self.directory, self.events, self.rewards)
        self.claims = Claims(self.directory, self.rewards, self.events, self._later)

    def _start_limits(self) -> None:
        settings = self.settings
        self.limits = {
            "antavo": SlidingWindowLog(settings.antavo_requests_per_minute, 60),
            "ometria push": SlidingWindowLog(settings.ometria_push_per_second, 1),
            "ometria data": SlidingWindowLog(settings.ometria_data_per_second, 1),
        }

    def refusal(self, api: str, call: Call, now: float) -> Answer | None:
        """Return 401, 403 or 429 when the request may not pass, else None.

        :param now: seconds on any steady clock.
        """
        if api == "ometria":
            push = call.method == "POST" and call.path == "/v2/push"
            limit = self.limits["ometria push" if push else "ometria data"]
            return self.ometria.refusal(call) or (None if limit.admit(now) else self.ometria.too_many())
        refused = self.antavo.refusal(api, call)
        return refused or (None if self.limits["antavo"].admit(now) else self.antavo.too_many(api))

    def handle(self, api: str, call: Call) -> Answer:
        """Answer a request that may pass."""
        if api == "ometria":
            return self.ometria.handle(call)
        return self.antavo.read(call) if api == "read" else self.antavo.loyalty(call)

    def count(self, api: str, call: Call, outcome: str) -> None:
        """Count a request by endpoint and by status, or by the fault that left it without one."""
        path = call.path
        for pattern, label in _IDS:
            path = pattern.sub(label, path)
        self.requests[f"{api} {call.method} {path}", outcome] += 1

    def stats(self) -> dict[str, Any]:
        """Return the counts of ``GET /_sandbox/stats``."""
        requests: dict[str, dict[str, int]] = {}
        for (endpoint, outcome), count in sorted(self.requests.items()):
            requests.setdefault(endpoint, {})[outcome] = count
        return {
            "requests": requests,
            "throttled": sum(count for (_, outcome), count in self.requests.items() if outcome == "429"),
            "limits": {name: limit.stats() for name, limit in self.limits.items()},
            "pushed": dict(self.ometria.counts),
            "contacts": self.ometria.contacts.totals(),
            "events": self.ometria.events.totals(),
            "emails": self.ometria.campaign.counts(),
            "members": len(self.directory),
        }

    def change_settings(self, changes: dict[str, Any]) -> None:
        """Change some settings from now on; a changed rate limit begins with an empty window."""
        self.settings = dataclasses.replace(self.settings, **changes)
        self.ometria.settings = self.events.settings = self.settings
        self.ometria.campaign.event_type = self.settings.campaign_event_type
        if any(name.endswith(("_minute", "_second")) for name in changes):
            self._start_limits()

    def reset(self, parts: set[str]) -> None:
        """Go back to the beginning in some parts: stats, contacts, members, faults."""
        if "stats" in parts:
            self.requests.clear()
            self.ometria.forget_counts()
            self._start_limits()
        if "contacts" in parts:
            self.ometria.forget()
        if "members" in parts:
            self.database.execute("delete from customer")
            self.database.execute("delete from loyalty_event")
            self.rewards.restore()
            self.claims.stop()
            self.webhooks.stop()
            self._start_members()
        if "faults" in parts:
            self.faults.active.clear()


class Server:
    """The sandbox on a socket."""

    def __init__(self, settings: SandboxSettings) -> None:
        loop = asyncio.get_running_loop()
        self.sandbox = Sandbox(settings, loop.call_later)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, faults and latency included."""
        body = await request.content.read()
        path, _, query = request.raw_path.partition("?")
        api, path = _split(path)
        call = Call(request.method, request.raw_path, path, parse_query(query), request.headers, body)
        sandbox = self.sandbox
        if api == "_sandbox":
            shown = control(sandbox, call)
            commit(sandbox.database)  # who has seen a count finds it again after a kill -9
            return _response(shown)
        fault = sandbox.faults.strike(_BEFORE, api, call.method, call.path)
        if fault is not None:
            sandbox.count(api, call, fault.kind.removesuffix("_html"))
            return await self._fail_before(request, fault)
        refused = sandbox.refusal(api, call, time.monotonic())
        answer = refused or sandbox.handle(api, call)
        if refused is None:
            fault = sandbox.faults.strike(_AFTER, api, call.method, call.path)
        sandbox.count(api, call, str(answer.status) if fault is None else fault.kind)
        if sandbox.settings.latency_ms:
            await asyncio.sleep(sandbox.settings.latency_ms / 1000)
        return _response(answer) if fault is None else await self._fail_after(request, fault, answer)

    async def _fail_before(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        """Spoil a request before it reached the system: nothing was stored."""
        headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        match fault.kind:
            case "429" | "500":
                return _response(
                    Answer(int(fault.kind), b'{"error":{"message":"switched-on fault","code":0}}', headers)
                )
            case "refused":
                return _response(Answer(fault.status, b'{"error":{"message":"switched-on refusal","code":0}}'))
            case "502_html":
                return _response(Answer(502, _HTML, headers, "text/html"))
            case "html":
                return _response(Answer(200, _HTML, headers, "text/html"))
            case "timeout_before":
                await asyncio.sleep(fault.seconds)
        return _reset(request)

    async def _fail_after(self, request: web.BaseRequest, fault: Fault, answer: Answer) -> web.StreamResponse:
        """Spoil the answer to a request that was carried out."""
        if fault.kind == "timeout_after":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "broken_text":
            begin = f'"{fault.field}":"'.encode()
            return _response(dataclasses.replace(answer, body=answer.body.replace(begin, begin + b"\\ud800", 1)))
        if fault.kind in ("truncated", "slow"):
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            response.content_type, response.content_length = answer.content_type, len(answer.body)
            await response.prepare(request)
            half = len(answer.body) // 2
            await response.write(answer.body[:half])
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
                await response.write(answer.body[half:])
            elif request.transport is not None:
                request.transport.close()
            return response
        return _reset(request)


def _split(path: str) -> tuple[str, str]:
    """Return the API that a path belongs to, and the path without that API's prefix."""
    first, _, rest = path.lstrip("/").partition("/")
    if first in _PREFIXES:
        return first, "/" + rest
    return {"v1": "read", "v2": "ometria", "_sandbox": "_sandbox"}.get(first, "loyalty"), path


def _response(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status, body=answer.body, headers=answer.headers, content_type=answer.content_type
    )


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """Cut the connection with a TCP reset, as a crashed server or a load balancer does."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        transport.abort()
    return web.Response()


async def _serve(settings: SandboxSettings, ready: Callable[[str], None], *, until_stdin_closes: bool) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    server = Server(settings)
    runner = web.ServerRunner(web.Server(server.handle, access_log=None))
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port, shutdown_timeout=1)
        await site.start()
        host, port = runner.addresses[0][:2]
        ready(f"http://{host}:{port}")
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        if until_stdin_closes:
            loop.add_reader(sys.stdin.fileno(), stop.set)  # nobody writes to it: readable means closed
        while not stop.is_set():
            commit(server.sandbox.database)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _COMMIT_SECONDS)
    finally:
        await runner.cleanup()
        await server.sandbox.webhooks.close()
        server.sandbox.ometria.validate_all()
        commit(server.sandbox.database)
        server.sandbox.database.close()


def serve(settings: SandboxSettings, ready: Callable[[str], None], *, until_stdin_closes: bool = False) -> None:
    """Run the stand-in servers until SIGINT or SIGTERM.

    :param ready: is told the root of all as soon as it answers.
    :param until_stdin_closes: stop when standard input closes too, so that no sandbox outlives the test that began it.
    :raises OSError: the port is taken.
    :raises RuntimeError: the state file cannot be used.
    """
    asyncio.run(_serve(settings, ready, until_stdin_closes=until_stdin_closes))
