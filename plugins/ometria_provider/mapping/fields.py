"""What can be mapped: loyalty fields (contract/antavo.md), built-in remote fields (contract/ometria.md)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Mode = Literal["legacy", "v2"]
FieldType = Literal["text", "number", "date", "time", "list", "any"]

BOTH: tuple[Mode, ...] = ("legacy", "v2")
V2_ONLY: tuple[Mode, ...] = ("v2",)

IDENTITY = ("id", "email", "customer_id")


class FieldProblem(ValueError):
    """A field that a mapping may not name. The text says why; ``hint`` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class LoyaltyField:
    """A loyalty field, or a family of them: segments in angle brackets stand for a name of the account's own.

    :param type: ``time`` is ISO 8601 UTC text, ``date`` is YYYY-MM-DD, ``any`` is whatever Antavo holds.
    """

    name: str
    type: FieldType
    meaning: str
    modes: tuple[Mode, ...] = BOTH


@dataclass(frozen=True, slots=True)
class RemoteField:
    """A built-in field of an Ometria contact, sent on top of the record in both modes."""

    name: str
    type: str
    meaning: str


def _balance(prefix: str, of: str, modes: tuple[Mode, ...]) -> list[LoyaltyField]:
    return [
        LoyaltyField(f"{prefix}spent", "number", f"points spent {of}", modes),
        LoyaltyField(f"{prefix}pending", "number", f"points pending {of}", modes),
        LoyaltyField(f"{prefix}reserved", "number", f"points reserved {of}", modes),
        LoyaltyField(f"{prefix}expired", "number", f"points expired {of}", modes),
        LoyaltyField(f"{prefix}spendable", "number", f"points left {of}: earned - spent - reserved - expired", modes),
    ]


LOYALTY_FIELDS: tuple[LoyaltyField, ...] = (
    LoyaltyField("id", "text", "the customer's id in Antavo"),
    LoyaltyField("first_name", "text", "first name"),
    LoyaltyField("last_name", "text", "last name"),
    LoyaltyField("nickname", "text", "nickname (`handler` in the Read API)"),
    LoyaltyField("email", "text", "e-mail address"),
    LoyaltyField("mobile_phone", "text", "mobile phone, as it was entered"),
    LoyaltyField("birth_date", "date", "date of birth"),
    LoyaltyField("gender", "text", "`male` or `female`"),
    LoyaltyField("language", "text", "the customer's language"),
    LoyaltyField("country", "text", "country, ISO 3166-1 alpha-2"),
    LoyaltyField("currency", "text", "the customer's currency"),
    LoyaltyField("image_url", "text", "address of a picture"),
    LoyaltyField("status", "text", "active, inactive, banned, merged, suspended or pending"),
    LoyaltyField("membership_id", "list", "membership ids"),
    LoyaltyField("external_ids.<field>", "text", "the customer's id in another system"),
    LoyaltyField("groups", "list", "ids of the customer's groups"),
    LoyaltyField("score", "number", "points earned, all in all"),
    *_balance("", "in all", BOTH),
    LoyaltyField("created_at", "time", "when the customer was created"),
    LoyaltyField("updated_at", "time", "when the customer changed last"),
    LoyaltyField("optin_at", "time", "when the customer joined the programme"),
    LoyaltyField("optout_at", "time", "when the customer left the programme"),
    LoyaltyField("last_login_at", "time", "last login"),
    LoyaltyField("purchase_total", "number", "sum of all purchases"),
    LoyaltyField("purchase_count", "number", "number of purchases"),
    LoyaltyField("purchase_last_date", "time", "last purchase"),
    LoyaltyField("properties.<attribute>", "any", "a custom attribute"),
    LoyaltyField("tiers.<structure>.id", "text", "id of the tier the customer is in", V2_ONLY),
    LoyaltyField("tiers.<structure>.name", "text", "name of the tier the customer is in", V2_ONLY),
    LoyaltyField("tiers.<structure>.since", "time", "in this tier since", V2_ONLY),
    LoyaltyField("tiers.<structure>.expdate", "time", "when this tier expires", V2_ONLY),
    LoyaltyField("tiers.<structure>.threshold", "number", "points that this tier takes", V2_ONLY),
    LoyaltyField("tiers.<structure>.points", "number", "points counted for this tier structure", V2_ONLY),
    LoyaltyField("tiers.<structure>.points_after_expiration", "number", "points left when this tier expires", V2_ONLY),
    LoyaltyField("tiers.<structure>.next.id", "text", "id of the next tier; empty at the top", V2_ONLY),
    LoyaltyField("tiers.<structure>.next.name", "text", "name of the next tier; empty at the top", V2_ONLY),
    LoyaltyField("tiers.<structure>.next.points", "number", "points that it takes; empty at the top", V2_ONLY),
    LoyaltyField("accounts.<account>.name", "text", "name of a point account", V2_ONLY),
    LoyaltyField("accounts.<account>.type", "text", "type of a point account", V2_ONLY),
    LoyaltyField("accounts.<account>.earned", "number", "points earned on this account", V2_ONLY),
    *_balance("accounts.<account>.", "on this account", V2_ONLY),
    LoyaltyField(
        "extensions.expiring_points.total", "number", "points that will expire; one more request each", V2_ONLY
    ),
    LoyaltyField(
        "extensions.expiring_points.<member>", "any", "whatever else stands there: `history.0.date`, …", V2_ONLY
    ),
)

