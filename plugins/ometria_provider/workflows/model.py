"""What a workflow file says (files.md), as frozen pydantic models.

``workflow.schema.json`` is generated from here. Whether the fields that a file names exist is asked in
:mod:`ometria_provider.workflows.checks`, which can point at line and column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as AnyMapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Discriminator, Field, Tag

from ometria_provider.mapping.model import (
    Connections,
    ConstantRow,
    Language,
    LoyaltyRow,
    Strict,
    Text,
    Where,
    row_tag,
)
from ometria_provider.mapping.values import Unconvertible, parse_time

EVENT, CUSTOMER, REWARD = "event", "customer", "reward"

LONGEST_EVENT_TYPE = 32
"""Characters: longer ones were truncated (contract/ometria.md, "Custom event")."""

IDENTITY = ("identity_email", "identity_account_id")


class PayloadRow(LoyaltyRow):
    """A loyalty field on its way to a property of the custom event."""

    loyalty: Text = Field(description="`event.…`, `customer.…` or `reward.…`, such as `reward.name`")
    remote: Text = Field(description="the property of the custom event: templates say {{ event.<this> }}")


class PayloadConstant(ConstantRow):
    """A constant for a property of the custom event."""

    remote: Text = Field(description="the property of the custom event: templates say {{ event.<this> }}")


Payload = Annotated[
    Annotated[PayloadRow, Tag("<loyalty>")] | Annotated[PayloadConstant, Tag("<constant>")],
    Discriminator(row_tag),
]


class Trigger(Strict):
    """What starts the workflow."""

    event: Text = Field(description="Antavo's action id, such as `reward`")


class Identity(Strict):
    """How Ometria finds the contact; at least one of the two."""

    identity_email: Text | None = Field(
        "customer.email", description="the e-mail address, sent as the contact mapping sends it; null leaves it out"
    )
    identity_account_id: Text | None = Field("customer.id", description="the customer_id, likewise; null leaves it out")


class Action(Strict):
    """The custom event that is sent."""

    event_type: Annotated[str, Field(min_length=1, max_length=LONGEST_EVENT_TYPE)] = Field(
        description="the event type as Ometria set it up; case matters"
    )
    payload: tuple[Payload, ...] = Field(
        (), description="the rows, each a loyalty field or a constant and its property; an empty one is left out"
    )


def _moment(value: Any) -> Any:
    """Read a date or a time; what is none stays as it is, for pydantic to refuse."""
    if isinstance(value, str) and value != "now":
        try:
            return parse_time(value)
        except Unconvertible:
            return value
    return value


Start = Annotated[
    Literal["now"] | AwareDatetime,
    BeforeValidator(_moment, json_schema_input_type=Literal["now"] | str),
]


class Workflow(Strict):
    """One workflow file, all defaults filled in. Make it with ``files.load_workflow`` or :meth:`from_data`."""

    name: str
    description: str = Field("", description="what it is for, in a sentence")
    connections: Connections = Connections()
    trigger: Trigger
    where: Where = Field({}, description="which of these events; the default is all")
    identity: Identity = Identity()  # type: ignore[call-arg] # the plugin misreads positional defaults
    action: Action
    reward_id: Text | None = Field(
        None, description="where the event names its reward: `reward.*` fields need it; often `event.properties.reward`"
    )
    contact_mapping: Text | None = Field(
        None, description="the mapping that pushes the contact first when Ometria lacks it; null: nobody does"
    )
    expires_after: timedelta = Field(
        timedelta(hours=24), description="older events are recorded as expired, not mailed"
    )
    start: Start = Field(
        "now",
        description="now: the first collection that saw file and trigger; or a date or time (UTC). Events before it "
        "are not mailed",
    )
    language: Language = Field("en", description="of language maps: this one, else en, else the first by name")
    long_text: Literal["cut", "reject"] = Field(
        "cut", description="what becomes of a text over 512 characters: cut at a word, with an ellipsis, or not sent"
    )
    transactional: bool = Field(False, description="true: also to members who opted out of marketing")

    @classmethod
    def from_data(cls, name: str, data: AnyMapping[str, Any]) -> Workflow:
        """Make a workflow from a file's plain data; ``name`` is the file's name without ``.yaml``.

        :raises pydantic.ValidationError: when the data is not of the model's form.
        """
        return cls.model_validate_json(json.dumps({"name": name, **data}))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Every field that the workflow reads, once each: ``where``, identity, the reward's id, the payload."""
        identity = [self.identity.identity_email, self.identity.identity_account_id]
        rows = [row.loyalty for row in self.action.payload if isinstance(row, PayloadRow)]
        named = [*self.where, *identity, self.reward_id, *rows]
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def reads_customer(self) -> tuple[str, ...]:
        """The ``customer.*`` fields among them, as mappings name them: without ``customer.``."""
        return self._below(CUSTOMER)

    @property
    def reads_reward(self) -> bool:
        """Whether the reward must be asked for."""
        return bool(self._below(REWARD))

    def _below(self, root: str) -> tuple[str, ...]:
        return tuple(name[len(root) + 1 :] for name in self.reads if name.startswith(f"{root}."))

    @property
    def starts_at(self) -> datetime | None:
        """The moment from which on events are mailed; None: the first collection, which the ledger knows."""
        return None if self.start == "now" else self.start
