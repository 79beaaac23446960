"""Who may send webhooks: Basic credentials or signed tokens, as the connection says (contract/antavo.md).

Nothing here repeats what a request or the connection holds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import get_default_algorithms

from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.connection import Extras
from ometria_provider.web import CONNECTION

#: Extras of that connection.
KNOWN_EXTRAS = ("jwt_algorithm", "jwt_key", "jwt_max_lifetime", "antavo_connection")

#: How tokens may be signed; the first is the default.
ALGORITHMS = ("HS256", "RS256")

#: Seconds from now on that a token may be valid for at most, if the connection says nothing else: one that leaked is
#: of no use after that.
MAX_LIFETIME = 86_400

#: Seconds that the sender's clock may be ahead of ours. A token that has expired gets none of them.
SKEW = 60


class Connection(Protocol):
    """As much of an Airflow connection as is read here."""

    login: str | None
    password: str | None
    extra: str | None


class Denied(Exception):
    """The request does not come from whom the connection names; the text says why, and holds nothing of it."""


class Expired(Denied):
    """The sender signed the token, and it is too old: which event it is about can be believed, no more."""


@dataclass(frozen=True)
class Token:
    """A token that was found good and can be told from others by its `jti`.

    :param digest: of the `jti`.
    :param expires: unix seconds.
    """

    digest: str
    expires: int


@dataclass(frozen=True)
class _Basic:
    digest: bytes = field(repr=False)

    def check(self, value: str) -> None:
        try:
            given = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        # Digests have one length, so that the time taken says nothing about how much of it was right.
        if not hmac.compare_digest(hashlib.sha256(given).digest(), self.digest):
            raise Denied("login or password is wrong")


@dataclass(frozen=True)
class _Signed:
    algorithm: str
    key: Any = field(repr=False)
    max_lifetime: int

    def check(self, value: str) -> Token | None:
        claims = self._claims(value.strip())
        now, expires = time.time(), int(claims["exp"])
        if expires <= now:
            raise Expired("the token has expired")
        if expires > now + self.max_lifetime:
            raise Denied(
                f"the token is valid for more than {self.max_lifetime} seconds; let it expire sooner, or raise the "
                f"extra jwt_max_lifetime of {CONNECTION}"
            )
        name = claims.get("jti")
        return Token(hashlib.sha256(name.encode()).hexdigest(), expires) if name else None

    def _claims(self, value: str) -> dict[str, Any]:
        # The algorithm is ours to say, never the token's; whom it is for and since when it counts differs by sender.
        options: Any = {"require": ["exp"], "verify_aud": False, "verify_iat": False}
        try:
            return jwt.decode(value, self.key, algorithms=[self.algorithm], options=options, leeway=SKEW)
        except jwt.MissingRequiredClaimError:
            raise Denied("the token never expires: it needs the claim exp") from None
        except jwt.ExpiredSignatureError:  # looked at once the signature was found good
            raise Expired("the token has expired") from None
        except jwt.InvalidAlgorithmError:
            raise Denied(f"the token is not signed with {self.algorithm}") from None
        except jwt.InvalidSignatureError:
            raise Denied("the token's signature is wrong") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise Denied(f"the token cannot be accepted ({type(error).__name__})") from None


@dataclass(frozen=True)
class Credentials:
    """What the receiver's connection asks for.

    :param account: the Antavo connection whose events arrive.
    :param warnings: what a person should know about the connection, without a value of it.
    """

    account: str
    basic: _Basic | None
    signed: _Signed | None
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, connection: Connection) -> Credentials:
        """Read the connection.

        :raises Misconfigured: it would let nobody in, or everybody.
        """
        extras = Extras.parse(CONNECTION, connection.extra)
        basic = _basic(connection)
        key = extras.text("jwt_key")
        if key is None and extras.text("jwt_algorithm"):
            raise Misconfigured(f"Connection {CONNECTION!r}: the extra 'jwt_key' is missing; jwt_algorithm needs it.")
        if basic is None and key is None:
            raise Misconfigured(
                f"Connection {CONNECTION!r} has neither login and password nor the extra 'jwt_key', so nobody may send "
                "webhooks; set one of them."
            )
        warnings = [f"nobody reads the extra {name}" for name in extras.unknown(KNOWN_EXTRAS)]
        algorithm = (extras.text("jwt_algorithm") or ALGORITHMS[0]).upper()
        if algorithm not in ALGORITHMS:
            raise extras.wrong("jwt_algorithm", " or ".join(ALGORITHMS))
        signed = None
        if key is not None:
            prepared, weak = _prepared(algorithm, key)
            warnings += [f"its extra 'jwt_key' is weak: {weak}"] if weak else []
            signed = _Signed(algorithm, prepared, extras.integer("jwt_max_lifetime", MAX_LIFETIME))
        return cls(extras.text("antavo_connection") or "antavo_default", basic, signed, tuple(warnings))

    def check(self, authorization: str | None) -> Token | None:
        """Let a request pass by its `Authorization` header; return its token when that is good for one event only.

        :raises Expired: when it is the sender's, and too old.
        :raises Denied: in any other case, saying why.
        """
        scheme, _, value = (authorization or "").strip().partition(" ")
        match scheme.lower():
            case "":
                raise Denied(f"there is no Authorization header; send {self.accepted}")
            case "basic" if self.basic:
                self.basic.check(value)
                return None
            case "bearer" if self.signed:
                return self.signed.check(value)
        raise Denied(f"this way of authorization is not set up; send {self.accepted}")

    @property
    def accepted(self) -> str:
        """Name what is accepted."""
        basic = "Basic login and password" if self.basic else None
        signed = f"a Bearer token signed with {self.signed.algorithm}" if self.signed else None
        return " or ".join(filter(None, [basic, signed]))

    @property
    def challenge(self) -> str:
        """Return the `WWW-Authenticate` header of a refusal."""
        ways = ['Basic realm="ometria", charset="UTF-8"' if self.basic else None, "Bearer" if self.signed else None]
        return ", ".join(filter(None, ways))


def _basic(connection: Connection) -> _Basic | None:
    login, password = connection.login or "", connection.password or ""
    if bool(login) != bool(password):
        missing = "password" if login else "login"
        raise Misconfigured(f"Connection {CONNECTION!r}: the {missing} is missing; Basic needs login and password.")
    if ":" in login:
        raise Misconfigured(f"Connection {CONNECTION!r}: Basic allows no colon in the login; choose another.")
    return _Basic(hashlib.sha256(f"{login}:{password}".encode()).digest()) if login else None


def _prepared(algorithm: str, key: str) -> tuple[Any, str | None]:
    """Return the key as the library wants it, and what is weak about it."""
    handler = get_default_algorithms()[algorithm]
    try:
        prepared = handler.prepare_key(key)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        wanted = "a text that both sides know" if algorithm == "HS256" else "the sender's public key in PEM form"
        raise Misconfigured(
            f"Connection {CONNECTION!r}: the extra 'jwt_key' must be {wanted} with {algorithm} "
            f"({type(error).__name__})."
        ) from None
    if algorithm == "RS256" and not isinstance(prepared, RSAPublicKey):
        raise Misconfigured(
            f"Connection {CONNECTION!r}: the extra 'jwt_key' holds a private key. Put the public key there, and keep "
            "the private one with the sender alone."
        )
    return prepared, handler.check_key_length(prepared)
