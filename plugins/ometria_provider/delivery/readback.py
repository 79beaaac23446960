"""Compare a contact that was read back with the record that was sent, field by field.

Strict: a value has arrived when Ometria holds it. Ometria keeps a custom field under a type of its own (String,
Integer, Date; contract/ometria.md, "Contact"), so there a number and its text are one value, and so are two ways to
write one time. Built-in fields have documented formats and must be the same, the ways to write a time apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from ometria_provider.delivery.suspects import Fields

Record = Mapping[str, Any]

#: Who a contact is. A record of which nothing else arrived says nothing.
IDENTITY = frozenset(("id", "email", "customer_id"))


#: Consent, which people and other sources change in Ometria.
CONSENT = frozenset(
    (
        "marketing_optin",
        "timestamp_subscribed",
        "timestamp_unsubscribed",
        "channels.sms.allow_marketing",
        "channels.sms.allow_transactional",
    )
)


def unproven(record: Record, contact: Record) -> frozenset[str]:
    """Return the consent fields that prove nothing by themselves when they differ: timestamps, and opt-ins.

    Somebody may have opted out since. An opt-out that is not there, or an opt-in of which there is nothing at all, did
    not arrive: nobody else takes consent away without a trace.
    """
    named = {remote: tuple(remote.split(".")) for remote in CONSENT if not remote.startswith("timestamp_")}
    proven = {
        remote
        for remote, keys in named.items()
        if _value(record, keys) in ("EXPLICITLY_OPTEDOUT", False) or _value(contact, keys) is None
    }
    return CONSENT - proven


class Mismatch(NamedTuple):
    """One field that did not arrive.

    :param problem: what is wrong, as the end of a sentence; never a value.
    """

    field: str
    problem: str


def mismatches(record: Record, contact: Record, fields: Fields) -> list[Mismatch]:
    """Return what a contact does not hold of a record; directives are no fields."""
    found = []
    for keys, sent in leaves(record):
        known = fields.get(keys)
        if problem := _problem(sent, _value(contact, keys), custom=known is None or known.custom):
            found.append(Mismatch(known.remote if known else " > ".join(keys), problem))
    return found


@dataclass(frozen=True)
class Change:
    """One field of a record beside what Ometria holds.

    :param before: what Ometria holds; None: nothing.
    :param after: what it would hold.
    :param kind: what sending the record would do to it.
    """

    field: str
    before: Any
    after: Any
    kind: Literal["set", "changed", "emptied", "same"]


def changes(record: Record, contact: Record | None, fields: Fields) -> list[Change]:
    """Return every field of a record beside what a contact holds; directives are no fields."""
    found = []
    for keys, after in leaves(record):
        known = fields.get(keys)
        before = _value(contact or {}, keys)
        kind: Literal["set", "changed", "emptied", "same"] = "changed"
        if not _problem(after, before, custom=known is None or known.custom):
            kind = "same"
        elif after is None:
            kind = "emptied"
        elif before in (None, "", []):
            kind = "set"
        found.append(Change(known.remote if known else " > ".join(keys), before, after, kind))
    return found


def leaves(record: Record, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each value of a record with the keys that lead to it; directives are no values."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*before, key))
        elif before or not key.startswith("@"):
            yield (*before, key), value


def _value(contact: Record, keys: tuple[str, ...]) -> Any:
    value: Any = contact
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _problem(sent: Any, got: Any, *, custom: bool) -> str | None:
    if sent is None:
        return None if got is None or got in ("", []) else "was to be cleared and is still there"
    if got is None:
        return "is not there"
    return None if _same(sent, got, custom=custom) else "is not the value that was sent"


def _same(sent: Any, got: Any, *, custom: bool) -> bool:
    if isinstance(sent, list):
        return (
            isinstance(got, list)
            and len(got) == len(sent)
            and all(_same(mine, theirs, custom=custom) for mine, theirs in zip(sent, got, strict=True))
        )
    if isinstance(sent, bool) or isinstance(got, bool):
        return sent is got
    if sent == got:
        return True
    if custom and str(_whole(sent)) == str(_whole(got)):
        return True
    moment = _moment(sent, custom=custom)
    return moment is not None and moment == _moment(got, custom=custom)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: Any, *, custom: bool) -> datetime | None:
    """Return the time that a text is; a day alone is one in custom fields, where Ometria may keep it as a time."""
    if not isinstance(value, str) or not ("T" in value or (custom and len(value) == len("2026-01-31"))):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass
class Arrivals:
    """Over contacts that were read back: how many records carried each field, and in how many it arrived.

    :param read: contacts that were looked for.
    :param absent: those that are not there at all; they say nothing about fields.
    """

    read: int = 0
    absent: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record, contact: Record | None, fields: Fields) -> None:
        """Count one contact."""
        self.read += 1
        if contact is None:
            self.absent += 1
            return
        wrong = {each.field for each in mismatches(record, contact, fields)}
        for keys, value in leaves(record):
            if value is not None:
                name = known.remote if (known := fields.get(keys)) else " > ".join(keys)
                self.sent[name] += 1
                self.arrived[name] += name not in wrong

    @property
    def missing(self) -> dict[str, int]:
        """Fields that arrived in none of the contacts, each with how many records carried it."""
        return {name: count for name, count in sorted(self.sent.items()) if not self.arrived[name]}

    @property
    def complaint(self) -> str | None:
        """Return why the whole mapping is in doubt, or None."""
        if self.read and self.absent == self.read:
            return f"None of the {self.read} contacts that were read back is in Ometria."
        beyond = self.sent.keys() - IDENTITY
        if beyond and beyond <= self.missing.keys():
            return (
                f"Of the {self.read - self.absent} contacts that were read back none holds any field of the mapping "
                "beyond their identity."
            )
        return None


def faults(found: Iterable[Mismatch], silent: Collection[str]) -> list[Mismatch]:
    """Return the mismatches that convict a record: a field that never arrives in anybody is no fault of the record."""
    return [each for each in found if each.field not in silent]
