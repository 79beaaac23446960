"""Antavo's two APIs: the Loyalty API (unversioned paths) and the Read API (``/v1``), as contract/antavo.md tells them.

Choices where the contract leaves one: a search answers ``{"data": […], "next", "previous"}`` whose rows hold ``id``
and what ``fields`` names; the envelope's link texts are useless, as in the published samples; an error about parameters
comes as the bare inner object, any other one within ``error``; the Read API sorts by ``created_at`` when not told.
"""

from __future__ import annotations

import datetime
import math
import operator
from collections.abc import Callable
from typing import Any

from ometria_provider.sandbox import escher
from ometria_provider.sandbox.directory import Directory
from ometria_provider.sandbox.events import Events, moment
from ometria_provider.sandbox.rewards import Rewards
from ometria_provider.sandbox.settings import SandboxSettings
from ometria_provider.sandbox.shapes import loyalty_shape
from ometria_provider.sandbox.wire import Answer, Call, answer

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": lambda value, wanted: value in wanted,
    "eq": operator.eq,
}
_NO_CRITERIA = {"limit", "offset", "fields", "api_key"}


def loyalty_error(status: int, kind: str, code: int, message: str, *, bare: bool = False) -> Answer:
    """Answer with an error as the Loyalty API words it."""
    error = {"type": kind, "code": code, "message": message}
    return answer(error if bare else {"error": error}, status)


def read_error(status: int, code: int, message: str, *, resendable: bool = False) -> Answer:
    """Answer with an error as the Read API words it."""
    return answer({"error": {"message": message, "code": code, "resendable": resendable}}, status)


