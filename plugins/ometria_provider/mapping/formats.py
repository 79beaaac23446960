"""The last step of every field: bringing a value to the form that Ometria takes (contract/ometria.md, "Contact")."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

from ometria_provider.mapping.countries import country_code
from ometria_provider.mapping.fields import remote_type
from ometria_provider.mapping.transforms import Step, boolean, consent, gender
from ometria_provider.mapping.values import Unconvertible, clean_number, date_text, is_empty, plain_text, time_text

#: Characters of the longest contact id that the ledger keeps.
ID_LIMIT = 250

_PHONE = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_PHONE_MARKS = re.compile(r"\(0\)|[\s().\-/\u2010-\u2015\u2060]")


def final_step(remote: str, today: datetime.date) -> Step:
    """Make the step that brings a value to a remote field's format; custom fields take scalars and lists of them.

    :param today: the day in UTC; a birthday after it is refused.
    """
    kind = remote_type(remote)
    if remote == "id":
        return Step("", _single(contact_id))
    if kind == "birthday":
        return Step("", _single(lambda value: birthday(value, today)))
    return Step("", _FORMATS[kind] if kind else custom)


def passes_text(remote: str) -> bool:
    """Say whether every text is fine for a remote field as it is."""
    return remote != "id" and remote_type(remote) in (None, "text")


def _single(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if isinstance(value, list):
            raise Unconvertible("is a list: add the transform `first` or `join`")
        if isinstance(value, dict):
            raise Unconvertible("is an object: map one of its members")
        return convert(value)

    return apply


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold.

    :raises Unconvertible: for half a surrogate pair, which no JSON request can carry.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unconvertible("holds broken Unicode") from None
    return text


def text(value: Any) -> str:
    """Bring a scalar to text; ids of any length stay exact."""
    return encodable(plain_text(value))


def custom(value: Any) -> Any:
    """Bring a value to what a custom field takes: a text, number, boolean, or a list of these without empty items."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, (int, float)):
        return value if isinstance(value, bool) else clean_number(value)
    if isinstance(value, list):
        items = [item for item in value if not is_empty(item)]
        if any(isinstance(item, (list, dict)) for item in items):
            raise Unconvertible("is a list of lists or objects: only single values can be sent")
        return [custom(item) for item in items]
    raise Unconvertible("is an object: map one of its members")


def contact_id(value: Any) -> str:
    """Bring a scalar to a contact id.

    :raises Unconvertible: when it is longer than the ledger keeps (the contract names no limit of Ometria's).
    """
    found = text(value)
    if len(found) > ID_LIMIT:
        raise Unconvertible(f"is longer than {ID_LIMIT} characters")
    return found


def texts(value: Any) -> list[str]:
    """Bring a value to a list of text; a single value becomes a list of one."""
    items = value if isinstance(value, list) else [value]
    return [text(item) for item in items if not is_empty(item)]


def phone(value: Any) -> str:
    """Bring a phone number that begins with ``+`` to E.164: spaces and marks are taken out, nothing is guessed."""
    number = value.strip() if isinstance(value, str) else ""
    if _PHONE.fullmatch(number):
        return number
    if not number.startswith("+"):
        raise Unconvertible("is not an international phone number: it does not begin with + (see the transform e164)")
    bare = _PHONE_MARKS.sub("", number)
    if not _PHONE.fullmatch(bare):
        raise Unconvertible("is not a phone number")
    return bare


def birthday(value: Any, today: datetime.date) -> str:
    """Bring a date to ``YYYY-MM-DD``.

    :raises Unconvertible: when it is no date, or lies in the future.
    """
    day = date_text(value)
    if day > today.isoformat():
        raise Unconvertible("lies in the future")
    return day


_FORMATS: dict[str, Callable[[Any], Any]] = {
    "text": _single(text),
    "texts": texts,
    "phone": _single(phone),
    "gender": _single(gender),
    "country": _single(country_code),
    "time": _single(time_text),
    "consent": _single(consent),
    "yes or no": _single(boolean),
}
