"""One request, described so that it can be made again and named without anything personal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase


@dataclass(frozen=True)
class Api:
    """One root URL and how requests to it are authorised.

    :param dated: the signature holds the time, so that a request is signed right before it goes.
    """

    name: str
    root: str
    auth: AuthBase
    dated: bool = False


@dataclass(frozen=True)
class Call:
    """One request, as it can be made again.

    :param path: a template below the root, as in ``/contacts/{collection}/{id}``. Errors and logs show the template.
    :param parts: what stands in the template's braces.
    :param query: never with ``+``, ``!`` or ``*`` in a signed value: Antavo's PHP canonicalises them differently.
    :param body: encoded JSON; it is a push when there is one.
    :param check: says what is wrong with the JSON of a 200, None when it is as documented.
    :param picked: decodes of a 200 only what is wanted; an answer of another shape is decoded whole.
    """

    api: Api
    path: str
    bucket: str
    parts: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    check: Callable[[Any], str | None] | None = None
    picked: Callable[[bytes], Any] | None = None

    @property
    def method(self) -> str:
        """GET, or POST when there is a body."""
        return "GET" if self.body is None else "POST"

    def __str__(self) -> str:
        """Name the request without anything personal."""
        return f"{self.method} {urlsplit(self.api.root).path}{self.path} of {self.api.name}"

    def request(self) -> requests.Request:
        """Build the request; it is signed when it is prepared, so each attempt has a fresh date."""
        path = self.path.format(**{k: quote(v, safe="") for k, v in (self.parts or {}).items()})
        query = encode_query(self.query or {}, signed=self.api.dated)
        url = f"{self.api.root}{path}?{query}" if query else f"{self.api.root}{path}"
        headers = {} if self.body is None else {"Content-Type": "application/json"}
        return requests.Request(self.method, url, headers=headers, data=self.body, auth=self.api.auth)


def encode_query(query: Mapping[str, str], *, signed: bool = True) -> str:
    """Encode a query with ``%2C`` and ``%20`` (contract/antavo.md "Traps").

    :param signed: the query is a part of what the signature is about.
    :raises ValueError: a value of a signed query holds ``+``, ``!`` or ``*``.
    """
    if signed and any(set("+!*") & set(value) for value in query.values()):
        raise ValueError("a query value holds +, ! or *, which Antavo canonicalises differently")
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
