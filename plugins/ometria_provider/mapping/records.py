"""From projected customers to Ometria records, a chunk at a time (contract/ometria.md, "Contact" and "Legacy mode")."""

from __future__ import annotations

import datetime
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from ometria_provider.mapping.columns import Column, Converted
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.fields import CONSENT, IDENTITY, remote_type
from ometria_provider.mapping.formats import ID_LIMIT, final_step, passes_text
from ometria_provider.mapping.layout import Record, encode_records, tree
from ometria_provider.mapping.model import Mapping, SentRow
from ometria_provider.mapping.rules import conditions
from ometria_provider.mapping.transforms import OPTED_OUT, Step, make_steps, run_steps, text_steps
from ometria_provider.mapping.unread import Unread
from ometria_provider.mapping.values import Unconvertible, is_empty

if TYPE_CHECKING:
    import numpy as np

RECORD_LIMIT = 61_440
"""Bytes of the largest record that Ometria takes: 60 KB (contract/ometria.md)."""

Outcome = Literal["record", "filtered", "rejected"]


class Rejected(NamedTuple):
    """A field that keeps a customer from being sent. The reason never holds a value."""

    row: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of a chunk of n customers; all lists have length n and the order of the customers.

    :param contact_ids: "" where the customer has no usable id (it is rejected then, if it is not filtered).
    :param bodies: records as canonical JSON, all directives included and nothing null, without their consent group;
        None unless the outcome is ``record``. Equal records are equal bytes.
    :param reasons: for the filtered, the first rule that keeps them out.
    :param filled: shape (n, len(mapping.remotes)): which remote fields each record holds; all False without a record.
    :param rejections: by row; a customer with several bad fields has several.
    :param people: e-mail and customer id of each customer, by these names.
    :param consents: consent groups as canonical JSON, of rejected customers too, None where nothing is said; None
        altogether when the mapping maps no consent.
    :param identities: of the rejected customers with a consent group, what alone can carry an opt-out: directives
        and identity as JSON; None where the id cannot be used.
    """

    contact_ids: list[str]
    outcomes: list[Outcome]
    bodies: list[bytes | None]
    reasons: list[str | None]
    filled: np.ndarray
    rejections: list[Rejected]
    people: dict[str, list[Any]]
    consents: list[bytes | None] | None
    identities: dict[int, bytes]

    @property
    def records(self) -> list[Record | None]:
        """The records decoded, each with its consent group, for people to look at."""
        decode = msgspec.json.decode
        groups = self.consents or repeat(None)
        return [
            None if body is None else decode(body) | ({} if group is None else decode(group))
            for body, group in zip(self.bodies, groups, strict=False)  # no groups go on for ever
        ]


@dataclass(frozen=True, slots=True)
class FieldTrace:
    """One value's way into a record, for people to look at. It holds a member's data: show it, keep it nowhere.

    :param loyalty: None for a constant.
    :param value: as Antavo holds it, in canonical shape.
    :param steps: each transform's name and the value after it.
    :param final: what is sent, None for nothing.
    :param problem: why the customer is rejected for this field, or None.
    """

    remote: str
    loyalty: str | None
    value: Any
    steps: tuple[tuple[str, Any], ...]
    final: Any
    problem: str | None


def map_customers(mapping: Mapping, rows: Sequence[list[Any]], *, today: datetime.date) -> Mapped:
    """Make contact records of customers.

    :param rows: what :meth:`Projection.project` returned, one list for each customer.
    :param today: the day in UTC; birthdays after it are rejected.
    """
    return map_columns(mapping, list(map(list, zip(*rows, strict=True))), today=today)


def map_columns(
    mapping: Mapping,
    values: Sequence[list[Any]],
    *,
    today: datetime.date,
    unread: AnyMapping[int, Unread] = MappingProxyType({}),
) -> Mapped:
    """Make contact records of customers whose values come as columns, in the order of :attr:`Projection.paths`.

    :param unread: what is not known of whom, by row: they are rejected for it, whatever else is wrong with them.
    """
    rows = range(len(values[0]) if values else 0)
    columns = dict(zip(Projection(mapping).paths, map(Column, values), strict=True)) if rows else {}
    sent = {row.remote: _convert(row, columns, len(rows), today) for row in mapping.rows} if rows else {}
    reasons = _filter(mapping, columns, len(rows), unread)
    rejections = _reject(mapping, sent, reasons, unread)
    bad = {rejection.row for rejection in rejections}
    outcomes: list[Outcome] = [
        "filtered" if reason else "rejected" if row in bad else "record" for row, reason in enumerate(reasons)
    ]
    filled = _filled(list(sent.values()), len(rows), len(mapping.rows))
    columns_sent = {remote: column.values for remote, column in sent.items()}
    bodies = encode_bodies(mapping, columns_sent, [outcome == "record" for outcome in outcomes]) if rows else []
    unknown = {row for row, one in unread.items() if one.part == "customer"}
    wanted = [reason is None and row not in unknown for row, reason in enumerate(reasons)]
    consents = encode_consents(mapping, columns_sent, wanted)
    for rejection in _too_large(sent, bodies, consents):
        rejections.append(rejection)
        outcomes[rejection.row], bodies[rejection.row] = "rejected", None
    filled[[outcome != "record" for outcome in outcomes]] = False
    return Mapped(
        contact_ids=[value or "" for value in sent["id"].values] if rows else [],
        outcomes=outcomes,
        bodies=bodies,
        reasons=reasons,
        filled=filled,
        rejections=sorted(rejections),
        people={name: sent[name].values for name in ("email", "customer_id") if name in sent},
        consents=consents,
        identities=_identities(mapping, sent, rejections, consents),
    )


def _steps(row: SentRow, today: datetime.date) -> tuple[Step, ...]:
    return (*make_steps(row.transform), final_step(row.remote, today))


def _convert(row: SentRow, columns: dict[str, Column], size: int, today: datetime.date) -> Converted:
    if row.loyalty is None:
        value = run_steps(_steps(row, today), row.value)
        return Converted([value] * size, {})
    column = columns[row.loyalty]
    return _at_once(row, column, today) or column.convert(partial(run_steps, _steps(row, today)))


def _at_once(row: SentRow, column: Column, today: datetime.date) -> Converted | None:
    """Convert a column in which all values are as they should be, as in most columns, without a call for each.

    Whatever is unusual in it gives None, and the column goes value by value.
    """
    if (row.remote == "id" or passes_text(row.remote)) and (steps := text_steps(row.transform)) is not None:
        text = column.as_text(steps)
        if text and (row.remote != "id" or max(map(len, filter(None, text.values)), default=0) <= ID_LIMIT):
            return text
    if row.transform:
        return None
    match remote_type(row.remote):
        case None:
            return column.as_numbers()
        case "time":
            return column.as_times()
        case "birthday":
            return column.as_dates(latest=today.isoformat())
    return None


def _filter(
    mapping: Mapping, columns: dict[str, Column], size: int, unread: AnyMapping[int, Unread]
) -> list[str | None]:
    reasons: list[str | None] = [None] * size
    if not size:
        return reasons
    for condition in conditions(mapping):
        matches = columns[condition.loyalty].test(condition.test)
        if not all(matches):
            for row, match in enumerate(matches):
                if not match and reasons[row] is None and not (row in unread and unread[row].hides(condition.loyalty)):
                    reasons[row] = condition.reason
    return reasons


def _reject(
    mapping: Mapping, sent: dict[str, Converted], filtered: list[str | None], unread: AnyMapping[int, Unread]
) -> list[Rejected]:
    found = [Rejected(row, one.field(mapping), one.reason) for row, one in unread.items() if filtered[row] is None]
    found += [
        Rejected(row, remote, reason)
        for remote, column in sent.items()
        for row, reason in column.failures.items()
        if filtered[row] is None
    ]
    if not sent:
        return found
    known = {rejection.row for rejection in found if rejection.field in ("id", "email", "customer_id")}
    if None in (ids := sent["id"].values):
        empty = [row for row, value in enumerate(ids) if value is None and row not in known and filtered[row] is None]
        found += [Rejected(row, "id", "is empty: a contact needs an id") for row in empty]
        known.update(empty)
    who = [sent[remote].values for remote in ("email", "customer_id") if remote in sent]
    if all(None in values for values in who):
        nobody = [row for row, values in enumerate(zip(*who, strict=True)) if not any(values)]
        reason = "is empty, and there is no customer_id either" if len(who) > 1 else "is empty"
        field = "email" if "email" in sent else "customer_id"
        found += [Rejected(row, field, reason) for row in nobody if row not in known and filtered[row] is None]
    return found


def encode_bodies(mapping: Mapping, columns: dict[str, list[Any]], wanted: list[bool]) -> list[bytes | None]:
    """Encode columns of final values as records with their directives, without their consent groups."""
    columns = {remote: values for remote, values in columns.items() if remote not in CONSENT}
    head = {**_head(mapping), "@add_to_lists": [mapping.list]}
    return _encode_under(head, columns, mapping, wanted)


def _head(mapping: Mapping) -> dict[str, Any]:
    return {"@type": "contact", "@collection": mapping.collection, "@merge": True}


def _encode_under(
    head: dict[str, Any], columns: dict[str, list[Any]], mapping: Mapping, wanted: list[bool]
) -> list[bytes | None]:
    """Encode columns under directives that all records share."""
    shape = {**tree(columns, mapping.mode), **{directive: directive for directive in head}}
    return encode_records(shape, columns | {name: repeat(value) for name, value in head.items()}, wanted)


def encode_consents(mapping: Mapping, columns: dict[str, list[Any]], wanted: list[bool]) -> list[bytes | None] | None:
    """Encode each customer's consent group; an empty field is left out of it, never null."""
    columns = {remote: columns[remote] for remote in mapping.consent_remotes if remote in columns}
    if not columns:
        return None
    shape = tree(columns, mapping.mode)
    if mapping.consent.force_opt_out:
        shape["@force_optin"] = "@force_optin"
        opt_ins = columns["marketing_optin"]
        columns["@force_optin"] = [True if value == OPTED_OUT else None for value in opt_ins]
    groups = encode_records(shape, columns, wanted)
    return [None if group == b"{}" else group for group in groups]