class Antavo:
    """Both APIs over one directory of members, what they did, and what they can claim."""

    def __init__(self, settings: SandboxSettings, directory: Directory, events: Events, rewards: Rewards) -> None:
        self._settings, self._directory, self._events, self._rewards = settings, directory, events, rewards

    def refusal(self, api: str, call: Call) -> Answer | None:
        """Return 401 or 403 when a request is not signed as it must be, else None."""
        settings = self._settings
        if not settings.require_signature and call.query.get("api_key") == settings.antavo_key:
            return None
        scope = settings.credential_scope
        if api == "read":
            scope = settings.read_credential_scope or scope
        try:
            escher.check(
                call.method,
                call.target,
                call.headers,
                call.body,
                secrets={settings.antavo_key: settings.antavo_secret},
                scope=scope,
                now=datetime.datetime.now(datetime.UTC),
            )
        except escher.Refused as refused:
            if api == "read":
                return read_error(refused.status, refused.status, str(refused))
            return loyalty_error(refused.status, "AuthenticationException", refused.status, str(refused))
        return None

    def too_many(self, api: str) -> Answer:
        """Return 429; Antavo sends no rate headers."""
        if api == "read":
            return read_error(429, 429, "Too many requests", resendable=True)
        return loyalty_error(429, "RateLimitException", 429, "Too many requests")

    # Read API

    def read(self, call: Call) -> Answer:
        """Answer a request to the Read API."""
        match call.method, call.segments:
            case "GET", ["v1", "customers"]:
                try:
                    return self._scan(call)
                except ValueError as error:
                    return read_error(400, 400, f"Invalid parameter: {error}")
            case "GET", ["v1", "customers", customer_id]:
                customer = self._directory.get(customer_id)
                if customer is None:
                    return read_error(404, 160212, "Customer not found")
                return answer({"status": "success", "payload": {"customer": customer}})
        return read_error(404, 404, "Not found")

    def _scan(self, call: Call) -> Answer:
        limit, offset = call.number("limit", 20, most=1000), call.number("offset", 0)
        if limit == 0:
            raise ValueError("limit is out of range")
        numbers = self._selected(call)
        count = len(numbers)
        if call.query.get("sort[0][direction]", "asc") == "desc":
            start = max(count - offset - limit, 0)
            customers = self._directory.page(numbers, start, max(count - offset, 0) - start)[::-1]
        else:
            customers = self._directory.page(numbers, offset, limit)
        more = offset + limit < count
        pagination = {"next": "customers?limit=20" if more else None, "previous": "customers" if offset else None}
        return answer(
            {"status": "success", "metadata": {"pagination": pagination}, "payload": {"customers": customers}}
        )

    def _selected(self, call: Call) -> Any:
        """Return the numbers of the members that the filters let through, sorted, as a sliceable sequence."""
        order = self._directory.order()
        status, by = call.query.get("filter[status][eq]"), call.query.get("sort[0][field]", "created_at")
        if by not in ("created_at", "status"):
            raise ValueError("sort[0][field]")
        low, high = self._window(call)
        if status is None and by == "created_at":
            return order.between(low, high)
        chosen = [numbers for name, numbers in self._directory.by_status() if status in (None, name)]
        return [n for numbers in chosen for n in numbers if low <= self._directory.created(n) < high]

    def _window(self, call: Call) -> tuple[float, float]:
        """Return the half-open window of ``created_at`` (whole unix seconds) that the filters ask for."""
        low, high = -math.inf, math.inf
        for name, value in call.query.items():
            if not name.startswith("filter[created_at]["):
                continue
            time = moment(value)
            match name[len("filter[created_at][") : -1]:
                case "gte":
                    low = max(low, math.ceil(time))
                case "gt":
                    low = max(low, math.floor(time) + 1)
                case "lt":
                    high = min(high, math.ceil(time))
                case "lte":
                    high = min(high, math.floor(time) + 1)
                case _:
                    raise ValueError(name)
        return low, high

    # Loyalty API

    def loyalty(self, call: Call) -> Answer:  # noqa: PLR0911 (a return for each route)
        """Answer a request to the Loyalty API."""
        try:
            match call.method, call.segments:
                case "GET", ["customers"]:
                    return self._search(call)
                case "GET", ["customers", "-", "count"]:
                    active = dict(self._directory.by_status()).get("active", [])
                    return answer({"active": len(active)})
                case "GET", ["customers", "-", "events"]:
                    return self._events.page(call)
                case "GET", ["customers", customer_id]:
                    customer = self._directory.get(customer_id)
                    if customer is None:
                        return loyalty_error(404, "CustomerNotFoundException", 160212, "Customer not found")
                    return answer(loyalty_shape(customer, _fields(call)))
                case "GET", ["customers", customer_id, "events"]:
                    return self._events.page(call, customer_id)
                case "GET", ["rewards", reward_id]:
                    return _reward(self._rewards.flat(reward_id))
                case "GET", ["entities", "rewards", "reward", reward_id]:
                    return _reward(self._rewards.get(reward_id))
        except ValueError as error:
            return loyalty_error(400, "InvalidArgumentException", 400, f"Invalid parameter: {error}", bare=True)
        return loyalty_error(404, "NotFoundException", 404, "Not found")

    def _search(self, call: Call) -> Answer:
        criteria = {name: value for name, value in call.query.items() if name not in _NO_CRITERIA}
        if not criteria:
            return loyalty_error(400, "InvalidArgumentException", 160211, "Empty search criteria", bare=True)
        limit, offset = call.number("limit", 100), call.number("offset", 0)
        fields = _fields(call)
        tests = [_criterion(name, value) for name, value in criteria.items()]
        timed = [test for field, test in tests if field == "updated_at"]
        others = [(field, test) for field, test in tests if field != "updated_at"]
        numbers = [n for n, updated in self._directory.updated() if all(test(updated) for test in timed)]
        if others:
            shaped = ((n, loyalty_shape(self._directory.page([n], 0, 1)[0])) for n in numbers)
            numbers = [n for n, row in shaped if all(test(row.get(field)) for field, test in others)]
        rows = [loyalty_shape(row, fields) for row in self._directory.page(numbers, offset, limit)]
        data = [{key: value for key, value in row.items() if key == "id" or key in fields} for row in rows]
        more = offset + limit < len(numbers)
        return answer(
            {"data": data, "next": "customers" if more else None, "previous": "customers" if offset else None}
        )


def _reward(found: Any) -> Answer:
    if found is None:
        return loyalty_error(404, "RewardNotFoundException", 404, "Reward not found")
    return answer(found)


def _fields(call: Call) -> frozenset[str]:
    return frozenset(filter(None, call.query.get("fields", "").split(",")))


def _criterion(name: str, value: str) -> tuple[str, Callable[[Any], bool]]:
    """Return the field that a search parameter is about, and its test."""
    field, _, word = name.partition(".")
    compare = _COMPARE.get(word or "eq")
    if compare is None:
        raise ValueError(name)
    wanted: Any
    if field == "updated_at":
        wanted = [moment(v) for v in value.split(",")] if word == "in" else moment(value)
        return field, lambda seen: seen is not None and compare(seen, wanted)
    wanted = value.split(",") if word == "in" else value
    return field, lambda seen: seen is not None and compare(str(seen), wanted)
