"""Antavo's outbound webhooks: a *Webhook message* node that posts every event of some actions to a trusted site.

As contract/antavo.md tells it: an answer other than 2xx, or none in time, is tried again 5 times, 10 s apart, and then
the event is dropped; at least once, in no order. Choices where the contract leaves one: the payload is
``{"event": {…}}``; a JWT goes as ``Authorization: Bearer`` with ``iat``, ``exp`` a minute later and ``jti``, signed
anew for each try.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections import Counter
from typing import Any

import aiohttp
import msgspec

from ometria_provider.sandbox.events import Event

_LIFETIME = 60  # seconds that a token is good for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """One *Webhook message* node.

    :param url: the trusted site.
    :param actions: events that it posts; none: all.
    :param login: of Basic authentication, with ``password``.
    :param jwt_algorithm: HS256 or RS256: a token in the place of Basic.
    :param jwt_key: the shared secret, or the private key as PEM.
    :param retries: how often it tries again.
    :param retry_seconds: how long it waits before.
    :param timeout: how long it waits for an answer.
    :param copies: how often each event is posted, to see duplicates.
    :param most_at_once: requests on their way at a time.
    """

    url: str
    actions: tuple[str, ...] = ()
    login: str | None = None
    password: str = ""
    jwt_algorithm: str | None = None
    jwt_key: str = ""
    retries: int = 5
    retry_seconds: float = 10
    timeout: float = 10
    copies: int = 1
    most_at_once: int = 20

    @classmethod
    def make(cls, content: dict[str, Any]) -> Node:
        """Return what somebody asked for.

        :raises ValueError: there is no such setting, or no URL.
        """
        if unknown := content.keys() - {field.name for field in dataclasses.fields(cls)}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        node = cls(**content | {"actions": tuple(content.get("actions", ()))})
        if node.jwt_algorithm not in (None, "HS256", "RS256"):
            raise ValueError("jwt_algorithm must be HS256 or RS256")
        return node

    def authorization(self, now: float) -> str | None:
        """Return the value of the ``Authorization`` header, or None."""
        if self.jwt_algorithm is not None:
            import jwt

            claims = {"iat": int(now), "exp": int(now) + _LIFETIME, "jti": uuid.uuid4().hex}
            return f"Bearer {jwt.encode(claims, self.jwt_key, algorithm=self.jwt_algorithm)}"
        if self.login is not None:
            return aiohttp.BasicAuth(self.login, self.password, encoding="utf-8").encode()
        return None


class Webhooks:
    """What the node posts, and what became of it."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore()
        self._answers: Counter[str] = Counter()
        self._dropped: list[str] = []

    def use(self, node: Node) -> None:
        """Post events from now on."""
        self._node, self._free = node, asyncio.Semaphore(node.most_at_once)

    def heard(self, event: Event) -> None:
        """Post an event, if the node is about it."""
        node = self._node
        if node is None or (node.actions and event["action"] not in node.actions):
            return
        for _ in range(node.copies):
            task = asyncio.get_running_loop().create_task(self._post(node, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _post(self, node: Node, event: Event) -> None:
        for attempt in range(node.retries + 1):
            if attempt:
                await asyncio.sleep(node.retry_seconds)
            async with self._free:
                outcome = await self._try(node, event)
            self._answers[outcome] += 1
            if outcome.startswith("2"):
                return
        self._dropped.append(str(event["id"]))

    async def _try(self, node: Node, event: Event) -> str:
        """Return the status of the answer, or why there was none."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        authorization = node.authorization(time.time())
        headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
        try:
            async with self._session.post(
                node.url,
                data=msgspec.json.encode({"event": event}),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=node.timeout),
                allow_redirects=False,
            ) as response:
                return str(response.status)
        except TimeoutError:
            return "timeout"
        except aiohttp.ClientError:
            return "error"

    def counts(self) -> dict[str, Any]:
        """Return the tries by status (``timeout`` and ``error`` without one), what waits, and which were dropped."""
        return {"answers": dict(sorted(self._answers.items())), "waiting": len(self._tasks), "dropped": self._dropped}

    def stop(self) -> None:
        """Post nothing more, and forget what waits and what was."""
        self._node = None
        for task in self._tasks:
            task.cancel()
        self._answers.clear()
        self._dropped = []

    async def close(self) -> None:
        """End."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
