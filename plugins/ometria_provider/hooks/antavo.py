"""Read customers from Antavo's Read API and Loyalty API (contract/antavo.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar

from airflow.sdk.log import mask_secret
from escherauth import EscherRequestsAuth
from requests.auth import AuthBase

from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.hooks.answer import Action, Verdict
from ometria_provider.hooks.antavo_answers import (
    check_count,
    check_customer,
    check_details,
    check_events,
    check_found,
    check_page,
    check_reward,
    found_rows,
    is_unknown,
    one_object,
    page_decoder,
)
from ometria_provider.hooks.antavo_hosts import ESCHER_OPTIONS, QueryKeyAuth, derive_hosts
from ometria_provider.hooks.base import JsonApiHook
from ometria_provider.hooks.changes import walk_changes
from ometria_provider.hooks.connection import Extras, clean_key, root_url, versioned
from ometria_provider.hooks.events import Event, walk_events
from ometria_provider.hooks.pace import Limiter
from ometria_provider.hooks.request import Api, Call
from ometria_provider.hooks.scan import Customer, Instant, instant, instant_text, walk

BUCKET = "requests"
PAGE_SIZE = 1000  # the Read API's largest
EVENT_PAGE = (
    1000  # asked for; the largest is unknown, and what comes decides (contract/antavo.md, "Events and rewards")
)
IN_FLIGHT = 16  # requests for one customer each: enough for 25 a second when an answer takes half a second
SEARCH_PAGE = 100  # the Loyalty API's default, so that a full page can be told; its largest is unknown


class AntavoHook(JsonApiHook):
    """Read customers from Antavo.

    Connection (type ``antavo``): host = root of the Loyalty API, login = API key, password = API secret; extras
    ``read_api_url``, ``credential_scope``, ``read_credential_scope``, ``signing`` (escher or none),
    ``requests_per_minute`` (1500), ``timeout`` (seconds).

    :param antavo_conn_id: the Airflow connection.
    :param limiter: the account's rate budget; bucket ``requests``.
    :param options: ``attempts``, ``first_wait``, ``sleep`` of `JsonApiHook`.
    """

    conn_name_attr = "antavo_conn_id"
    default_conn_name = "antavo_default"
    conn_type = "antavo"
    hook_name = "Antavo"
    service: ClassVar[str] = "Antavo"
    known_extras: ClassVar[tuple[str, ...]] = (
        "read_api_url",
        "credential_scope",
        "read_credential_scope",
        "signing",
        "requests_per_minute",
        "timeout",
    )
    denied_advice: ClassVar[str] = (
        "Check the API key (login), the API secret (password), and the extras signing, credential_scope and "
        "read_credential_scope."
    )

    in_flight: ClassVar[int] = IN_FLIGHT

    def __init__(
        self, antavo_conn_id: str = default_conn_name, *, limiter: Limiter | None = None, **options: Any
    ) -> None:
        super().__init__(antavo_conn_id, limiter=limiter, **options)
        self.antavo_conn_id = antavo_conn_id

    def _configure(self, connection: Any, extras: Extras) -> Api:
        self._requests_per_minute = extras.number("requests_per_minute", 1500.0)
        signed = extras.choice("signing", ("escher", "none")) == "escher"
        key = clean_key(self.conn_id, "API key (login)", connection.login)
        mask_secret(key)  # Airflow masks passwords only, and without signing the key stands in every URL
        secret = clean_key(self.conn_id, "API secret (password)", connection.password) if signed else ""
        loyalty_url = root_url(self.conn_id, connection.host, connection.schema, connection.port)
        hosts = derive_hosts(self.conn_id, loyalty_url, extras, signed=signed)

        def auth(scope: str | None) -> AuthBase:
            if not signed:
                return QueryKeyAuth(key)
            signer: AuthBase = EscherRequestsAuth(key, secret, scope, dict(ESCHER_OPTIONS))
            return signer

        self._loyalty = Api("Antavo's Loyalty API", hosts.loyalty_url, auth(hosts.loyalty_scope), dated=signed)
        self._read = Api("Antavo's Read API", versioned(hosts.read_url, "v1"), auth(hosts.read_scope), dated=signed)
        return self._loyalty

    @property
    def requests_per_minute(self) -> float:
        """The account's limit: 1500 on a shared stack, 20000 on a dedicated one."""
        self._load()
        return self._requests_per_minute

    def _pool_size(self) -> int:
        return self.in_flight

    def scan(
        self, *, gte: str | None = None, lt: str | None = None, keys: Iterable[str] | None = None
    ) -> Iterator[list[Customer]]:
        """Yield lists of at most 1000 customers: each that is there during the whole scan, exactly once.

        :param gte: ISO 8601 time: only customers created then or later.
        :param lt: ISO 8601 time: only customers created before.
        :param keys: of each customer only these, ``_id`` and ``created_at``: half the work of decoding; None: all.
        :raises Misconfigured: the server ignores order or filter (see `hooks.scan.walk`).
        :raises Retryable: too many failures, or customers that share one value keep moving.
        """
        until = _moment(lt)
        picked = None if keys is None else page_decoder(keys)

        def fetch(start: Instant | None, offset: int) -> list[Customer]:
            rows = self._page(offset=offset, limit=PAGE_SIZE, gte=start, lt=until, picked=picked)
            # The server might round the bound; a customer of the next slice must not come twice.
            return [row for row in rows if not (until and (at := instant(row.get("created_at"))) and at >= until)]

        return walk(fetch, gte=_moment(gte), warn=lambda text: self.log.warning("%s: %s", self.conn_id, text))

    def created_at_at(self, offset: int) -> str | None:
        """Return ``created_at`` (UTC, ending in Z) of the customer at this offset by ``created_at``, to cut slices.

        None: there are not so many customers, or this one's ``created_at`` cannot be read.
        """
        rows = self._page(offset=offset, limit=1)
        at = instant(rows[0].get("created_at")) if rows else None
        return instant_text(at) if at else None

    def sample(self, limit: int) -> list[Customer]:
        """Return the ``limit`` newest customers (at most 1000)."""
        return self._page(offset=0, limit=max(1, min(limit, PAGE_SIZE)), direction="desc")

    def customer(self, id: str) -> Customer | None:
        """Return one whole customer from the Read API; None when Antavo knows no such id."""
        if id.strip(". ") == "":  # such an id would change the path of the request
            return None
        call = Call(self._apis()[1], "/customers/{id}", BUCKET, parts={"id": id}, check=check_customer)
        return one_object(self.call(call, absent=is_unknown))

    def events(self, since: datetime, until: datetime | None = None) -> Iterator[list[Event]]:
        """Yield lists of the account's events from a time on, whatever their action: each exactly once.

        :param until: none later than this; None: however late.
        :raises Misconfigured: the server ignores the order or the offset.
        """

        def fetch(start: Instant, offset: int) -> tuple[list[Event], int | None]:
            query = {"timestamp.gte": instant_text(start), "order": "asc", "offset": str(offset)}
            query["limit"] = str(EVENT_PAGE)
            if until is not None:
                query["timestamp.lte"] = instant_text(until)
            call = Call(self._apis()[0], "/customers/-/events", BUCKET, query=query, check=check_events)
            answer = self.call(call)
            total = answer.get("total")
            return answer["data"], total if isinstance(total, int) else None

        return walk_events(fetch, since)

    def latest_events(self) -> Iterator[list[Event]]:
        """Yield lists of the account's events, the newest first, to look at; while others come, one may come twice.

        A page that is the one before ends them: the server ignores the offset.
        """
        offset, total = 0, 1
        before: list[Event] = []
        while offset < total:
            query = {"order": "desc", "limit": str(EVENT_PAGE), "offset": str(offset)}
            call = Call(self._apis()[0], "/customers/-/events", BUCKET, query=query, check=check_events)
            answer = self.call(call)
            rows = answer["data"]
            if not rows or rows == before:
                return
            yield rows
            before = rows
            offset += len(rows)
            total = answer["total"] if isinstance(answer.get("total"), int) else offset + 1

    def reward(self, id: str) -> dict[str, Any] | None:
        """Return one reward; None when Antavo knows no such id.

        Two calls know rewards (contract/antavo.md): the older carries every attribute, the newer has its texts in all
        languages. Both are asked, and the newer one's words win. An account that lacks the newer one goes without it.
        """
        if id.strip(". ") == "":
            return None
        older = self._reward("/rewards/{id}", id, lambda verdict: verdict.action is Action.ABSENT)
        try:
            # Where there is no such call, a 404 need not be the API's own.
            newer = self._reward("/entities/rewards/reward/{id}", id, lambda verdict: verdict.status == 404)
        except Misconfigured as error:
            if older is None:
                raise
            self.log.warning("Rewards come in one language only: %s", error)
            newer = None
        if older is None or newer is None:
            return older or newer
        return older | {name: value for name, value in newer.items() if value is not None}

    def _reward(self, path: str, id: str, absent: Callable[[Verdict], bool]) -> dict[str, Any] | None:
        call = Call(self._apis()[0], path, BUCKET, parts={"id": id}, check=check_reward)
        return one_object(self.call(call, absent=absent), "id")

    def details(self, id: str, fields: Sequence[str]) -> Customer | None:
        """Return one customer from the Loyalty API with fields that no other call has; None when there is none.

        :param fields: ``expiring_points``, ``expiring_points.history``.
        """
        if id.strip(". ") == "":
            return None
        query = {"fields": ",".join(fields)}
        call = Call(self._apis()[0], "/customers/{id}", BUCKET, parts={"id": id}, query=query, check=check_details)
        return one_object(self.call(call, absent=is_unknown), "id")

    def changed(self, since: datetime, until: datetime) -> Iterator[list[str]]:
        """Yield lists of the ids of customers who were updated in a window of whole seconds (Loyalty API).

        :raises Misconfigured: the server ignores the window or the offset.
        :raises Retryable: too many failures, or the customers of one second keep moving.
        """

        def fetch(low: Instant, high: Instant, offset: int) -> tuple[list[str], bool]:
            query = {"updated_at.gte": instant_text(low), "updated_at.lt": instant_text(high), "fields": "updated_at"}
            query |= {"limit": str(SEARCH_PAGE), "offset": str(offset)}
            call = Call(self._apis()[0], "/customers", BUCKET, query=query, check=check_found)
            answer = self.call(call)
            rows = found_rows(answer) or []
            more = len(rows) >= SEARCH_PAGE or (isinstance(answer, dict) and bool(rows and answer.get("next")))
            return [str(row["id"]) for row in rows], more

        return walk_changes(fetch, since, until)

    def count_active(self) -> int:
        """Return the number of active customers (Loyalty API)."""
        call = Call(self._apis()[0], "/customers/-/count", BUCKET, check=check_count)
        return int(self.call(call)["active"])

    def test_connection(self) -> tuple[bool, str]:
        """Ask both APIs once and say in plain words what is wrong."""
        reached = ""
        try:
            with self._asking_once():
                active = self.count_active()
                reached = "The Loyalty API answers, but: "
                self.sample(1)
        except SyncError as error:
            hint = f" Read API: {self._read.root} (extra read_api_url)." if reached else ""
            return False, f"{reached}{error}{hint}"
        return True, f"Both APIs answer; Antavo counts {active:,} active customers."

    def _apis(self) -> tuple[Api, Api]:
        self._load()
        return self._loyalty, self._read

    def _page(
        self,
        *,
        offset: int,
        limit: int,
        gte: Instant | None = None,
        lt: Instant | None = None,
        direction: str = "asc",
        picked: Callable[[bytes], Any] | None = None,
    ) -> list[Customer]:
        query = {
            "limit": str(limit),
            "offset": str(offset),
            "sort[0][field]": "created_at",
            "sort[0][direction]": direction,
        }
        for name, moment in (("gte", gte), ("lt", lt)):
            if moment is not None:
                query[f"filter[created_at][{name}]"] = instant_text(moment)
        call = Call(self._apis()[1], "/customers", BUCKET, query=query, check=check_page, picked=picked)
        customers: list[Customer] = self.call(call)["payload"]["customers"]
        return customers


def _moment(text: str | None) -> datetime | None:
    moment = instant(text)
    if text is not None and moment is None:
        raise ValueError(f"not an ISO 8601 time: {text!r}")
    return moment
