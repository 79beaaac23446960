"""The keys of a kind of file, from its model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, TypeAdapter

from reference import markdown


def rows(
    model: type[BaseModel], words: Mapping[str, str], defaults: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield each key, its default and what it is; those inside a key follow it.

    :param words: of the keys whose model has no description of its own.
    :param defaults: of the keys whose default is not the model's.
    """
    for name, field in model.model_fields.items():
        if name == "name":
            continue
        yield markdown.code(name), defaults.get(name) or _default(field), _text(name, field, words)
        inside = field.annotation if isinstance(field.annotation, type) else type(field.default)
        if issubclass(inside, BaseModel):
            for inner, own in inside.model_fields.items():
                path = f"{name}.{inner}"
                yield markdown.code(path), _default(own), _text(path, own, words)


def _text(path: str, field: Any, words: Mapping[str, str]) -> str:
    text = field.description or words.get(path)
    if not text:
        raise ValueError(f"describe the key {path}")
    return text


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, timedelta):
        return markdown.code(str(TypeAdapter(timedelta).dump_python(value, mode="json")))
    text = json.dumps(value, ensure_ascii=False)
    return markdown.code(text.replace('"', "") if isinstance(value, dict) else text.strip('"') or '""')
