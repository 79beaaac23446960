"""docs/reference/mapping.md: keys, operators, transforms and fields of a mapping file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from ometria_provider.mapping import model, transforms
from ometria_provider.mapping.fields import LOYALTY_FIELDS, REMOTE_FIELDS

from reference import keys, markdown

_INTRO = """\
One YAML file is one mapping, one DAG and one Ometria collection. Only `list` and `fields` are required. An unknown key
is an error, never ignored: `ometria-sync mappings check` shows file, line, column and what to write.
[Write a mapping](../how-to/write-a-mapping.md) explains all this by example."""

#: Keys whose model has no description of its own.
_KEYS = {
    "connections": "ids of the Airflow connections",
    "identity": "the loyalty fields that say who a contact is; always sent. Merged key by key over the default",
    "fields": "the rows, each a loyalty field or a constant and its remote field",
    "consent": "how consent is sent",
    "limits": "when a run stops before it sends. Shares are of the members read; null: no limit",
    "connections.antavo": "the connection to Antavo",
    "connections.ometria": "the connection to Ometria",
    "identity.email": "the e-mail address; null leaves it out. Not both this and `customer_id`",
    "identity.customer_id": "the id of the person; null leaves it out",
}

_OPERATORS = {
    "eq": "equal; a bare value means this",
    "ne": "not equal",
    "in": "one of a list",
    "not_in": "none of a list",
    "gt": "greater, later",
    "gte": "greater or equal",
    "lt": "less, earlier",
    "lte": "less or equal",
    "exists": "`true`: has a value; `false`: has none",
}

#: What a transform does, where its function's docstring is not written for users of mapping files.
_NAMED = {
    "date": "The day (UTC) of an ISO 8601 date or time, or of unix seconds: `2024-01-31`. No offset means UTC.",
    "datetime": "The moment as `2024-01-31T10:00:00+00:00`, from ISO 8601 or unix seconds. No offset means UTC.",
    "country": "A country to its ISO 3166-1 alpha-2 code, from the code in any case, the alpha-3 code or the name.",
    "number": "A number from a number or its text; whole numbers of any length stay exact.",
    "string": "The text of a number, boolean or text: `500`, `true`. Ids of any length stay exact.",
    "e164": "A phone number that begins with `+` to E.164. For national numbers write `{e164: GB}`.",
}


def page() -> str:
    """Return the page."""
    return markdown.page(
        "Mapping files",
        "plugins/ometria_provider/mapping/",
        _INTRO,
        "## Keys\n\n"
        + markdown.table(
            ("key", "default", "what it is"), keys.rows(model.Mapping, _KEYS, {"collection": "the file's name"})
        ),
        "## Operators of `where`\n\n" + markdown.table(("operator", "meaning"), _operator_rows()),
        "A missing value matches only `ne`, `not_in` and `exists: false`.",
        "## Transforms\n\nDone in their order. Empty stays empty through every one. A list is converted item by item "
        "(`first` and `join` take the list).\n\n"
        + markdown.table(("transform", "what it does"), sorted(_transform_rows())),
        "## Loyalty fields\n\nA name in angle brackets is one of your account's own.\n\n"
        + markdown.table(("loyalty field", "type", "mode", "meaning"), _loyalty_rows()),
        "`extensions.*` takes one more request to Antavo for each member: see "
        "[details](../how-to/write-a-mapping.md#expiring-points).",
        "## Remote fields\n\nOmetria's built-in fields. Any other name is the ID of a custom field.\n\n"
        + markdown.table(
            ("remote field", "type", "meaning"),
            [(markdown.code(field.name), field.type, field.meaning) for field in REMOTE_FIELDS],
        ),
        "When consent fields travel: [consent](consent.md). Directives (`@merge`, `@add_to_lists` …) are set for you.",
    )


def _operator_rows() -> list[tuple[str, str]]:
    if set(_OPERATORS) != set(model.OPERATORS):
        raise ValueError("describe every operator")
    return [(markdown.code(name), _OPERATORS[name]) for name in model.OPERATORS]


def _transform_rows() -> Iterator[tuple[str, str]]:
    for name in get_args(model.TransformName):
        yield markdown.code(name), _NAMED.get(name) or markdown.summary(transforms._NAMED[name].__doc__)
    yield markdown.code("{e164: GB}"), markdown.summary(model.E164.__doc__)
    yield markdown.code('{join: ", "}'), markdown.summary(transforms.join.__doc__)
    yield markdown.code("{round: 1}"), markdown.summary(transforms.round_half_up.__doc__)
    yield markdown.code("{map: {gold: G, silver: S}}"), markdown.summary(model.MapValues.__doc__)
    yield (
        markdown.code("{map: {gold: G}, default: other}"),
        markdown.summary(model.MapValuesOrDefault.__doc__),
    )


def _loyalty_rows() -> list[tuple[str, str, str, str]]:
    return [
        (markdown.code(field.name), field.type, " and ".join(field.modes), field.meaning) for field in LOYALTY_FIELDS
    ]
