"""What an answer means: pure functions from a response (or its absence) to what the hook does next.

``STATUS_TABLE`` is the one place where a status code is given a consequence.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import json
import re
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import msgspec
import requests
from requests import exceptions
from urllib3.exceptions import HTTPError, NameResolutionError

REASON_LENGTH = 200


class Action(Enum):
    """What the hook does with an answer."""

    DONE = "hand the answer to the caller"
    AGAIN = "send the same request again, backed off"
    THROTTLED = "the same, and let nobody on this account go before that"
    DENIED = "stop: the key or its signature is refused"
    ABSENT = "nothing is stored under this id"
    REFUSED = "the server refuses what the request carries"
    BROKEN = "stop: a person must mend the connection"


# first status, last status, action, what it means. The first row that holds the status decides; contract/ometria.md
# and contract/antavo.md "errors", design.md "Which errors split a batch".
STATUS_TABLE: tuple[tuple[int, int, Action, str], ...] = (
    (200, 200, Action.DONE, "answered"),
    (201, 299, Action.AGAIN, "not the 200 that acknowledges a request"),
    (300, 399, Action.BROKEN, "a redirect; the host, schema or base path of the connection is not the API's own"),
    (400, 400, Action.REFUSED, "refused as invalid"),
    (401, 401, Action.DENIED, "not authorised"),
    (403, 403, Action.DENIED, "not authorised"),
    (404, 404, Action.ABSENT, "not found"),
    (408, 408, Action.AGAIN, "the server waited too long for the request"),
    (413, 413, Action.REFUSED, "too large"),
    (422, 422, Action.REFUSED, "refused as invalid"),
    (429, 429, Action.THROTTLED, "over the account's rate limit"),
    (500, 599, Action.AGAIN, "a fault of the server"),
)
_UNKNOWN_STATUS = (Action.BROKEN, "a status that the API does not document")

# The transport's errors, most specific first. An error that is not listed stops the work.
FAILURE_TABLE: tuple[tuple[type[Exception], Action, str], ...] = (
    (exceptions.SSLError, Action.AGAIN, "the TLS handshake with {host} failed; check schema and port"),
    (exceptions.ProxyError, Action.AGAIN, "the proxy before {host} could not be used"),
    (exceptions.ConnectTimeout, Action.AGAIN, "{host} did not accept the connection in time; check host and firewall"),
    (exceptions.Timeout, Action.AGAIN, "{host} did not answer in time"),
    (exceptions.ConnectionError, Action.AGAIN, "no connection to {host}, or it was cut; check host and port"),
    (exceptions.ChunkedEncodingError, Action.AGAIN, "the answer of {host} broke off"),
    (exceptions.ContentDecodingError, Action.AGAIN, "the answer of {host} could not be unpacked"),
    (exceptions.RequestException, Action.BROKEN, "the request to {host} could not be made"),
    (HTTPError, Action.AGAIN, "the answer of {host} broke off"),
    (OSError, Action.BROKEN, "the request to {host} could not be made; check the machine's CA bundle and proxies"),
)
_CERTIFICATE = (
    Action.BROKEN,
    "the TLS certificate of {host} is not trusted; check the host name and the machine's CA bundle",
)
_NO_HOST = (Action.AGAIN, "the host name {host} could not be resolved (DNS); check the host")


@dataclass(frozen=True)
class Verdict:
    """One attempt and what follows from it.

    :param status: HTTP status, None when no answer came.
    :param reason: a short scrubbed text: the server's words where it gave any.
    :param code: the error code in Antavo's error object, None without one.
    :param data: the decoded JSON, None when the body is not JSON.
    :param retry_after: seconds that the server asked us to wait.
    :param skew: seconds by which this machine's clock is ahead of the server's, None when the answer names no time.
    """

    action: Action
    status: int | None = None
    reason: str = ""
    code: int | str | None = None
    data: Any = None
    retry_after: float | None = None
    skew: float | None = None

    @property
    def again(self) -> bool:
        """Whether sending the same request again makes sense."""
        return self.action in (Action.AGAIN, Action.THROTTLED)

    def describe(self) -> str:
        """Say status and reason, as in ``403 (API key is not authorised)``."""
        if self.status is None:
            return self.reason
        return f"{self.status} ({self.reason})" if self.reason else str(self.status)


def judge_status(status: int) -> tuple[Action, str]:
    """Look a status up; an undocumented one stops the work."""
    for first, last, action, meaning in STATUS_TABLE:
        if first <= status <= last:
            return action, meaning
    return _UNKNOWN_STATUS


def judge_failure(error: BaseException, host: str) -> Verdict:
    """Say what a transport error means. Its own text is never used: it holds the URL, and so the key.

    :param host: name and port of the server, for people.
    """
    chain = tuple(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain):
        action, reason = _CERTIFICATE
    elif any(isinstance(cause, NameResolutionError) for cause in chain):
        action, reason = _NO_HOST
    else:
        action, reason = next(
            ((action, text) for kind, action, text in FAILURE_TABLE if isinstance(error, kind)),
            (Action.BROKEN, f"an unknown fault of the transport ({type(error).__name__})"),
        )
    return Verdict(action, reason=reason.format(host=host))


def judge_response(
    response: requests.Response, *, unspeakable: Iterable[str] = (), picked: Callable[[bytes], Any] | None = None
) -> Verdict:
    """Say what an answer means.

    A 200 whose body is not JSON (a proxy's HTML page, a truncated body) acknowledges nothing. Antavo's ``resendable``
    is honoured in both directions, except where the key is refused or the limit hit (contract/antavo.md).

    :param unspeakable: texts to remove from the reason; not looked at when all is well.
    :param picked: decodes only what is wanted of a 200, `error` included; raises for an answer of another shape.
    """
    action, meaning = judge_status(response.status_code)
    data, kind = _decode(response.content, picked if action is Action.DONE else None)
    error = _error_object(data)
    code, resendable = error.get("code"), error.get("resendable")
    if action is Action.DONE and kind != "JSON":
        action, meaning = Action.AGAIN, f"{kind} instead of JSON"
    elif action is Action.DONE and isinstance(data, dict) and isinstance(data.get("error"), dict):
        action, meaning = Action.AGAIN, "an error in a 200 answer"
    elif action is Action.ABSENT and kind == "an HTML page":
        action, meaning = Action.BROKEN, "an HTML page; the host or base path of the connection is not the API's own"
    if resendable is True and action in (Action.REFUSED, Action.ABSENT, Action.BROKEN):
        action = Action.AGAIN
    elif resendable is False and action is Action.AGAIN:
        action, meaning = Action.BROKEN, "an error that sending again does not mend"
    words = "" if action is Action.DONE else _words(error, data, response.content, kind)
    reason = scrub(words, unspeakable) if words else meaning
    return Verdict(
        action,
        status=response.status_code,
        reason=f"{code}: {reason}" if isinstance(code, int) else reason,
        code=code if isinstance(code, int | str) else None,
        data=data,
        retry_after=parse_retry_after(response.headers.get("Retry-After")),
        skew=_skew(response.headers.get("Date")),
    )


def parse_retry_after(header: str | None, now: datetime.datetime | None = None) -> float | None:
    """Read ``Retry-After``: seconds, or an HTTP date. None when it is missing or unreadable."""
    if header is None:
        return None
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", header):
        return float(header)
    moment = _http_date(header)
    if moment is None:
        return None
    return max(0.0, (moment - (now or datetime.datetime.now(datetime.UTC))).total_seconds())


_E_MAIL = re.compile(r"[^\s<>\"'(),;:=]+@[^\s<>\"'(),;:]+")
_QUOTED = re.compile(
    r"\"[^\"]*(?:\"|$)|(?<!\w)'.*?(?:'(?!\w)|$)|`[^`]*(?:`|$)|“[^”]*(?:”|$)|‘[^’]*(?:’|$)|«[^»]*(?:»|$)"
)
_DIGITS = re.compile(r"\+?\d(?:[ ().:/-]{0,2}\d){4,}")


def scrub(text: str, values: Iterable[str] = ()) -> str:
    """Take personal data out of a server's words and cut them to 200 characters.

    :param values: texts that must not appear: the keys, the values of the records that were sent. Those of one or two
        characters are left, since they would tear every word apart and tell nothing.
    """
    lowered = text.lower()
    for value in sorted({v for v in values if len(v) > 2 and v.lower() in lowered}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", text, flags=re.IGNORECASE)
    for pattern, instead in ((_E_MAIL, "<e-mail>"), (_QUOTED, "'…'"), (_DIGITS, "…")):
        text = pattern.sub(instead, text)
    text = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())
    return text if len(text) <= REASON_LENGTH else text[: REASON_LENGTH - 1] + "…"


def without_addresses(text: str) -> str:
    """Take e-mail addresses out of a text that is otherwise about structure: some systems name fields by them."""
    return _E_MAIL.sub("<e-mail>", text)


def leaf_texts(data: Any) -> Iterator[str]:
    """Give every scalar of a JSON value as text, directives (``@type``…) left out."""
    if isinstance(data, dict):
        for key, value in data.items():
            if not str(key).startswith("@"):
                yield from leaf_texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from leaf_texts(value)
    elif data is not None and not isinstance(data, bool):
        yield str(data)


def _decode(body: bytes, picked: Callable[[bytes], Any] | None) -> tuple[Any, str]:
    if not body.strip():
        return None, "an empty body"
    if picked:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            return picked(body), "JSON"
    try:
        return msgspec.json.decode(body), "JSON"
    except (msgspec.DecodeError, UnicodeDecodeError):
        if body.lstrip()[:1] == b"<":
            return None, "an HTML page"
    try:
        # A text that is no Unicode (half a surrogate pair, a stray byte) is one member's fault, not the page's.
        return json.loads(body.decode("utf-8", "surrogateescape"), parse_constant=_no_number), "JSON"
    except ValueError:
        return None, "something else"


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _error_object(data: Any) -> dict[str, Any]:
    """Find the error in ``{"error": {…}}``, in the bare inner object, or in ``{"error": "…"}``."""
    if not isinstance(data, dict):
        return {}
    error = data.get("error")
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else data


def _words(error: dict[str, Any], data: Any, body: bytes, kind: str) -> str:
    for name in ("message", "error_message", "detail", "description"):
        if isinstance(error.get(name), str):
            return str(error[name])
    if isinstance(data, str):
        return data
    return body.decode("utf-8", "replace")[: 10 * REASON_LENGTH] if kind == "something else" else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk an exception, its causes, and what urllib3 wraps in ``reason`` and ``args``."""
    todo, met = [error], set[int]()
    while todo:
        cause = todo.pop()
        if id(cause) in met:
            continue
        met.add(id(cause))
        yield cause
        links = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        todo += [link for link in links if isinstance(link, BaseException)]


@lru_cache(16)  # the answers of a second name the same one, and reading it takes longer than reading their JSON
def _http_date(text: str) -> datetime.datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _skew(date: str | None) -> float | None:
    moment = _http_date(date) if date else None
    return None if moment is None else (datetime.datetime.now(datetime.UTC) - moment).total_seconds()
