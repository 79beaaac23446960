"""What can be mapped: loyalty fields (contract/antavo.md), built-in remote fields (contract/ometria.md)."""

from __future__ import annotations

from dataclasses import dataclass

from ometria_provider.mapping.catalogue import BOTH, Catalogue, FieldProblem, LoyaltyField, Mode, closest

V2_ONLY: tuple[Mode, ...] = ("v2",)

IDENTITY = ("id", "email", "customer_id")


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
OTHER_NAMES = {"_id": "id", "handler": "nickname", "group_id": "groups", "phone": "mobile_phone"}

_CUSTOMER = Catalogue(
    LOYALTY_FIELDS, others=OTHER_NAMES, open_family="A custom attribute", listed_by="ometria-sync mappings fields"
)


def loyalty_field(name: str) -> LoyaltyField:
    """Look a loyalty field up by the name that a mapping gives it.

    :raises FieldProblem: for a field that Antavo does not have, with a suggestion.
    """
    return _CUSTOMER.find(name)


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
