"""What Ometria finds wrong with a contact after it has answered (contract/ometria.md, "Contact")."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable
from typing import Any

from ometria_provider.sandbox.words import COUNTRIES

Problem = tuple[str, str]  # error_message, error_path

_INVALID = "not a valid value"
_PHONE = re.compile(r"\+[1-9]\d{6,14}").fullmatch
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+").fullmatch
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}").fullmatch
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})").fullmatch
_OPTINS = ("EXPLICITLY_OPTEDIN", "EXPLICITLY_OPTEDOUT", "NOT_SPECIFIED")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _day(value: Any) -> bool:
    return isinstance(value, str) and _DAY(value) is not None and _reads(value)


def _moment(value: Any) -> bool:
    return isinstance(value, str) and _TIME(value) is not None and _reads(value)


def _reads(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _integers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


_SCALARS = frozenset((type(None), str, int, float, bool))


def _scalar(value: Any) -> bool:
    return type(value) in _SCALARS


def _named_scalars(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_scalar, value.values()))


def _sms(value: Any) -> bool:
    known = {"allow_marketing", "allow_transactional"}
    sms = value.get("sms", {}) if isinstance(value, dict) else None
    return isinstance(sms, dict) and sms.keys() <= known and all(v is None or isinstance(v, bool) for v in sms.values())


BUILT_IN: dict[str, Callable[[Any], bool]] = {
    "@type": lambda value: value == "contact",
    "@collection": lambda value: isinstance(value, str) and value != "",
    "@merge": lambda value: isinstance(value, bool),
    "@add_to_lists": _integers,
    "@remove_from_lists": _integers,
    "@force_optin": lambda value: isinstance(value, bool),
    "id": lambda value: isinstance(value, str) and value != "",
    "email": lambda value: isinstance(value, str) and _EMAIL(value) is not None,
    "customer_id": _text,
    "phone_number": lambda value: isinstance(value, str) and _PHONE(value) is not None,
    "prefix": _text,
    "firstname": _text,
    "middlename": _text,
    "lastname": _text,
    "gender": lambda value: value in ("m", "f", "o"),
    "date_of_birth": _day,
    "country_id": lambda value: isinstance(value, str) and value in COUNTRIES,
    "timezone": _text,
    "timestamp_acquired": _moment,
    "timestamp_subscribed": _moment,
    "timestamp_unsubscribed": _moment,
    "marketing_optin": lambda value: value in _OPTINS,
    "store_ids": lambda value: isinstance(value, list) and all(map(_text, value)),
    "channels": _sms,
    "extra_identifiers": _named_scalars,
    "properties": lambda value: isinstance(value, dict),
}
_NEVER_NULL = frozenset(name for name in BUILT_IN if name.startswith("@")) | {"id"}


def check_contact(record: dict[str, Any], *, declared: frozenset[str] | None, strict: bool) -> list[Problem]:
    """Return what is wrong with a contact; empty when it will be stored.

    :param record: the record as it was pushed.
    :param declared: ids of the account's custom fields; None: all.
    :param strict: an unknown top-level field or an undeclared custom field is an error.
    """
    problems: list[Problem] = []
    if not record.get("email") and not record.get("customer_id") and not record.get("id"):
        problems.append(("missing required value", "root > id"))
    for name, value in record.items():
        valid = BUILT_IN.get(name)
        if valid is None:
            problems += _custom(name, value, "root", declared, strict)
        elif value is None:
            if name in _NEVER_NULL:
                problems.append((_INVALID, f"root > {name}"))
        elif not valid(value):
            problems.append((_INVALID, f"root > {name}"))
        elif name == "properties":
            for field, item in value.items():
                problems += _custom(field, item, "root > properties", declared, strict)
    if record.get("@force_optin") and "marketing_optin" not in record:
        problems.append(("requires marketing_optin", "root > @force_optin"))
    return problems


def _custom(name: str, value: Any, path: str, declared: frozenset[str] | None, strict: bool) -> list[Problem]:
    if strict and declared is not None and name not in declared:
        return [("unknown field", f"{path} > {name}")]
    if not _is_field_id(name):
        return [("not a valid field", f"{path} > {name}")]
    if type(value) in _SCALARS or (isinstance(value, list) and all(map(_scalar, value))):
        return []
    return [(_INVALID, f"{path} > {name}")]


@functools.lru_cache
def _is_field_id(name: str) -> bool:
    return not name.startswith("@") and not any(map(str.isspace, name))


def check_event(record: dict[str, Any]) -> list[Problem]:
    """Return what is wrong with a custom event (contract/ometria.md, "Custom event")."""
    problems = [
        (_INVALID, f"root > {name}") for name in ("id", "event_type") if not _text(record.get(name)) or not record[name]
    ]
    if not _moment(record.get("timestamp")):
        problems.append((_INVALID, "root > timestamp"))
    if not any(record.get(name) for name in ("identity_email", "identity_account_id", "profile_id")):
        problems.append(("missing required value", "root > identity_email"))
    properties = record.get("properties")
    if not isinstance(properties, dict | None):
        problems.append((_INVALID, "root > properties"))
        return problems
    for name, value in (properties or {}).items():
        if not _is_field_id(name):
            problems.append(("not a valid field", f"root > properties > {name}"))
        elif isinstance(value, str) and len(value) > 512:
            problems.append(("String value is too long", f"root > properties > {name}"))
    return problems
