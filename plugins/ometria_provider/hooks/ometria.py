"""Push records to Ometria's Data API v2 and read its lists and contacts (contract/ometria.md)."""

from __future__ import annotations

import datetime
import json
from typing import Any, ClassVar, Literal

import requests
from requests.auth import AuthBase

from ometria_provider.exceptions import SyncError
from ometria_provider.hooks.base import JsonApiHook
from ometria_provider.hooks.connection import Extras, clean_key, root_url, versioned
from ometria_provider.hooks.ometria_answers import (
    ContactList,
    LogEntry,
    PushAnswer,
    Unsubscribed,
    check_errors,
    check_list,
    check_lists,
    check_object,
    check_page,
    check_profile,
    check_push,
    check_unsubscribes,
    is_absent,
    read_error,
    read_list,
    read_push,
    read_unsubscribe,
)
from ometria_provider.hooks.pace import Limiter
from ometria_provider.hooks.request import Api, Call

PUSH, DATA, DELETION = "push", "data", "deletion"  # buckets: Ometria limits these apart

#: Requests for deletion a second, of any account (contract/ometria.md: 6 a minute).
DELETIONS_PER_SECOND = 0.1


class KeyAuth(AuthBase):
    """Ometria's key header."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["X-Ometria-Auth"] = self._api_key
        return request


#: Contacts in one page (contract/ometria.md: at most 250 for list data).
PAGE = 250


class OmetriaHook(JsonApiHook):
    """Push to and read from Ometria.

    Connection (type ``ometria``): host = root (``https://api.ometria.com`` when empty), password = API key; extras
    ``push_requests_per_second`` (8), ``data_requests_per_second`` (4), ``concurrency`` (8), ``timeout`` (seconds),
    ``settle_seconds`` (10), ``verify_seconds`` (300).

    :param ometria_conn_id: the Airflow connection.
    :param limiter: the account's rate budget; buckets ``push`` and ``data``.
    :param options: ``attempts``, ``first_wait``, ``sleep`` of `JsonApiHook`.
    """

    conn_name_attr = "ometria_conn_id"
    default_conn_name = "ometria_default"
    conn_type = "ometria"
    hook_name = "Ometria"
    default_host = "https://api.ometria.com"
    service: ClassVar[str] = "Ometria"
    known_extras: ClassVar[tuple[str, ...]] = (
        "push_requests_per_second",
        "data_requests_per_second",
        "concurrency",
        "timeout",
        "settle_seconds",
        "verify_seconds",
    )
    denied_advice: ClassVar[str] = "Check the API key (password); a new key can take 10 minutes to work."

    def __init__(
        self, ometria_conn_id: str = default_conn_name, *, limiter: Limiter | None = None, **options: Any
    ) -> None:
        super().__init__(ometria_conn_id, limiter=limiter, **options)
        self.ometria_conn_id = ometria_conn_id
        #: Records that wait for Ometria's validation, by the last answer that said so; None: none did.
        self.queued: int | None = None

    def _configure(self, connection: Any, extras: Extras) -> Api:
        self._push_rate = extras.number("push_requests_per_second", 8.0)
        self._data_rate = extras.number("data_requests_per_second", 4.0)
        self._concurrency = extras.integer("concurrency", 8)
        self._settle_seconds = extras.number("settle_seconds", 10.0, zero=True)
        self._verify_seconds = extras.number("verify_seconds", 300.0)
        key = clean_key(self.conn_id, "API key (password)", connection.password)
        host = connection.host or self.default_host
        root = root_url(self.conn_id, host, connection.schema, connection.port)
        self._api = Api("Ometria", versioned(root, "v2"), KeyAuth(key))
        return self._api

    def _pool_size(self) -> int:
        return self._concurrency

    @property
    def push_requests_per_second(self) -> float:
        """The account's limit for pushes."""
        self._load()
        return self._push_rate

    @property
    def data_requests_per_second(self) -> float:
        """The account's limit for everything else."""
        self._load()
        return self._data_rate

    @property
    def concurrency(self) -> int:
        """How many pushes may be in flight at once."""
        self._load()
        return self._concurrency

    @property
    def settle_seconds(self) -> float:
        """How long after the last push, and after the last new error, Ometria's queue counts as drained."""
        self._load()
        return self._settle_seconds

    @property
    def verify_seconds(self) -> float:
        """How long a run may read records back."""
        self._load()
        return self._verify_seconds

    def run_and_check(
        self, session: requests.Session, prepped_request: requests.PreparedRequest, extra_options: dict[Any, Any]
    ) -> requests.Response:
        """Send one prepared request, and note what the answer says of the queue (optional headers)."""
        response = super().run_and_check(session, prepped_request, extra_options)
        limit, remaining = (response.headers.get(f"X-QueueSize-{name}", "") for name in ("Limit", "Remaining"))
        if limit.isdecimal() and remaining.isdecimal():
            self.queued = int(limit) - int(remaining)
        return response

    def push(self, body: bytes) -> PushAnswer:
        """Push one batch. Thread-safe; safe to repeat, records are keyed upserts.

        :param body: an encoded JSON array of at most 100 records of one type.
        :raises RecordRejected: 400, 413 or 422; the reason holds none of the records' values.
        :raises Retryable: not acknowledged in all attempts: only a 200 with Ometria's JSON answer acknowledges.
        """
        answer = self.call(Call(self._ometria(), "/push", PUSH, body=body, check=check_push))
        return read_push(answer)

    def lists(self, mode: Literal["active", "archived", "all"] = "active") -> list[ContactList]:
        """Return the account's lists."""
        call = Call(self._ometria(), "/lists", DATA, query={"mode": mode}, check=check_lists)
        lists = [read_list(row) for row in self.call(call)]
        return [one for one in lists if one is not None]

    def contact_list(self, list_id: int) -> ContactList | None:
        """Return one list, None when there is none with this id."""
        call = Call(self._ometria(), "/lists/{id}", DATA, parts={"id": str(list_id)}, check=check_list)
        return read_list(self.call(call, absent=is_absent))

    def contact(self, collection: str, id: str) -> dict[str, Any] | None:
        """Return a contact as Ometria last stored it, None when there is none."""
        if not collection.strip(". ") or not id.strip(". "):  # would change the path of the request
            return None
        parts = {"collection": collection, "id": id}
        call = Call(self._ometria(), "/contacts/{collection}/{id}", DATA, parts=parts, check=check_object)
        contact: dict[str, Any] | None = self.call(call, absent=is_absent)
        return contact

    def unsubscribes(self, since: datetime.datetime | None) -> list[Unsubscribed]:
        """Return who unsubscribed in Ometria itself, since a time or ever; those made by API are not among them."""
        query = {"since": f"{since.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"} if since else {}
        call = Call(self._ometria(), "/unsubscribes", DATA, query=query, check=check_unsubscribes)
        rows: list[Any] = self.call(call)
        return [read_unsubscribe(row) for row in rows if isinstance(row, dict)]

    def profile(self, profile_id: str) -> dict[str, Any] | None:
        """Return the merged profile of a person, None when there is none with this id."""
        if not profile_id.strip(". "):
            return None
        call = Call(self._ometria(), "/profiles/{id}", DATA, parts={"id": profile_id}, check=check_profile)
        found = self.call(call, absent=is_absent)
        # An array, as client code has it (contract/ometria.md); the object itself would do as well.
        first = found[0] if isinstance(found, list) and found else found
        return first if isinstance(first, dict) else None

    def profiles(self, email: str) -> list[dict[str, Any]]:
        """Return the merged profiles of the people with an e-mail address; empty when there are none."""
        call = Call(self._ometria(), "/profiles", DATA, query={"email": email}, check=check_profile)
        found = self.call(call, absent=is_absent) or []
        return [row for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]

    def request_deletion(self, contact: dict[str, Any]) -> None:
        """Request that the person behind a contact is deleted, which Ometria does within 14 days.

        The body is an assumption: no document tells it (contract/ometria.md).

        :raises RecordRejected: Ometria does not take it.
        """
        person = {name: contact[name] for name in ("email", "customer_id") if contact.get(name)}
        body = json.dumps(person).encode()
        self.call(Call(self._ometria(), "/data-deletion-requests", DELETION, body=body))

    def contact_page(self, collection: str, offset: int) -> list[dict[str, Any]] | None:
        """Return up to 250 contacts of a collection from an offset on, None when Ometria lists none (an assumption)."""
        query = {"limit": str(PAGE), "offset": str(offset)}
        parts = {"collection": collection}
        call = Call(self._ometria(), "/contacts/{collection}", DATA, parts=parts, query=query, check=check_page)
        contacts: list[dict[str, Any]] | None = self.call(call, absent=is_absent)
        return contacts

    def push_errors(self) -> list[LogEntry]:
        """Return the latest errors of the account's log, whoever sent the records, in the log's order."""
        call = Call(self._ometria(), "/push/_errors", DATA, check=check_errors)
        return list(map(read_error, self.call(call)))

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the lists once and say in plain words what is wrong."""
        try:
            with self._asking_once():
                count = len(self.lists())
        except SyncError as error:
            return False, str(error)
        return True, f"Ometria answers; the key sees {count} active list{'' if count == 1 else 's'}."

    def _ometria(self) -> Api:
        self._load()
        return self._api
