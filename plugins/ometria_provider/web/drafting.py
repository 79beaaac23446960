"""Mapping files as the page of mappings asks for them: which file, in which state, with which draft."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from fastapi import HTTPException
from pydantic import BaseModel, Field, model_validator

from ometria_provider.mapping.drafts import Checked, Draft, RowDraft, check_draft
from ometria_provider.mapping.editing import KEYS, ROWS
from ometria_provider.mapping.flow import flow
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.saving import ChangedMeanwhile, digest_of
from ometria_provider.settings import read_settings

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")
_Text = Annotated[str, Field(max_length=10_000)]

#: Letters of a whole draft, some thousand rows: YAML takes seconds for more, also of those who may only look.
_LARGEST = 100_000

_START = """\
# yaml-language-server: $schema=mapping.schema.json
list: {list}
fields:
  - {{loyalty: email, remote: email, transform: [strip, lower]}}
  - {{loyalty: first_name, remote: firstname, transform: [strip]}}
  - {{loyalty: last_name, remote: lastname, transform: [strip]}}
"""


class RowBody(BaseModel):
    """A row as the form sends it."""

    origin: int | None = None
    constant: bool = False
    loyalty: _Text = ""
    value: _Text = ""
    transform: _Text = ""
    remote: _Text = ""


class DraftBody(BaseModel):
    """What the form says, and of which state of the file.

    :param digest: of the file as it was loaded; None: there was none.
    :param start: of a new file, the list that it began with.
    """

    digest: str | None = None
    start: int = Field(1, ge=1)
    keys: dict[str, _Text] = Field(default_factory=dict)
    rows: Annotated[list[RowBody], Field(max_length=1000)] | None = None

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        texts = [*self.keys, *self.keys.values()]
        for row in self.rows or ():
            texts += [row.loyalty, row.value, row.transform, row.remote]
        if sum(map(len, texts)) > _LARGEST:
            raise ValueError(f"a form holds no more than {_LARGEST:,} letters: change the file in an editor of text")
        return self

    def draft(self) -> Draft:
        """Return the draft."""
        rows = None if self.rows is None else [RowDraft(**row.model_dump()) for row in self.rows]
        return Draft(self.keys, rows)


class LoadedDraftBody(DraftBody):
    """A draft with the file that it was made of.

    :param loaded: that file's text, comments and all.
    """

    loaded: Annotated[str, Field(max_length=2 * _LARGEST)]


@dataclass(frozen=True)
class Opened:
    """A mapping file, or what a new one begins with.

    :param digest: None: there is no such file yet.
    """

    path: Path
    text: str
    digest: str | None


def mapping_path(name: str) -> Path:
    """Return where a mapping's file is, or would be.

    :raises HTTPException: when no file can have this name.
    """
    if not _NAME.fullmatch(name):
        raise HTTPException(404, "There is no such mapping: a name consists of letters, digits, `_`, `-` and `.`.")
    return read_settings().mappings_folder / f"{name}.yaml"


def open_file(name: str, new_list: int | None) -> Opened:
    """Return a mapping file's text as it is now.

    :param new_list: what a file that does not exist yet would synchronise with.
    :raises HTTPException: when there is no such file and none is to be made, or when it is no UTF-8.
    """
    path = mapping_path(name)
    if not path.is_file():
        if new_list is None:
            raise HTTPException(404, f"There is no mapping {name} in {path.parent}.")
        return Opened(path, _START.format(list=new_list), None)
    raw = path.read_bytes()
    try:
        return Opened(path, raw.decode(), digest_of(raw))
    except UnicodeDecodeError:
        raise HTTPException(409, f"{path.name} is not UTF-8 text: save it with that encoding first.") from None


def check(name: str, body: DraftBody) -> tuple[Opened, Checked]:
    """Check a draft against the file that it was made of.

    :raises ChangedMeanwhile: when the file is another one by now.
    """
    opened = open_file(name, body.start if body.digest is None else None)
    if opened.digest != body.digest:
        raise ChangedMeanwhile(
            f"{opened.path.name} was changed meanwhile: nothing was saved. Download your text, load the page anew, and "
            "make the change there."
        )
    return opened, check_draft(opened.path, opened.text, body.draft())


def text_of(name: str, body: LoadedDraftBody) -> str:
    """Return a draft's text over the file as it was loaded; the file as it is now has no part in it.

    :raises HTTPException: when the draft cannot be put into that text.
    """
    checked = check_draft(mapping_path(name), body.loaded, body.draft())
    if checked.text is None:
        raise HTTPException(422, f"There is no file to download: {checked.findings[0].message}.")
    return checked.text


def answer(checked: Checked) -> dict[str, Any]:
    """Return a checked draft as JSON."""
    return {
        "text": checked.text,
        "difference": checked.difference,
        "problems": [asdict(finding) for finding in checked.findings],
        "mode": checked.mapping.mode if checked.mapping else None,
    }


@dataclass(frozen=True)
class KeyInput:
    """A key as the form shows it.

    :param choices: the values that it can have; empty: any.
    :param default: what applies without it.
    :param wide: its value has keys of its own.
    """

    key: str
    text: str
    help: str
    default: str
    choices: tuple[str, ...]
    wide: bool


def key_inputs(texts: dict[str, str], name: str) -> dict[str, KeyInput]:
    """Return an input for each key that a mapping file can have, but for its rows."""
    defaults = Mapping.from_data(name, {"list": 1, "fields": []}).model_dump(mode="json")
    found = {}
    for key in (key for key in KEYS if key != ROWS):
        info = Mapping.model_fields[key]
        kind = info.annotation
        choices = tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()
        default = defaults[key]
        shown = "" if default is None or key == "list" else default if isinstance(default, str) else flow(default)
        nested = isinstance(kind, type) and issubclass(kind, BaseModel)
        told = info.description or (kind.__doc__ or "").partition("\n")[0] if nested else info.description
        found[key] = KeyInput(key, texts.get(key, ""), told or "", shown, choices, nested or key == "where")
    return found