REMOTE_FIELDS: tuple[RemoteField, ...] = (
    RemoteField("id", "text", "the contact's id, unique in its collection; always sent"),
    RemoteField("email", "text", "e-mail address"),
    RemoteField("customer_id", "text", "id of the person, shared by all their contacts"),
    RemoteField("phone_number", "phone", "E.164: `+447700900123`"),
    RemoteField("prefix", "text", "form of address"),
    RemoteField("firstname", "text", "first name"),
    RemoteField("middlename", "text", "middle name"),
    RemoteField("lastname", "text", "last name"),
    RemoteField("gender", "gender", "`m`, `f` or `o`"),
    RemoteField("date_of_birth", "birthday", "YYYY-MM-DD, not in the future"),
    RemoteField("country_id", "country", "ISO 3166-1 alpha-2"),
    RemoteField("timezone", "text", "time zone"),
    RemoteField("timestamp_acquired", "time", "when the contact was won; ISO 8601 with offset"),
    RemoteField("store_ids", "texts", "ids of stores, an array of text"),
    RemoteField("marketing_optin", "consent", "`EXPLICITLY_OPTEDIN`, `EXPLICITLY_OPTEDOUT` or `NOT_SPECIFIED`"),
    RemoteField("timestamp_subscribed", "time", "when the member opted in; ISO 8601 with offset"),
    RemoteField("timestamp_unsubscribed", "time", "when the member opted out; ISO 8601 with offset"),
    RemoteField("channels.sms.allow_marketing", "yes or no", "may marketing go by SMS"),
    RemoteField("channels.sms.allow_transactional", "yes or no", "may messages about orders go by SMS"),
    RemoteField("extra_identifiers.<name>", "text", "an identifier set up for the account"),
)

#: The consent group: it travels only when it changed, and never as null.
CONSENT = (
    "marketing_optin",
    "timestamp_subscribed",
    "timestamp_unsubscribed",
    "channels.sms.allow_marketing",
    "channels.sms.allow_transactional",
)

_REMOTES = {field.name: field for field in REMOTE_FIELDS}
_EXTRA = "extra_identifiers."
_ROOTS = {field.name.split(".")[0] for field in LOYALTY_FIELDS}
_PLAIN = {field.name: field for field in LOYALTY_FIELDS if "<" not in field.name}
_PATTERNS = [(tuple(field.name.split(".")), field) for field in LOYALTY_FIELDS if "<" in field.name]
_OTHER_NAMES = {"_id": "id", "handler": "nickname", "group_id": "groups", "phone": "mobile_phone"}
_SEGMENT = re.compile(r'\.([^.\[\]"]+)|\["((?:[^"\\]|\\.)+)"\]')


def split_path(name: str) -> tuple[str, ...]:
    """Split a loyalty field into its segments: ``properties["a.b"]`` gives ``("properties", "a.b")``.

    :raises FieldProblem: when the text is not of that form.
    """
    text, position, segments = f".{name}", 0, []
    while position < len(text):
        found = _SEGMENT.match(text, position)
        if found is None or (found[1] is not None and found[1] != found[1].strip()):
            raise FieldProblem(
                f"`{name}` is not a loyalty field's name",
                'separate with dots; a part that holds a dot is written properties["a.b"]',
            )
        segments.append(found[1] if found[1] is not None else re.sub(r"\\(.)", r"\1", found[2]))
        position = found.end()
    if not segments:
        raise FieldProblem("the loyalty field is empty", "name one, such as `first_name`")
    return tuple(segments)


