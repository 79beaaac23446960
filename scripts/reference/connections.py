"""docs/reference/connections.md: the two connection types, as Airflow's form shows them, and the receiver's."""

from __future__ import annotations

from typing import Any

from ometria_provider.provider_info import get_provider_info
from ometria_provider.web import ANTAVO, CONNECTION, WEBHOOKS
from ometria_provider.web.credentials import ALGORITHMS, KNOWN_EXTRAS, MAX_LIFETIME, SKEW

from reference import markdown

_INTRO = """\
One connection stands for one account: its id keys the rate budget and what the ledger knows of contacts. Two
connections with the same key would each use the whole rate limit; `ometria-sync doctor` warns. `host`, `schema` and
`port` behave as in Airflow's HTTP provider; without a schema it is https, on this machine http. Numbers in the extra
may be texts, since a connection URI carries nothing else. An extra that nobody reads is warned about in the log."""

_RECEIVER = f"""\
## Connection `{CONNECTION}`, type `http`

Who may post to `{WEBHOOKS}{ANTAVO}` in Airflow's API server; without it nothing is served there
([how to](../how-to/receive-webhooks.md)). Only these are read; `host` may stay empty. A change counts within seconds.

| field | what it is |
| --- | --- |
| `login`, `password` | of Basic authentication; both or none |"""

_RECEIVER_EXTRAS = {
    "jwt_algorithm": f"{' or '.join(map(markdown.code, ALGORITHMS))}. Left empty: {ALGORITHMS[0]}.",
    "jwt_key": "HS256: the shared secret, best 32 characters or more; RS256: the sender's public key as PEM. A Bearer "
    f"token then passes too. It must expire (`exp`), and gets no grace; `nbf` may lie {SKEW} seconds ahead. With `jti` "
    "it is good for one event.",
    "jwt_max_lifetime": "How many seconds ahead `exp` may lie at most, so that a token that leaked is of no use after "
    f"that. Left empty: {MAX_LIFETIME}.",
    "antavo_connection": "The Antavo connection whose events arrive. Left empty: antavo_default.",
}

#: The form's fields that are no extras, with the name that they have in a connection.
_PLAIN = ("host", "schema", "port", "login", "password")


def page() -> str:
    """Return the page.

    :raises ValueError: when an extra of the receiver is not described.
    """
    sections = [_section(kind) for kind in get_provider_info()["connection-types"]]
    return markdown.page("Connections", "plugins/ometria_provider/provider_info.py", _INTRO, *sections, _receiver())


def _receiver() -> str:
    if _RECEIVER_EXTRAS.keys() != set(KNOWN_EXTRAS):
        raise ValueError(f"describe the extras {sorted(_RECEIVER_EXTRAS.keys() ^ set(KNOWN_EXTRAS))}")
    rows = [(markdown.code(name), meaning) for name, meaning in _RECEIVER_EXTRAS.items()]
    return f"{_RECEIVER}\n\n" + markdown.table(("extra", "what it is"), rows)


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
