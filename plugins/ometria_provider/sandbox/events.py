"""Antavo's events: what members did, kept and paged as contract/antavo.md, "Events and rewards", tells it.

Choices where the contract leaves one: a page holds at most ``most_events``, however many were asked for; events of one
time come in the order in which they were recorded; an event without a time that can be read stands at the time it was
recorded; ``references=true`` adds ``references``, a list of ``{"type": "reward", "id", "name"}``.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ometria_provider.sandbox.rewards import Rewards
from ometria_provider.sandbox.settings import SandboxSettings
from ometria_provider.sandbox.wire import Answer, Call, answer

Event = dict[str, Any]
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def moment(text: str) -> float:
    """Return an ISO 8601 time (UTC without offset) or unix seconds as unix seconds.

    :raises ValueError: it is neither.
    """
    try:
        return float(text)
    except ValueError:
        found = datetime.datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()


def iso_milliseconds(seconds: float) -> str:
    """Return unix seconds as an event's ``timestamp``: ISO 8601 with milliseconds and ``Z``."""
    text = datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Events:
    """The programme's events.

    :param heard: told of every event that was recorded, as a caller of the API would read it.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        rewards: Rewards,
        database: sqlite3.Connection,
        heard: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self.settings, self.heard = settings, heard
        self._rewards, self._database = rewards, database

    def record(self, action: str, customer_id: str, more: Event | None = None) -> str:
        """Keep an event and return its id; ``more`` adds to it or overrides it.

        A ``timestamp`` of None leaves it out; a ``customer`` takes the place of ``Customer``; a ``row`` stands in lists
        in place of the whole event.
        """
        now = datetime.datetime.now(datetime.UTC).timestamp()
        event: Event = {
            "action": action,
            "label": action.replace("_", " ").capitalize(),
            "Customer": {"id": customer_id},
            "points": 0,
            "timestamp": iso_milliseconds(now),
            "properties": [],
            "expdate": None,
        } | (more or {})
        try:
            at = moment(event["timestamp"])
        except (ValueError, TypeError):
            at = now
        if event["timestamp"] is None:
            del event["timestamp"]
        if "customer" in event:
            del event["Customer"]
        row = (at, str(customer_id), str(event["action"]), msgspec.json.encode(event))
        query = "insert into loyalty_event (timestamp, customer_id, action, body) values (?,?,?,?)"
        number = str(self._database.execute(query, row).lastrowid)
        self.heard({"id": number} | event)
        return str(event.get("id", number))

    def count(self, action: str) -> int:
        """Return how many events of an action there are."""
        row = self._database.execute("select count(*) from loyalty_event where action=?", (action,)).fetchone()
        return int(row[0])

    def page(self, call: Call, customer_id: str | None = None) -> Answer:
        """Answer a request for the events of everybody, or of one customer.

        :raises ValueError: a parameter makes no sense.
        """
        limit, offset = call.number("limit", 100), call.number("offset", 0)
        tests, values = self._criteria(call, customer_id)
        where = f" where {' and '.join(tests)}" if tests else ""
        order = "desc" if call.query.get("order", "asc") == "desc" else "asc"
        total = self._database.execute(f"select count(*) from loyalty_event{where}", values).fetchone()[0]  # noqa: S608 (texts from below)
        rows = self._database.execute(
            f"select id, body from loyalty_event{where} order by timestamp {order}, id {order} limit ? offset ?",  # noqa: S608
            (*values, min(limit, self.settings.most_events), offset),
        )
        data = [{"id": str(number)} | msgspec.json.decode(body) for number, body in rows]
        data = [event.get("row", event) for event in data]
        if call.query.get("references") == "true" and customer_id is not None:
            data = [event | {"references": self._references(event)} for event in data]
        return answer({"total": total, "data": data})

    def _criteria(self, call: Call, customer_id: str | None) -> tuple[list[str], list[Any]]:
        tests: list[str] = []
        values: list[Any] = []
        for name, value in call.query.items():
            field, _, word = name.partition(".")
            if field == "timestamp":
                if word not in _SIGNS:
                    raise ValueError(name)
                tests.append(f"timestamp {_SIGNS[word]} ?")
                values.append(moment(value))
        if customer_id is not None:
            tests.append("customer_id = ?")
            values.append(customer_id)
            if "action.in" in call.query:
                actions = call.query["action.in"].split(",")
                tests.append(f"action in ({','.join('?' * len(actions))})")
                values += actions
        return tests, values

    def _references(self, event: Event) -> list[Event]:
        properties = event["properties"]
        named = properties.items() if isinstance(properties, dict) else _pairs(properties)
        found = (self._rewards.get(str(value)) for name, value in named if name == "reward")
        return [{"type": "reward", "id": each["id"], "name": each["name"]} for each in found if each]


def _pairs(properties: Iterable[Any]) -> list[tuple[Any, Any]]:
    return [(row.get("name"), row.get("value")) for row in properties if isinstance(row, dict)]