def closest(word: str, candidates: Iterable[str]) -> str:
    """Return ``did you mean `…`?`` with the nearest candidate, or an empty text when none is near."""
    near = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


def loyalty_field(name: str) -> LoyaltyField:
    """Look a loyalty field up by the name that a mapping gives it.

    :raises FieldProblem: for a field that Antavo does not have, with a suggestion.
    """
    segments = split_path(name)
    if name in _PLAIN:
        return _PLAIN[name]
    for pattern, field in _PATTERNS:
        if _matches(pattern, segments, is_open=field.type == "any"):
            return field
    raise FieldProblem(f"unknown loyalty field `{name}`", _suggest(name, segments))


def _matches(pattern: tuple[str, ...], segments: tuple[str, ...], *, is_open: bool) -> bool:
    if is_open:  # it may be an object: its members are reached with more dots
        return segments[: len(pattern) - 1] == pattern[:-1] and len(segments) >= len(pattern)
    return len(pattern) == len(segments) and all(
        want == have or want.startswith("<") for want, have in zip(pattern, segments, strict=True)
    )


def _suggest(name: str, segments: tuple[str, ...]) -> str:
    root, rest = segments[0], segments[1:]
    if name in _OTHER_NAMES:
        return f"write `{_OTHER_NAMES[name]}`"
    if family := [pattern for pattern, _ in _PATTERNS if pattern[0] == root]:
        return _suggest_member(root, rest, family) if rest else f"write `{'.'.join(family[0])}`"
    if near := closest(name, _PLAIN):
        return f"{near} A custom attribute is written `properties.{name}`"
    if rest and (close := difflib.get_close_matches(root, _ROOTS, n=1)):
        return f"did you mean `{'.'.join((close[0], *rest))}`?"
    return f"a custom attribute is written `properties.{name}`; `ometria-sync mappings fields` lists all"


def _suggest_member(root: str, rest: tuple[str, ...], family: list[tuple[str, ...]]) -> str:
    if root not in ("tiers", "accounts"):
        return f"write `{'.'.join(family[0])}`"
    tails = sorted(".".join(pattern[2:]) for pattern in family)
    if close := difflib.get_close_matches(".".join(rest[1:]), tails, n=1):
        return f"did you mean `{root}.{rest[0]}.{close[0]}`?"
    return f"after the id comes one of {', '.join(f'`{tail}`' for tail in tails)}"


def check_loyalty(name: str, mode: str) -> LoyaltyField:
    """Look a loyalty field up and see to it that this mode may map it.

    :raises FieldProblem: as :func:`loyalty_field`, and for a v2-only field in legacy mode.
    """
    field = loyalty_field(name)
    if mode in BOTH and mode not in field.modes:
        raise FieldProblem(f"`{name}` cannot be used in {mode} mode", "write `mode: v2`, or remove it")
    return field


def remote_type(remote: str) -> str | None:
    """Return the type of a built-in remote field, or None for a custom field ID."""
    if remote.startswith(_EXTRA):
        return "text"
    field = _REMOTES.get(remote)
    return field.type if field else None


def check_remote(remote: str) -> None:
    """See to it that a name may be a remote field.

    :raises FieldProblem: for directives, names with spaces, and containers.
    """
    if remote.startswith("@"):
        raise FieldProblem(f"`{remote}` is a directive, not a field", "remove the row: they are set for you")
    if not remote.strip():
        raise FieldProblem("the remote field is empty", "write the ID that Ometria's settings show")
    if any(mark.isspace() or not mark.isprintable() for mark in remote):
        hint = f"write `{'_'.join(remote.split())}`, or the ID that Ometria's settings show"
        raise FieldProblem(f"`{remote}` is not a field ID: it has no spaces", hint)
    if remote.partition(".")[0] == "channels" and remote not in CONSENT:
        channels = [name for name in CONSENT if name.startswith("channels.")]
        hint = closest(remote, channels) or f"write one of {', '.join(f'`{name}`' for name in channels)}"
        raise FieldProblem(f"`{remote}` is no field of a contact", hint)
    if remote == "properties" or remote.startswith("properties."):
        tail = remote.partition(".")[2]
        raise FieldProblem(
            "`properties` is no remote field: v2 mode puts custom fields there by itself",
            f"write `{tail}`" if tail else "write the custom field's ID alone",
        )
    if remote in ("extra_identifiers", _EXTRA):
        raise FieldProblem("an extra identifier needs its name", "write `extra_identifiers.<name>`")
