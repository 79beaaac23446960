"""Checking Escher signatures with Antavo's options (contract/antavo.md, "Hosts and signing").

Written from the scheme's description, apart from the library that signs on the other side, so that the two check
each other. ``+``, ``!`` and ``*`` in query values are encoded as PHP does: a caller that sends them is refused here
as it would be there.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from ometria_provider.sandbox.wire import parse_query

SKEW = 300  # seconds that the caller's clock may be off
_PREFIX, _ALGORITHM = "ANTAVO", "ANTAVO-HMAC-SHA256"
_HEADER = re.compile(
    r"^(?P<algorithm>\S+) Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<scope>[^,]+), ?"
    r"SignedHeaders=(?P<signed>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})$"
)


class Refused(Exception):
    """The signature does not hold. ``status`` is 401 when it cannot be read or the key is unknown, else 403."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Mapping[str, str],
    scope: str,
    now: datetime.datetime,
) -> str:
    """Return the API key that signed a request.

    :param target: path and query as they came over the wire.
    :param secrets: API key → secret.
    :param scope: the credential scope that must have been signed for.
    :raises Refused: the signature is missing or wrong, or its date is more than 300 s off.
    """
    match = _HEADER.match(headers.get("Authorization", ""))
    if match is None or match["algorithm"] != _ALGORITHM:
        raise Refused(401, "Escher signature is missing or malformed")
    if match["key"] not in secrets:
        raise Refused(401, "Invalid Escher key")
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        raise Refused(401, "The date header is missing") from None
    signed = match["signed"].lower().split(";")
    if not {"date", "host"} <= set(signed):
        raise Refused(403, "The date and host headers must be signed")
    if abs((now - date).total_seconds()) > SKEW or f"{date:%Y%m%d}" != match["day"]:
        raise Refused(403, "The request date is not within the accepted time range")
    if match["scope"] != scope:
        raise Refused(403, "The credential scope is invalid")
    canonical = _canonical(method, target, headers, signed, body)
    text = "\n".join((_ALGORITHM, f"{date:%Y%m%dT%H%M%SZ}", f"{date:%Y%m%d}/{scope}", _sha256(canonical.encode())))
    if not hmac.compare_digest(_signature(secrets[match["key"]], f"{date:%Y%m%d}/{scope}", text), match["signature"]):
        raise Refused(403, "The signatures do not match")
    return match["key"]


def _canonical(method: str, target: str, headers: Mapping[str, str], signed: list[str], body: bytes) -> str:
    path, _, query = target.partition("?")
    pairs = sorted(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in parse_query(query).items())
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in sorted(signed)]
    return "\n".join([method, path, "&".join(pairs), *lines, "", ";".join(sorted(signed)), _sha256(body)])


def _signature(secret: str, scope: str, text: str) -> str:
    key = (_PREFIX + secret).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
