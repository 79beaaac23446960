"""docs/reference/connections.md: the two connection types, as Airflow's form shows them."""

from __future__ import annotations

from typing import Any

from ometria_provider.provider_info import get_provider_info

from reference import markdown

_INTRO = """\
One connection stands for one account: its id keys the rate budget and what the ledger knows of contacts. Two
connections with the same key would each use the whole rate limit; `ometria-sync doctor` warns. `host`, `schema` and
`port` behave as in Airflow's HTTP provider; without a schema it is https, on this machine http. Numbers in the extra
may be texts, since a connection URI carries nothing else. An extra that nobody reads is warned about in the log."""

#: The form's fields that are no extras, with the name that they have in a connection.
_PLAIN = ("host", "schema", "port", "login", "password")


def page() -> str:
    """Return the page."""
    sections = [_section(kind) for kind in get_provider_info()["connection-types"]]
    return markdown.page("Connections", "plugins/ometria_provider/provider_info.py", _INTRO, *sections)


def _section(kind: dict[str, Any]) -> str:
    behaviour = kind["ui-field-behaviour"]
    labels, hidden = behaviour["relabeling"], behaviour["hidden-fields"]
    rows = [
        (
            markdown.code(name),
            labels[name],
            markdown.code(example) if (example := _placeholder(behaviour, name)) else "",
        )
        for name in _PLAIN
        if name in labels and name not in hidden
    ]
    extras = [
        (markdown.code(name), field["label"], _type(field["schema"]), field["description"])
        for name, field in kind["conn-fields"].items()
    ]
    return "\n\n".join(
        [
            f"## Type `{kind['connection-type']}`",
            markdown.table(("field", "in the form", "example"), rows),
            markdown.table(("extra", "in the form", "type", "what it is"), extras),
        ]
    )


def _placeholder(behaviour: dict[str, Any], name: str) -> str:
    return str(behaviour.get("placeholders", {}).get(name, ""))


def _type(schema: dict[str, Any]) -> str:
    if choices := schema.get("enum"):
        return " or ".join(map(markdown.code, choices))
    return str(next(kind for kind in schema["type"] if kind != "null"))
