"""What a mapping file says (files.md), as frozen pydantic models.

``mapping.schema.json`` is generated from here. Whether the fields that a file names exist is asked in
:mod:`ometria_provider.mapping.checks`, which can point at line and column.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as AnyMapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from ometria_provider.mapping.fields import CONSENT, IDENTITY

RECORD_VERSION = 1
"""Raise it when the same file and customer give another record than before: nobody keeps an old one then."""

DEFAULT_WHERE: dict[str, Any] = {"status": {"in": ["active", "inactive"]}}

_CONFIG = ConfigDict(strict=True, extra="forbid", frozen=True)

Text = Annotated[str, StringConstraints(min_length=1)]
Scalar = str | bool | int | float
Share = Annotated[float, Field(ge=0, le=1)] | None
TransformName = Literal[
    "strip",
    "lower",
    "upper",
    "title",
    "date",
    "datetime",
    "e164",
    "country",
    "gender",
    "bool",
    "integer",
    "number",
    "string",
    "consent",
    "first",
]


class Strict(BaseModel):
    """Base of the models here: no unknown keys, no conversions, no changes."""

    model_config = _CONFIG


class E164(Strict):
    """A phone number to E.164; national numbers belong to this region."""

    e164: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")] = Field(
        description="ISO 3166-1 alpha-2 code of the region that national numbers belong to"
    )


class Join(Strict):
    """A list to one text."""

    join: str = Field(description="what goes between the items")


class Round(Strict):
    """A number to so many decimals, halves away from zero."""

    round: int = Field(ge=0, le=15, description="decimals to keep")


class MapValues(Strict):
    """Values to other values; one that is not listed rejects the customer."""

    map: dict[str, Scalar | None] = Field(min_length=1, description="value, by its text → what to send instead")


class MapValuesOrDefault(MapValues):
    """Values to other values; ``default`` for one that is not listed, null for none."""

    default: Scalar | None


def _transform_tag(value: Any) -> str:
    """Tell the variants apart; tags wear angle brackets so that error paths can leave them out."""
    has = value.__contains__ if isinstance(value, dict) else lambda option: hasattr(value, option)
    if not isinstance(value, (dict, Strict)):
        return "<name>"
    for option in ("e164", "join", "round"):
        if has(option):
            return f"<{option}>"
    if has("map"):
        return "<map-default>" if has("default") else "<map>"
    return "<name>"


Transform = Annotated[
    Annotated[TransformName, Tag("<name>")]
    | Annotated[E164, Tag("<e164>")]
    | Annotated[Join, Tag("<join>")]
    | Annotated[Round, Tag("<round>")]
    | Annotated[MapValues, Tag("<map>")]
    | Annotated[MapValuesOrDefault, Tag("<map-default>")],
    Discriminator(_transform_tag),
]


class LoyaltyRow(Strict):
    """A loyalty field on its way to a remote field."""

    loyalty: Text = Field(description="the loyalty field, such as `first_name` or `properties.newsletter`")
    remote: Text = Field(description="the Ometria field or custom field ID")
    transform: tuple[Transform, ...] = Field(default=(), description="what happens to the value, in this order")


class ConstantRow(Strict):
    """A constant for a remote field."""

    value: Scalar = Field(description="the same value every time")
    remote: Text = Field(description="the Ometria field or custom field ID")


def row_tag(value: Any) -> str:
    """Tell the two kinds of row apart."""
    constant = "value" in value and "loyalty" not in value if isinstance(value, dict) else hasattr(value, "value")
    return "<constant>" if constant else "<loyalty>"


Row = Annotated[
    Annotated[LoyaltyRow, Tag("<loyalty>")] | Annotated[ConstantRow, Tag("<constant>")],
    Discriminator(row_tag),
]

_Operand = str | bool | int | float
_Ordered = str | int | float
Rule = TypedDict(
    "Rule",
    {
        "eq": _Operand,
        "ne": _Operand,
        "in": list[_Operand],
        "not_in": list[_Operand],
        "gt": _Ordered,
        "gte": _Ordered,
        "lt": _Ordered,
        "lte": _Ordered,
        "exists": bool,
    },
    total=False,
)
Rule.__pydantic_config__ = _CONFIG  # type: ignore[attr-defined] # how pydantic configures a TypedDict
OPERATORS = tuple(Rule.__annotations__)


def _bare_means_eq(value: Any) -> Any:
    return {"eq": value} if isinstance(value, (str, bool, int, float)) else value


Where = dict[str, Annotated[Rule, BeforeValidator(_bare_means_eq, json_schema_input_type=Rule | Scalar)]]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*$")]


def _over_default(value: Any) -> Any:
    return {**DEFAULT_WHERE, **value} if isinstance(value, dict) else value


class Connections(Strict):
    """Ids of the Airflow connections."""

    antavo: Text = "antavo_default"
    ometria: Text = "ometria_default"


class Identity(Strict):
    """The loyalty fields that say who a contact is; always sent."""

    id: Text = Field("id", description="unique in the collection, no personal data in it")
    email: Text | None = "email"
    customer_id: Text | None = "id"


class Consent(Strict):
    """How consent is sent.

    See files.md, and contract/ometria.md, "Consent".
    """

    force_opt_out: bool = Field(False, description="true: an opt-out beats every other source (`@force_optin`)")


class Limits(Strict):
    """When a run stops before it sends; null = no limit. Shares are of the members read."""

    max_rejected_share: Share = Field(0.01, description="new rejections")
    max_outstanding_share: Share = Field(0.1, description="all rejections not yet resolved")
    max_changed_share: Share = Field(None, description="records that changed")
    max_cleared_share: Share = Field(0.2, description="members who would lose a value, for any one field")
    max_departed_share: Share = Field(0.05, description="members who left, or are missing for the first time")
    max_drop_share: Share = Field(0.3, description="fewer members read than in the last complete scan")
    min_count: int = Field(20, ge=0, description="a share counts only from so many members on")


#: The keys that decide a record, beside the rows.
_DECISIVE = {"mode", "collection", "list", "where", "language", "on_empty", "consent"}


class SentRow(Strict):
    """A remote field that records carry, with where its value comes from: a loyalty field or a constant."""

    remote: str
    loyalty: str | None = None
    value: Scalar | None = None
    transform: tuple[Transform, ...] = ()


class Mapping(Strict):
    """One mapping file, all defaults filled in. Make it with ``files.load_mapping`` or :meth:`from_data`."""

    name: str
    description: str = Field("", description="what it is for, in a sentence")
    schedule: str | None = Field(None, description="cron expression or preset; null: only by hand")
    timezone: str = Field("UTC", description="of the schedule")
    mode: Literal["legacy", "v2"] = Field(
        "legacy", description="legacy: flat records; v2: custom fields in `properties`"
    )
    connections: Connections = Connections()
    list: int = Field(ge=1, description="id of the Ometria list to synchronise with")
    collection: Annotated[str, StringConstraints(pattern=r"^[^\s/@]+$")] = Field(
        description="Ometria @collection, default the file's name; one mapping owns it"
    )
    identity: Identity = Identity()  # type: ignore[call-arg] # the plugin misreads positional defaults
    where: Annotated[Where, BeforeValidator(_over_default, json_schema_input_type=dict[str, Rule | Scalar])] = Field(
        DEFAULT_WHERE, description="who is synchronised; merged over the default, field by field"
    )
    fields: tuple[Row, ...]
    language: Language = Field("en", description="of language maps: this one, else en, else the first by name")
    on_empty: Literal["clear", "keep"] = Field("clear", description="what becomes of a field whose value went away")
    departed: Literal["remove_from_list", "ignore", "opt_out"] = Field(
        "remove_from_list",
        description="what becomes of members who left: taken off the list, left alone, or opted out and taken off",
    )
    consent: Consent = Consent()  # type: ignore[call-arg] # as above
    strategy: Literal["full", "incremental"] = Field("full", description="read everybody, or only those who changed")
    full_every: timedelta = Field(
        timedelta(days=7), description="incremental: how often everybody is read all the same"
    )
    details_max_age: timedelta = Field(timedelta(days=7), description="how old a customer's expiring points may be")
    retry_rejected: timedelta | None = Field(
        timedelta(days=1), description="when to try a remembered rejection again; null: only when it changes"
    )
    verify: Literal["suspects", "sample", "full", "off"] = Field(
        "suspects",
        description="what is read back after a push: records that a late error may be about; 20 at random as well; "
        "all that was sent; nothing",
    )
    limits: Limits = Limits()  # type: ignore[call-arg] # as above
    approve: Literal["above_limits", "changed_mapping", "always", "never"] = Field(
        "above_limits",
        description="when a run waits at its gate for a person, in Airflow: when a limit is broken; also when the "
        "mapping changed; whenever something is to be sent; never: a broken limit halts the run",
    )
    approve_within: timedelta = Field(
        timedelta(hours=12), description="how long it waits, at most P2D; then it is halted"
    )

    @classmethod
    def from_data(cls, name: str, data: AnyMapping[str, Any]) -> Mapping:
        """Make a mapping from a file's plain data; ``name`` is the file's name without ``.yaml``.

        :raises pydantic.ValidationError: when the data is not of the model's form.
        """
        return cls.model_validate_json(json.dumps({"name": name, "collection": name, **data}))

    @cached_property
    def rows(self) -> tuple[SentRow, ...]:
        """Every remote field sent: identity first, then the others by name.

        The order does not depend on that of the file, so moving rows about changes no record.
        """
        sent = {
            remote: SentRow(remote=remote, loyalty=loyalty)
            for remote in IDENTITY
            if (loyalty := getattr(self.identity, remote)) is not None
        }
        for row in self.fields:
            if isinstance(row, ConstantRow):
                sent[row.remote] = SentRow(remote=row.remote, value=row.value)
            else:
                sent[row.remote] = SentRow(remote=row.remote, loyalty=row.loyalty, transform=row.transform)
        first = [sent.pop(remote) for remote in IDENTITY if remote in sent]
        return (*first, *(sent[remote] for remote in sorted(sent)))

    @property
    def remotes(self) -> tuple[str, ...]:
        """Names of the remote fields that the mapping fills, identity included, ordered as :attr:`rows`."""
        return tuple(row.remote for row in self.rows)

    @property
    def consent_remotes(self) -> tuple[str, ...]:
        """The consent fields among them; most mappings have none."""
        return tuple(remote for remote in self.remotes if remote in CONSENT)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes over all that decides a record, and over nothing else (not schedule, limits or texts)."""
        parts = self.model_dump(mode="json", include=_DECISIVE)
        parts["rows"] = [row.model_dump(mode="json") for row in self.rows]
        text = json.dumps([RECORD_VERSION, parts], sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()
