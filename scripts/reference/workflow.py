"""docs/reference/workflow.md: keys and fields of a workflow file."""

from __future__ import annotations

from collections.abc import Iterator

from ometria_provider.mapping.catalogue import LoyaltyField
from ometria_provider.mapping.fields import LOYALTY_FIELDS
from ometria_provider.mapping.records import RECORD_LIMIT
from ometria_provider.workflows import events, model, payload, records
from ometria_provider.workflows.fields import EVENT_FIELDS, REWARD_FIELDS

from reference import keys, markdown

_INTRO = """\
One YAML file is one workflow: an Antavo event starts an Ometria campaign. Only `trigger` and `action` are required. An
unknown key is an error, never ignored: `ometria-sync workflows check` shows file, line, column and what to write,
`ometria-sync workflows preview NAME` what it makes of real events."""

_KEYS = {
    "connections": "ids of the Airflow connections",
    "connections.antavo": "the connection to Antavo; one DAG delivers for all its workflows",
    "connections.ometria": "the connection to Ometria",
    "trigger": "what starts the workflow",
    "identity": "how Ometria finds the contact; not both null",
    "action": "the custom event that is sent",
}


def page() -> str:
    """Return the page."""
    return markdown.page(
        "Workflow files",
        "plugins/ometria_provider/workflows/",
        _INTRO,
        "## Keys\n\n" + markdown.table(("key", "default", "what it is"), keys.rows(model.Workflow, _KEYS, {})),
        "A row of the payload is `{loyalty: …, remote: …, transform: […]}` or `{value: …, remote: …}`. Its `remote` is "
        "the property that templates show as `{{ event.reward_name }}`, or `{{ event['mm:x'] }}` for a name with a "
        "colon; names hold no spaces. [Operators of `where`](mapping.md#operators-of-where) and "
        "[transforms](mapping.md#transforms) are those of mapping files.",
        "## What is sent\n\n" + "\n".join(f"- {line}" for line in _sent()),
        "## What is not sent, and why\n\n" + markdown.table(("event", "state of its delivery", "reason"), _refusals()),
        "What the ledger knows of the member is asked when the event is delivered. Unless the workflow is "
        "transactional, it skips who opted out by any mapping that joins the two connections, or unsubscribed in "
        "Ometria; with a `contact_mapping` also who departed from it or is outside its `where`, and with null who "
        "departed from one of those mappings and is a member of none. Of an event that was sent before and not "
        "acknowledged, the reason also says that it may have arrived.",
        "## Fields of the event\n\n" + markdown.table(("field", "type", "meaning"), _rows("event", EVENT_FIELDS)),
        "## Fields of the reward\n\nFor these `reward_id` says where the event names its reward.\n\n"
        + markdown.table(("field", "type", "meaning"), _rows("reward", REWARD_FIELDS)),
        "## Fields of the customer\n\nAll [loyalty fields of v2 mappings](mapping.md#loyalty-fields), with `customer.` "
        "in front; a name in angle brackets is one of your account's own. `customer.extensions.*` takes one more "
        "request to Antavo for each event.\n\n"
        + markdown.table(("field", "type", "meaning"), _rows("customer", LOYALTY_FIELDS)),
    )


def _rows(root: str, fields: tuple[LoyaltyField, ...]) -> Iterator[tuple[str, str, str]]:
    for field in fields:
        yield markdown.code(f"{root}.{field.name}"), field.type, field.meaning


def _sent() -> Iterator[str]:
    yield "An empty value is left out; its tag renders blank. Whole numbers go as integers, decimals without noise."
    yield (
        "A date or time goes as ISO 8601 with an offset, a bare day as midnight UTC. With `string` as its last "
        "transform it goes as text."
    )
    yield (
        f"A text holds {payload.LONGEST_TEXT} characters; `long_text` says what becomes of longer ones. An "
        f"`event_type` holds {model.LONGEST_EVENT_TYPE}, the whole custom event {RECORD_LIMIT:,} bytes."
    )
    yield (
        "A list of single values goes as it is, nested values do not. Templates show lists and dates, segments and "
        "triggers cannot use them: `ometria-sync workflows check` warns."
    )
    yield "Texts in several languages are resolved by `language`, else in English, else the first by name."
    yield "The custom event's id follows from workflow and event: sent twice, Ometria stores it once."


def _refusals() -> Iterator[tuple[str, str, str]]:
    minutes = records.CLOCKS.total_seconds() / 60
    yield "does not match `where`", "filtered", "the rule, such as `where: event.points gte 10`"
    yield "before `start`", "filtered", "the start"
    yield "older than `expires_after` when its turn comes", "expired", "the limit"
    yield "names no customer, or one whom Antavo does not know", "skipped", "which of the two"
    yield "names no reward, or one that Antavo does not know, and the workflow reads `reward.*`", "skipped", "the same"
    yield "has no time, or none that can be read", "rejected", "which of the two; a webhook with it is answered 422"
    yield f"lies more than {minutes:g} minutes ahead", "rejected", "`timestamp lies in the future`"
    yield (
        f"has more than {events.MOST_PROPERTIES:,} properties, or is larger than {events.LARGEST_EVENT // 1024} KB",
        "rejected",
        "which of the two; kept without its properties, and a webhook with it is answered 422",
    )
    yield "a value that cannot be converted, a record that is too large, no identity", "rejected", "property and reason"
