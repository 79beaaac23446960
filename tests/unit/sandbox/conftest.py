from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from ometria_provider.sandbox.server import Sandbox
from ometria_provider.sandbox.settings import SandboxSettings
from ometria_provider.sandbox.wire import Answer, Call, parse_query


class Desk:
    """A sandbox without a socket, and a clock that tests wind by hand."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.sandbox = Sandbox(settings, lambda seconds, run: self.waiting.append((seconds, run)))

    def wind(self) -> None:
        """Run all that was put off."""
        waiting, self.waiting = self.waiting, []
        for _, run in waiting:
            run()

    def ask(self, api: str, path: str, body: Any = None, /, **query: Any) -> tuple[int, Any]:
        """Send a request past keys and limits; return status and decoded answer. ``a__b`` in a name means ``a.b``."""
        pairs = "&".join(f"{name.replace('__', '.')}={quote(str(value), safe='')}" for name, value in query.items())
        return self.ask_raw(api, path, pairs, body)

    def ask_raw(self, api: str, path: str, query: str, body: Any = None) -> tuple[int, Any]:
        answer = self.send(api, path, query, b"" if body is None else json.dumps(body).encode())
        return answer.status, json.loads(answer.body)

    def send(self, api: str, path: str, query: str = "", body: bytes = b"") -> Answer:
        method = "POST" if body else "GET"
        return self.sandbox.handle(api, Call(method, f"{path}?{query}", path, parse_query(query), {}, body))

    def push(self, *records: dict[str, Any]) -> tuple[int, Any]:
        return self.ask("ometria", "/v2/push", list(records))

    def errors(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.ask("ometria", "/v2/push/_errors")[1]
        return found

    def scan(self, **query: Any) -> list[dict[str, Any]]:
        """Return a page of the Read API; ``created_at__gte`` and ``status`` are filters."""
        names = {"status": "filter[status][eq]", "sort": "sort[0][field]", "direction": "sort[0][direction]"}
        pairs = []
        for name, value in query.items():
            field = f"filter[created_at][{name[12:]}]" if name.startswith("created_at__") else names.get(name, name)
            pairs.append(f"{quote(field, safe='')}={quote(str(value), safe='')}")
        status, content = self.ask_raw("read", "/v1/customers", "&".join(pairs))
        assert status == 200, content
        rows: list[dict[str, Any]] = content["payload"]["customers"]
        return rows


@pytest.fixture
def make_desk() -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(**settings: Any) -> Desk:
        desks.append(Desk(SandboxSettings(**{"members": 300, "validation_delay_ms": 0} | settings)))
        return desks[-1]

    yield make
    for desk in desks:
        desk.sandbox.database.close()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


def contact(contact_id: str = "c1", **fields: Any) -> dict[str, Any]:
    """Return a contact's record; ``fields`` that begin with ``at_`` are directives."""
    base = {"@type": "contact", "@collection": "customers", "@merge": True, "id": contact_id, "customer_id": contact_id}
    return base | {name.replace("at_", "@", 1) if name.startswith("at_") else name: v for name, v in fields.items()}


@pytest.fixture
def make_contact() -> Callable[..., dict[str, Any]]:
    return contact
