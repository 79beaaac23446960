"""Read an Airflow connection strictly: typed extras, the root URL, keys that can be keys."""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ometria_provider.exceptions import Misconfigured


@dataclass(frozen=True)
class Extras:
    """The extra of a connection, read by name and type.

    Numbers may be texts (a connection URI carries nothing else); null and ``""`` count as left out, since the
    connection form leaves them behind.
    """

    conn_id: str
    values: dict[str, Any]

    @classmethod
    def parse(cls, conn_id: str, extra: str | None) -> Extras:
        """Parse the JSON text of the extra.

        :raises Misconfigured: it is not a JSON object.
        """
        try:
            values = json.loads(extra) if extra and extra.strip() else {}
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise Misconfigured(f"Connection {conn_id!r}: the extra is not a JSON object; write it as {{}}.")
        return cls(conn_id, values)

    def number(self, name: str, default: float, *, zero: bool = False) -> float:
        """Give a finite number above 0 (from 0 on with ``zero``)."""
        value = self.values.get(name)
        if value in (None, ""):
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
            raise self.wrong(name, "a number from 0 on" if zero else "a number above 0")
        return number

    def integer(self, name: str, default: int) -> int:
        """Give a whole number above 0."""
        number = self.number(name, default)
        if number != int(number):
            raise self.wrong(name, "a whole number above 0")
        return int(number)

    def text(self, name: str) -> str | None:
        """Give a text without surrounding blanks, None when it is left out."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "a text")
        return (value or "").strip() or None

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Give one of the choices; the first is the default."""
        value = self.text(name) or choices[0]
        if value.lower() not in choices:
            raise self.wrong(name, " or ".join(choices))
        return value.lower()

    def unknown(self, known: tuple[str, ...]) -> list[str]:
        """Say which extras nobody reads, with the name that was probably meant."""
        texts = []
        for name in sorted(set(self.values) - set(known)):
            near = difflib.get_close_matches(name, known, n=1)
            texts.append(f"{name} (did you mean {near[0]}?)" if near else name)
        return texts

    def wrong(self, name: str, expected: str) -> Misconfigured:
        """Make the error about one extra; its value is not repeated."""
        return Misconfigured(f"Connection {self.conn_id!r}: the extra {name!r} must be {expected}; change it.")


def root_url(conn_id: str, host: str | None, schema: str | None = None, port: int | None = None) -> str:
    """Join host, schema and port to the root of an API, without a slash at the end.

    As in the HTTP provider the host may hold the schema, the port and a base path. Without a schema it is https,
    on a loopback host http.

    :raises Misconfigured: no host, or one that is no http(s) URL.
    """
    host = (host or "").strip()
    if not host:
        raise Misconfigured(f"Connection {conn_id!r}: the host is missing; set it to the root URL of the API.")
    if "://" not in host:
        bare = f"[{host}]" if _is_ipv6(host) else host
        name = urlsplit(f"//{bare}").hostname or ""
        host = f"{schema or ('http' if is_loopback(name) else 'https')}://{bare}"
    try:
        parts = urlsplit(host)
        own_port, hostname = parts.port, parts.hostname
    except ValueError:
        raise Misconfigured(f"Connection {conn_id!r}: the host is not a URL; write https://host.") from None
    if parts.scheme not in ("http", "https") or not hostname or parts.query or parts.fragment:
        raise Misconfigured(f"Connection {conn_id!r}: the host must be an http or https URL without a query.")
    if "@" in parts.netloc:
        raise Misconfigured(f"Connection {conn_id!r}: keys belong in login and password, not in the host.")
    if own_port and port and own_port != port:
        raise Misconfigured(
            f"Connection {conn_id!r}: the host names port {own_port}, the port is {port}; leave one out."
        )
    netloc = parts.netloc if own_port or not port else f"{parts.netloc.rstrip(':')}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def versioned(root: str, version: str) -> str:
    """Add the API's version to its root, once."""
    return root if root.endswith(f"/{version}") else f"{root}/{version}"


def is_loopback(name: str) -> bool:
    """Whether a host name means this machine."""
    name = name.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def clean_key(conn_id: str, field: str, value: str | None) -> str:
    """Give a key without surrounding blanks (they come with copy and paste).

    :param field: where it stands, as people see it: ``API key (password)``.
    :raises Misconfigured: it is missing, or holds characters that cannot stand in a header.
    """
    key = (value or "").strip()
    if not key:
        raise Misconfigured(f"Connection {conn_id!r}: the {field} is missing.")
    if not re.fullmatch(r"[!-~]+", key):
        raise Misconfigured(
            f"Connection {conn_id!r}: the {field} holds blanks or letters that no key has; copy it again."
        )
    return key


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
