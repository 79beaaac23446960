"""Write values as YAML in flow style: the words that are put into a file, or shown in a form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as AnyMapping
from typing import Any

#: Text that may go without quotes, also between the brackets of flow style.
_PLAIN = re.compile(r"[^\W\d_][\w./()-]*(?: [\w./()-]+)*")

#: Texts that mean something else without quotes.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def flow(value: Any) -> str:
    """Return a plain value as YAML on one line."""
    if isinstance(value, AnyMapping):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    """Say whether a text is itself without quotes, for readers of either version of YAML."""
    return bool(_PLAIN.fullmatch(text)) and text.lower() not in _WORDS


def _quoted(text: str) -> str:
    """Return a text in double quotes: JSON's, with everything escaped that YAML would fold or refuse."""
    return re.sub(r"[^\x20-\x7e]", _escape, json.dumps(text, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    mark = found[0]
    if mark.isprintable():
        return mark
    return f"\\u{ord(mark):04x}" if ord(mark) < 0x10000 else f"\\U{ord(mark):08x}"
