"""Where Antavo's two APIs are, and how requests to them are authorised (contract/antavo.md, "Hosts and signing")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.connection import Extras, root_url

# Antavo's Escher dialect, all five: the library's defaults are another vendor's.
ESCHER_OPTIONS = {
    "algo_prefix": "ANTAVO",
    "vendor_key": "Antavo",
    "hash_algo": "SHA256",
    "auth_header_name": "Authorization",
    "date_header_name": "Date",
}


class QueryKeyAuth(AuthBase):
    """`signing: none`: the key as query parameter `api_key`, as documented for unsigned requests."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the parameter."""
        request.prepare_url(request.url, {"api_key": self._api_key})
        return request


@dataclass(frozen=True)
class AntavoHosts:
    """Where the two APIs are and with which Escher scope requests to them are signed."""

    loyalty_url: str
    loyalty_scope: str | None
    read_url: str
    read_scope: str | None


def derive_hosts(conn_id: str, loyalty_url: str, extras: Extras, *, signed: bool) -> AntavoHosts:
    """Fill in what the extra leaves out, from a host like ``https://api.<stack>.antavo.com``.

    :raises Misconfigured: something is left out and the host does not tell.
    """
    stack = _label(loyalty_url, "api")
    read_url = extras.text("read_api_url") or (stack and f"https://read-api.{stack}.antavo.com")
    scope = extras.text("credential_scope")
    if not read_url:
        raise Misconfigured(_not_derivable(conn_id, "read_api_url"))
    read_url = root_url(conn_id, read_url)
    environment = _label(read_url, "read-api")
    read_scope = extras.text("read_credential_scope") or scope or _scope(environment) or _scope(stack)
    scope = scope or _scope(stack)
    if signed and not (scope and read_scope):
        raise Misconfigured(_not_derivable(conn_id, "credential_scope"))
    return AntavoHosts(loyalty_url, scope, read_url, read_scope)


def _label(url: str, service: str) -> str | None:
    """Give the stack or environment in ``https://<service>.<label>.antavo.com``."""
    match = re.fullmatch(rf"{service}\.([a-z0-9-]+)\.antavo\.com", urlsplit(url).hostname or "")
    return match and match[1]


def _scope(label: str | None) -> str | None:
    return label and f"{label}/api/antavo_request"


def _not_derivable(conn_id: str, extra: str) -> str:
    return (
        f"Connection {conn_id!r}: set the extra {extra}; it can only be left out when the host looks like "
        "https://api.<stack>.antavo.com."
    )
