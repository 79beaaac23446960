"""Ometria's Data API v2, as contract/ometria.md tells it: pushes, their late errors, lists, contacts, profiles.

Choices where the contract leaves one: a push that cannot be read is answered with 400 and ``{"error": …}``, a body over
the size of 100 full records with 413; a profile is one for each contact; an error log entry outlives no restart; an
``event_type`` over 32 characters is cut without a word; an event's property ID with a space in it is an error.
"""

from __future__ import annotations

import datetime
import sqlite3
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from ometria_provider.sandbox.campaigns import Campaign, CustomEvents
from ometria_provider.sandbox.checks import BUILT_IN, Problem, check_contact, check_event
from ometria_provider.sandbox.contacts import Contacts, Key
from ometria_provider.sandbox.faults import Faults
from ometria_provider.sandbox.settings import SandboxSettings
from ometria_provider.sandbox.wire import Answer, Call, answer

MOST_RECORDS = 100
LARGEST_RECORD = 61_440  # bytes
_QUEUE = 50_000
_LONGEST_TYPE = 32  # characters of an event_type

Later = Callable[[float, Callable[[], None]], None]
Record = dict[str, Any]


def _error(status: int, message: str) -> Answer:
    return answer({"error": message}, status)


class Ometria:
    """One account.

    :param later: runs something after so many seconds (the event loop's ``call_later``).
    """

    def __init__(self, settings: SandboxSettings, database: sqlite3.Connection, faults: Faults, later: Later) -> None:
        self.settings, self._faults, self._later = settings, faults, later
        self.contacts = Contacts(database, settings.lists, settings.dynamic_lists)
        self.events = CustomEvents(database)
        self.campaign = Campaign(settings.campaign_event_type, settings.campaign_template, database)
        self.late_errors: deque[dict[str, str]] = deque(maxlen=100)
        self.counts = dict.fromkeys(("records", "accepted", "late_errors", "pushes_stored", "deletion_requests"), 0)
        self._waiting: deque[tuple[str, list[Record]]] = deque()
        self._declared = None if settings.declared_fields is None else frozenset(settings.declared_fields)

    def refusal(self, call: Call) -> Answer | None:
        """Return 401 without a key, 403 with a wrong one, else None."""
        key = call.headers.get("X-Ometria-Auth")
        if key == self.settings.ometria_key:
            return None
        return _error(403 if key else 401, "API key is not authorised to access this resource")

    def too_many(self) -> Answer:
        """Return 429."""
        return _error(429, "Too many requests")

    def handle(self, call: Call) -> Answer:  # noqa: PLR0911 (a return for each route)
        """Answer a request."""
        try:
            match call.method, call.segments:
                case "POST", ["v2", "push"]:
                    return self._push(call.body)
                case "POST", ["v2", "data-deletion-requests"]:
                    return self._delete_person(call.body)
                case "GET", ["v2", "push", "_errors"]:
                    return answer(list(self.late_errors))
                case "GET", ["v2", "lists"]:
                    archived = call.query.get("mode") == "archived"
                    return answer([] if archived else [self._list(n) for n in self.contacts.list_ids()])
                case "GET", ["v2", "lists", list_id] if list_id.isdigit() and self.contacts.knows(int(list_id)):
                    return answer(self._list(int(list_id)))
                case "GET", ["v2", "contacts", collection]:
                    limit, offset = call.number("limit", 250, most=250), call.number("offset", 0)
                    return answer(self.contacts.page(collection, limit, offset))
                case "GET", ["v2", "contacts", collection, contact_id]:
                    contact = self.contacts.get(collection, contact_id)
                    return _error(404, "Not found") if contact is None else answer(contact)
                case "GET", ["v2", "profiles"]:
                    return answer(self._profiles(email=call.query.get("email", "")))
                case "GET", ["v2", "profiles", profile_id]:
                    profiles = self._profiles(profile_id=profile_id)
                    return answer(profiles) if profiles else _error(404, "Not found")
                case "GET", ["v2", "unsubscribes"]:
                    return answer(self._unsubscribes(call))
        except ValueError as error:
            return _error(400, f"Invalid parameter: {error}")
        return _error(404, "Not found")

    # Push

    def _push(self, body: bytes) -> Answer:
        parts, records, problem = _read_push(body)
        if problem is not None:
            return problem
        ids = {str(record.get("id")) for record in records}
        if fault := self._faults.about("poison", ids):
            return _error(fault.status, "Payload invalid: a record is not acceptable.")
        self.counts["records"] += len(records)
        kind = str(records[0].get("@type")) if records else "contact"
        if kind == "contact":
            self.contacts.received([_key(record) for record in records], parts)
        elif kind == "custom_event":
            self.events.received([str(record["id"]) for record in records if record.get("id")])
        refused = self._refused(records, ids)
        self._waiting.append((kind, [record for record in records if record not in refused] if refused else records))
        if self.settings.validation_delay_ms:
            self._later(self.settings.validation_delay_ms / 1000, self.validate_next)
        else:
            self.validate_next()
        accepted = len(records) - len(refused)
        self.counts["accepted"] += accepted
        content = {"status": "OK", "request_id": uuid.uuid4().hex, "accepted": accepted, "rejected": len(refused)}
        return answer(content, headers=self._queue_headers())

    def _refused(self, records: list[Record], ids: set[str]) -> list[Record]:
        """Return the records that the answer itself counts as rejected: none, unless a fault says so."""
        fault = self._faults.about("rejected", ids)
        if fault is None:
            return []
        return [record for record in records if not fault.contacts or record.get("id") in fault.contacts]

    def _queue_headers(self) -> dict[str, str]:
        if not self.settings.queue_headers:
            return {}
        waiting = sum(len(records) for _, records in self._waiting)
        return {"X-QueueSize-Limit": str(_QUEUE), "X-QueueSize-Remaining": str(max(0, _QUEUE - waiting))}

    def validate_next(self) -> None:
        """Validate the oldest push that waits; keep its good records, log what is wrong with the others."""
        if not self._waiting:
            return
        kind, records = self._waiting.popleft()
        self.counts["pushes_stored"] += 1
        good: list[tuple[Key, Record]] = []
        for record in records:
            if problems := self._problems(kind, record):
                self.counts["late_errors"] += len(problems)
                self.late_errors.extend({"error_message": text, "error_path": path} for text, path in problems)
            elif kind == "custom_event":
                self._store_event(record)
            else:
                good.append((_key(record), self._known_part(record)))
        if good:
            self.contacts.store(good)

    def _store_event(self, record: Record) -> None:
        event = record | {"event_type": record["event_type"][:_LONGEST_TYPE]}
        if self.events.store(event):
            self.campaign.heard(event, self.contacts.known(event))

    def validate_all(self) -> None:
        """Validate all pushes that wait."""
        while self._waiting:
            self.validate_next()

    def _problems(self, kind: str, record: Record) -> list[Problem]:
        if kind == "custom_event":
            problems = check_event(record)
        elif kind == "contact":
            problems = self._contact_problems(record)
        else:
            return [("unknown type", "root > @type")]
        if fault := self._faults.about("late_error", {str(record.get("id"))}):
            problems.append(("not a valid value", f"root > {fault.field}"))
        return problems

    def _contact_problems(self, record: Record) -> list[Problem]:
        strict = self.settings.unknown_fields == "error"
        problems = check_contact(record, declared=self._declared, strict=strict)
        wrong = [] if problems else [n for n in record.get("@add_to_lists") or () if not self.contacts.takes(n)]
        return problems + ([("not a valid value", "root > @add_to_lists")] if wrong else [])

    def _known_part(self, record: Record) -> Record:
        """Leave out undeclared custom fields when the account drops them."""
        if self.settings.unknown_fields != "drop" or self._declared is None:
            return record
        kept = {name: value for name, value in record.items() if name in BUILT_IN or name in self._declared}
        if "properties" in kept:
            kept["properties"] = {k: v for k, v in kept["properties"].items() if k in self._declared}
        return kept

    def _delete_person(self, body: bytes) -> Answer:
        """Take a request for deletion, and do it at once (the body is an assumption: an e-mail, a customer id)."""
        try:
            person = msgspec.json.decode(body, type=dict[str, str])
        except msgspec.DecodeError:
            return _error(400, "Payload invalid: not an object of texts.")
        event = {"identity_email": person.get("email"), "identity_account_id": person.get("customer_id")}
        if not any(event.values()):
            return _error(400, "Payload invalid: nobody is named.")
        self.counts["deletion_requests"] += 1
        while contact := self.contacts.known({**event, "profile_id": None}):
            self.contacts.forget(*_key(contact))
        return answer({"status": "OK"})

    def forget(self) -> None:
        """Forget all contacts, lists, events and errors."""
        self._waiting.clear()
        self.late_errors.clear()
        self.contacts.clear()
        self.events.clear()
        self.campaign.forget()

    def forget_counts(self) -> None:
        """Count from zero again."""
        self.counts = dict.fromkeys(self.counts, 0)
        self.contacts.clear_counts()
        self.events.clear_counts()

    # Reading

    def _list(self, list_id: int) -> Record:
        dynamic = list_id in self.contacts.dynamic
        return {
            "@type": "list",
            "id": str(list_id),
            "title": f"Segment {list_id}" if dynamic else f"List {list_id}",
            "description": "",
            "size": self.contacts.list_size(list_id),
            "status": "READY",
            "type": "DYNAMIC" if dynamic else "STATIC",
        }

    def _profiles(self, email: str | None = None, profile_id: str | None = None) -> list[Record]:
        return [
            {
                "id": number,
                "customer_id": contact.get("customer_id"),
                "email": contact.get("email"),
                "identities": [{"@collection": contact.get("@collection"), "id": contact.get("id")}],
                "properties": contact.get("properties", {}),
                "marketing_optin": contact.get("marketing_optin"),
            }
            for number, contact in self.contacts.people(email, profile_id)
        ]

    def _unsubscribes(self, call: Call) -> list[Record]:
        since, before = (_moment(call.query.get(name)) for name in ("since", "before"))
        kind = call.query.get("type")
        return [
            row
            for row in self.contacts.unsubscribes()
            if (at := _moment(row["timestamp"]))
            and (since is None or at >= since)
            and (before is None or at < before)
            and kind in (None, "", row["type"])
        ]


def _moment(text: str | None) -> datetime.datetime | None:
    """Read a time; without an offset it is UTC's."""
    if not text:
        return None
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _key(record: Record) -> Key:
    return str(record.get("@collection")), str(record.get("id"))


def _read_push(body: bytes) -> tuple[list[msgspec.Raw], list[Record], Answer | None]:
    """Return a push's records, as bytes and decoded, or the answer that refuses it."""
    if len(body) > MOST_RECORDS * LARGEST_RECORD:
        return [], [], _error(413, "Payload too large.")
    try:
        parts = msgspec.json.decode(body, type=list[msgspec.Raw])
        records = [msgspec.json.decode(part, type=dict[str, Any]) for part in parts]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [], [], _error(400, "Payload invalid: not a JSON array of objects.")
    problem = None
    if len(parts) > MOST_RECORDS:
        problem = "too many records"
    elif any(len(memoryview(part)) > LARGEST_RECORD for part in parts):
        problem = "Record is too large"
    elif len({str(record.get("@type")) for record in records}) > 1:
        problem = "more than one object type"
    return parts, records, _error(400, f"Payload invalid: {problem}.") if problem else None
