"""What a workflow can read: ``event.*``, ``customer.*`` and ``reward.*`` (contract/antavo.md, "Events and rewards")."""

from __future__ import annotations

from ometria_provider.mapping.catalogue import Catalogue, FieldProblem, LoyaltyField, split_path
from ometria_provider.mapping.fields import LOYALTY_FIELDS, OTHER_NAMES
from ometria_provider.workflows.model import CUSTOMER, EVENT, REWARD

EVENT_FIELDS: tuple[LoyaltyField, ...] = (
    LoyaltyField("id", "text", "the event's id in Antavo"),
    LoyaltyField("action", "text", "what happened: Antavo's action id, such as `reward`"),
    LoyaltyField("label", "text", "the action's name, for people"),
    LoyaltyField("points", "number", "the points of the event"),
    LoyaltyField("timestamp", "time", "when it happened"),
    LoyaltyField("expdate", "time", "when its points expire"),
    LoyaltyField("properties.<property>", "any", "a property of the event, such as `event.properties.reward`"),
)

REWARD_FIELDS: tuple[LoyaltyField, ...] = (
    LoyaltyField("id", "text", "the reward's id"),
    LoyaltyField("name", "text", "its name, in the workflow's language"),
    LoyaltyField("category", "text", "its category"),
    LoyaltyField("price", "number", "the points that it takes"),
    LoyaltyField("description", "text", "its description, in the workflow's language"),
    LoyaltyField("image_url", "text", "address of its picture"),
)

_LISTED = "ometria-sync workflows fields"

CATALOGUES: dict[str, Catalogue] = {
    EVENT: Catalogue(
        EVENT_FIELDS,
        prefix="event.",
        others={"type": "action", "date": "timestamp", "time": "timestamp"},
        open_family="A property of the event",
        listed_by=_LISTED,
    ),
    CUSTOMER: Catalogue(
        LOYALTY_FIELDS, prefix="customer.", others=OTHER_NAMES, open_family="A custom attribute", listed_by=_LISTED
    ),
    REWARD: Catalogue(
        REWARD_FIELDS, prefix="reward.", others={"title": "name", "points": "price"}, open_family="", listed_by=_LISTED
    ),
}


def workflow_field(name: str) -> LoyaltyField:
    """Look a field up by the name that a workflow gives it: ``customer.email``.

    :raises FieldProblem: for a field that there is not, with a suggestion.
    """
    segments = split_path(name)
    root, _, rest = name.partition(".")
    if root in CATALOGUES and rest:
        return CATALOGUES[root].find(rest)
    if root in CATALOGUES:
        example = CATALOGUES[root].fields[0].name
        raise FieldProblem(f"`{name}` is not one field, but all of them", f"write one such as `{root}.{example}`")
    raise FieldProblem(
        f"unknown field `{name}`: fields begin with `event.`, `customer.` or `reward.`", _suggest(segments)
    )


def _suggest(segments: tuple[str, ...]) -> str:
    """Name the field that a name without its first part may mean."""
    bare = ".".join(segments)
    for root in (CUSTOMER, EVENT, REWARD):
        try:
            CATALOGUES[root].find(bare)
        except FieldProblem:
            continue
        return f"did you mean `{root}.{bare}`?"
    near = Catalogue(
        [LoyaltyField(root, "any", "") for root in CATALOGUES], others={}, open_family="", listed_by=_LISTED
    )
    try:
        near.find(segments[0])
    except FieldProblem as problem:
        if problem.hint.startswith("did you mean"):
            return f"did you mean `{'.'.join((problem.hint.split('`')[1], *segments[1:]))}`?"
    return f"write one such as `{CUSTOMER}.{bare}`, or look at `{_LISTED}`"
