"""Write values as YAML in flow style: the words that are put into a file, or shown in a form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as AnyMapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

#: Text that may go without quotes, also between the brackets of flow style.
_PLAIN = re.compile(r"[^\W\d_][\w./()-]*(?: [\w./()-]+)*")


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
    """Say whether a text is itself without quotes; `null`, `true` and their like are not."""
    if not _PLAIN.fullmatch(text):
        return False
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError:
        return False
    return isinstance(node, ScalarNode) and str(node.tag) == "tag:yaml.org,2002:str" and node.value == text


def _quoted(text: str) -> str:
    """Return a text in double quotes: JSON's, with everything escaped that YAML would fold or refuse."""
    return re.sub(r"[^\x20-\x7e]", _escape, json.dumps(text, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    mark = found[0]
    if mark.isprintable():
        return mark
    return f"\\u{ord(mark):04x}" if ord(mark) < 0x10000 else f"\\U{ord(mark):08x}"