def _identities(
    mapping: Mapping, sent: dict[str, Converted], rejections: list[Rejected], consents: list[bytes | None] | None
) -> dict[int, bytes]:
    """Return what carries an opt-out alone: of each rejected customer with a consent group and a usable id."""
    rejected = dict.fromkeys(rejection.row for rejection in rejections)
    rows = [row for row in rejected if consents and consents[row] and sent["id"].values[row] is not None]
    columns = {name: [sent[name].values[row] for row in rows] for name in IDENTITY if name in sent}
    bodies = _encode_under(_head(mapping), columns, mapping, [True] * len(rows)) if rows else []
    return {row: body for row, body in zip(rows, bodies, strict=True) if body}


def _too_large(
    sent: dict[str, Converted], bodies: list[bytes | None], consents: list[bytes | None] | None
) -> list[Rejected]:
    found: list[Rejected] = []
    if sum(max(map(len, filter(None, part)), default=0) for part in (bodies, consents or [])) <= RECORD_LIMIT:
        return found  # not even the longest of each together
    for row, body in enumerate(bodies):
        if body is None:
            continue
        if len(body) + len((consents and consents[row]) or b"") > RECORD_LIMIT:
            largest = max(sent, key=lambda remote: len(msgspec.json.encode(sent[remote].values[row])))
            found.append(Rejected(row, largest, f"the record is larger than {RECORD_LIMIT} bytes, most of it here"))
    return found


def _filled(columns: list[Converted], size: int, remotes: int) -> np.ndarray:
    import numpy as np

    filled = np.ones((size, remotes), dtype=bool)
    for position, column in enumerate(columns):
        if None in column.values:
            filled[:, position] = [value is not None for value in column.values]
    return filled


def explain(mapping: Mapping, customer: dict[str, Any], *, today: datetime.date) -> list[FieldTrace]:
    """Follow each value of a Read API customer from its loyalty field to its remote field, in the order of rows."""
    projection = Projection(mapping)
    values = dict(zip(projection.paths, projection.project(customer), strict=True))
    return [_trace(row, values[row.loyalty] if row.loyalty else row.value, today) for row in mapping.rows]


def _trace(row: SentRow, value: Any, today: datetime.date) -> FieldTrace:
    steps, current = [], value
    try:
        for step in make_steps(row.transform):
            current = run_steps((step,), current)
            steps.append((step.label, current))
        final = run_steps((final_step(row.remote, today),), current)
        problem = "is empty: a contact needs an id" if row.remote == "id" and is_empty(final) else None
    except Unconvertible as unconvertible:
        final, problem = None, str(unconvertible)
    return FieldTrace(row.remote, row.loyalty, value, tuple(steps), final, problem)
