"""What Ometria keeps of people: contacts, lists and unsubscribes, in the state database."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

Key = tuple[str, str]  # collection, contact id
_DEEP = ("properties", "channels", "extra_identifiers")
# As the indexes have it.
_BY_EMAIL = "lower(json_extract(cast(body as text), '$.email'))=lower(?)"
_BY_CUSTOMER = "json_extract(cast(body as text), '$.customer_id')=?"


def merge(stored: dict[str, Any] | None, record: dict[str, Any]) -> dict[str, Any]:
    """Return the contact that a pushed record leaves behind.

    Under ``@merge`` the fields that it does not name are kept and objects are merged in depth; without it the record
    replaces the contact. ``null`` clears a field. Directives other than type and collection leave no trace.
    """
    merged = dict(stored) if stored and record.get("@merge") else {}
    for name, value in record.items():
        if name[0] == "@" and name not in ("@type", "@collection"):
            continue
        if name in _DEEP and isinstance(value, dict):
            value = _merge_object(merged.get(name) or {}, value)  # noqa: PLW2901 (the merged value takes its place)
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def _merge_object(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for name, value in new.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = _merge_object(merged.get(name) or {}, value)
        else:
            merged[name] = value
    return merged


def _row_number(profile_id: str | None) -> int | None:
    try:
        number = int(profile_id or "", 16)
    except ValueError:
        return None
    return number if number < 1 << 63 else None


class Contacts:
    """Contacts by collection and id, and the lists they are on.

    :param lists: ids of the lists that exist; None: every id.
    :param dynamic: ids of dynamic segments.
    """

    def __init__(self, database: sqlite3.Connection, lists: Iterable[int] | None, dynamic: Iterable[int]) -> None:
        self._database = database
        self._fixed = None if lists is None else frozenset(lists)
        self.dynamic = frozenset(dynamic)

    # Writing

    def received(self, keys: Sequence[Key], bodies: Iterable[bytes]) -> None:
        """Count records as they arrive, and as repeats when the contact's last record had the same bytes."""
        rows = [(*key, zlib.crc32(body)) for key, body in zip(keys, bodies, strict=True)]
        self._database.executemany(
            "insert into contact (collection, id, received, repeats, digest) values (?,?,1,0,?) on conflict do update "
            "set received=received+1, repeats=repeats+(digest=excluded.digest), digest=excluded.digest",
            rows,
        )

    def store(self, records: Sequence[tuple[Key, dict[str, Any]]]) -> None:
        """Keep valid records, in their order."""
        held = self._bodies([key for key, _ in records])
        for key, record in records:
            held[key] = merge(held.get(key), record)
        encode = msgspec.json.Encoder().encode
        self._database.executemany(
            "update contact set body=? where collection=? and id=?",
            [(encode(body), *key) for key, body in held.items()],
        )
        joins = [(n, *key) for key, record in records for n in record.get("@add_to_lists") or ()]
        leaves = [(n, *key) for key, record in records for n in record.get("@remove_from_lists") or ()]
        self._database.executemany("insert or ignore into list_member values (?,?,?)", joins)
        self._database.executemany(
            "delete from list_member where list_id=? and collection=? and contact_id=?", leaves
        ) if leaves else None
        self._remember({n for n, *_ in joins})

    def _bodies(self, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        found: dict[Key, dict[str, Any]] = {}
        decode = msgspec.json.decode
        for collection in {collection for collection, _ in keys}:
            ids = [contact_id for name, contact_id in keys if name == collection]
            marks = ",".join("?" * len(ids))
            query = f"select id, body from contact where collection=? and body is not null and id in ({marks})"  # noqa: S608 (question marks only)
            found |= {(collection, i): decode(body) for i, body in self._database.execute(query, (collection, *ids))}
        return found

    def unsubscribe(self, email: str, kind: str, timestamp: str, reason: str) -> None:
        """Let a person unsubscribe in Ometria itself: the profile stays theirs when their e-mail changes later."""
        profile_id = next((number for number, _ in self.people(email)), None)
        row = (email, kind, timestamp, reason, profile_id)
        self._database.execute("insert into unsubscribe values (?,?,?,?,?)", row)

    def forget(self, collection: str, contact_id: str) -> None:
        """Lose one contact, though not how often it came."""
        self._database.execute("update contact set body=null where collection=? and id=?", (collection, contact_id))

    def clear(self) -> None:
        """Forget everything."""
        for table in ("contact", "list_member", "list", "unsubscribe"):
            self._database.execute(f"delete from {table}")  # noqa: S608 (names from the line above)

    def clear_counts(self) -> None:
        """Forget how often records came, but not which came last."""
        self._database.execute("update contact set received=0, repeats=0")

    # Reading

    def get(self, collection: str, contact_id: str) -> dict[str, Any] | None:
        """Return a contact as last stored, or None."""
        return self._bodies([(collection, contact_id)]).get((collection, contact_id))

    def page(self, collection: str, limit: int, offset: int) -> list[dict[str, Any]]:
        """Return contacts of a collection by id."""
        rows = self._database.execute(
            "select body from contact where collection=? and body is not null order by id limit ? offset ?",
            (collection, limit, offset),
        )
        return [msgspec.json.decode(body) for (body,) in rows]

    def deliveries(self, collection: str, contact_id: str) -> dict[str, int]:
        """Return how often a contact's record came, and how often with the same bytes as the time before."""
        row = self._database.execute(
            "select received, repeats from contact where collection=? and id=?", (collection, contact_id)
        ).fetchone()
        return dict(zip(("received", "repeats"), row or (0, 0), strict=True))

    def totals(self) -> dict[str, dict[str, int]]:
        """Return for each collection: contacts stored, records received and repeated."""
        rows = self._database.execute(
            "select collection, count(body), sum(received), sum(repeats), count(*), max(received) "
            "from contact group by 1"
        )
        names = ("stored", "received", "repeats", "contacts", "most_for_one")
        return {collection: dict(zip(names, counts, strict=True)) for collection, *counts in rows}

    def people(self, email: str | None = None, profile_id: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Return (profile id, contact) of the contacts with an e-mail, or of the one behind a profile id."""
        return [*self._found(_BY_EMAIL, email), *self._found("rowid=?", _row_number(profile_id))]

    def known(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """Return the contact that a custom event names by any of its identities, or None."""
        found = [
            *self._found(_BY_CUSTOMER, event.get("identity_account_id")),
            *self.people(event.get("identity_email"), event.get("profile_id")),
        ]
        return found[0][1] if found else None

    def _found(self, test: str, value: Any) -> list[tuple[str, dict[str, Any]]]:
        if value is None:
            return []
        rows = self._database.execute(
            f"select printf('%016x', rowid), body from contact where body is not null and {test} order by rowid",  # noqa: S608 (one of three texts)
            (value,),
        )
        return [(number, msgspec.json.decode(body)) for number, body in rows]

    def unsubscribes(self) -> list[dict[str, Any]]:
        """Return the unsubscribes, oldest first, as GET /unsubscribes shows them."""
        rows = self._database.execute(
            "select profile_id, email, type, timestamp, reason from unsubscribe order by timestamp"
        )
        names = ("profile_id", "email_address", "type", "timestamp", "reason")
        return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]

    # Lists

    def knows(self, list_id: int) -> bool:
        """Tell whether a list is there; with no fixed lists, asking for an id makes it."""
        if list_id in self.dynamic:
            return True
        if self._fixed is not None:
            return list_id in self._fixed
        self._remember({list_id})
        return True

    def takes(self, list_id: int) -> bool:
        """Tell whether contacts can be put on a list."""
        return list_id not in self.dynamic and (self._fixed is None or list_id in self._fixed)

    def _remember(self, list_ids: Iterable[int]) -> None:
        if self._fixed is None:
            self._database.executemany("insert or ignore into list values (?)", [(n,) for n in list_ids])

    def list_ids(self) -> list[int]:
        """Return the ids of all lists."""
        made = {n for (n,) in self._database.execute("select id from list")} if self._fixed is None else self._fixed
        return sorted(made | self.dynamic)

    def list_size(self, list_id: int) -> int:
        """Return how many contacts are on a list."""
        row = self._database.execute("select count(*) from list_member where list_id=?", (list_id,)).fetchone()
        return int(row[0])

    def list_members(self, list_id: int) -> list[str]:
        """Return ``collection/id`` of the contacts on a list."""
        rows = self._database.execute(
            "select collection || '/' || contact_id from list_member where list_id=? order by 1", (list_id,)
        )
        return [name for (name,) in rows]
