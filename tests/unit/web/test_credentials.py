"""Who may send webhooks."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import time
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from ometria_provider.exceptions import Misconfigured
from ometria_provider.web.credentials import Credentials, Denied
from receiver import LOGIN, PASSWORD, SECRET, token

_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = _KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = (
    _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)
BOTH = {"jwt_algorithm": "HS256", "jwt_key": SECRET}
RSA = {"jwt_algorithm": "RS256", "jwt_key": PUBLIC}


def credentials(*, login: str | None = LOGIN, password: str | None = PASSWORD, **extra: Any) -> Credentials:
    return Credentials.read(SimpleNamespace(login=login, password=password, extra=json.dumps(extra)))


def signed(**extra: Any) -> Credentials:
    return credentials(login=None, password=None, **extra)


def basic(login: str = LOGIN, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_basic_right_login_and_password_passes():
    assert credentials().check(basic()) is None
    assert credentials(password="pässwörd").check(basic(password="pässwörd")) is None


@pytest.mark.parametrize(
    "header",
    [
        basic(password="other"),
        basic(login="other"),
        basic(password=PASSWORD + "x"),
        basic(password=PASSWORD[:-1]),
        basic(login="", password=""),
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(LOGIN.encode()).decode(),
        "Digest x",
        "",
        None,
        f"Bearer {token()}",
    ],
)
def test_basic_anything_else_is_denied_without_repeating_it(header):
    with pytest.raises(Denied) as denied:
        credentials().check(header)
    for secret in (LOGIN, PASSWORD, SECRET):
        assert secret not in str(denied.value)


@pytest.mark.parametrize("header", [basic(), basic(password="other"), f"Bearer {token()}"])
def test_secrets_are_compared_in_constant_time_and_by_digests_of_one_length(header, monkeypatch):
    asked: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def compare_and_note(given: bytes, right: bytes) -> bool:
        asked.append((given, right))
        return compare(given, right)

    monkeypatch.setattr(hmac, "compare_digest", compare_and_note)
    with contextlib.suppress(Denied):
        credentials(**BOTH).check(header)
    assert [(len(given), len(right)) for given, right in asked] == [(32, 32)]


@pytest.mark.parametrize("extra", [BOTH, {**BOTH, "jwt_algorithm": "hs256"}, {"jwt_key": SECRET}])
def test_token_signed_with_the_shared_secret_passes(extra):
    assert signed(**extra).check(f"Bearer {token()}") is None
    assert signed(**extra).check(f"bearer  {token()}") is None


def test_token_signed_with_the_private_key_passes():
    assert signed(**RSA).check(f"Bearer {token(PRIVATE, 'RS256')}") is None


def test_token_beside_basic_either_passes():
    both = credentials(**BOTH)
    assert both.check(basic()) is None
    assert both.check(f"Bearer {token()}") is None
    assert both.challenge == 'Basic realm="ometria", charset="UTF-8", Bearer'


def test_token_with_jti_is_told_by_it_and_not_kept_as_it_is():
    found = [signed(**BOTH).check(f"Bearer {token(jti=name)}") for name in ("one", "one", "other")]
    assert found[0] and found[1] and found[2]
    assert found[0].digest == found[1].digest != found[2].digest
    assert "one" not in found[0].digest


def test_token_for_another_audience_or_from_a_clock_ahead_passes():
    now = int(time.time())
    assert signed(**BOTH).check(f"Bearer {token(aud='x', iss='y', sub='z', iat=now + 20, nbf=now + 20)}") is None


def unsigned() -> str:
    head, body = b64(b'{"alg":"none","typ":"JWT"}'), b64(json.dumps({"exp": int(time.time()) + 60}).encode())
    return f"{head}.{body}."


def confused() -> str:
    """Sign with HS256 and the public key, which everybody knows."""
    import hashlib
    import hmac

    head, body = b64(b'{"alg":"HS256","typ":"JWT"}'), b64(json.dumps({"exp": int(time.time()) + 60}).encode())
    return f"{head}.{body}.{b64(hmac.new(PUBLIC.encode(), f'{head}.{body}'.encode(), hashlib.sha256).digest())}"


def tampered() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{b64(json.dumps({'exp': int(time.time()) + 3600}).encode())}.{signature}"


@pytest.mark.parametrize(
    ("extra", "value", "said"),
    [
        (BOTH, lambda: token("another-secret-that-is-long-enough-for-it"), "signature is wrong"),
        (BOTH, tampered, "signature is wrong"),
        (BOTH, lambda: token(lasts=-1), "has expired"),
        (BOTH, lambda: token(lasts=-30), "has expired"),
        (BOTH, lambda: token(exp=None), "needs the claim exp"),
        (BOTH, lambda: token(lasts=86_400 * 30), "more than 86400 seconds"),
        (BOTH, lambda: token(nbf=int(time.time()) + 600), "ImmatureSignatureError"),
        (BOTH, lambda: token(exp="soon"), "cannot be accepted"),
        (BOTH, lambda: token(jti=7), "cannot be accepted"),
        (BOTH, lambda: token(algorithm="HS512"), "not signed with HS256"),
        (BOTH, unsigned, "not signed with HS256"),
        (BOTH, lambda: token(PRIVATE, "RS256"), "not signed with HS256"),
        (RSA, unsigned, "not signed with RS256"),
        (RSA, confused, "not signed with RS256"),
        (RSA, token, "not signed with RS256"),
        (BOTH, lambda: "no.token.here", "cannot be accepted"),
        (BOTH, lambda: "", "cannot be accepted"),
        (BOTH, lambda: "é" * 10, "cannot be accepted"),
    ],
)
def test_token_forged_expired_or_endless_is_denied_saying_why(extra, value, said):
    sent = value()
    with pytest.raises(Denied, match=said) as denied:
        signed(**extra).check(f"Bearer {sent}")
    assert not sent or sent not in str(denied.value)


def test_token_that_lasts_long_passes_when_the_connection_allows_it():
    assert signed(**BOTH, jwt_max_lifetime=86_400 * 60).check(f"Bearer {token(lasts=86_400 * 30)}") is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"login": None, "password": None}, "neither login and password nor the extra 'jwt_key'"),
        ({"password": None}, "the password is missing"),
        ({"login": ""}, "the login is missing"),
        ({"login": "a:b"}, "no colon in the login"),
        ({"jwt_algorithm": "none", "jwt_key": SECRET}, "HS256 or RS256"),
        ({"jwt_algorithm": "ES256", "jwt_key": SECRET}, "HS256 or RS256"),
        ({"jwt_algorithm": "RS256"}, "'jwt_key' is missing"),
        ({"jwt_algorithm": "RS256", "jwt_key": SECRET}, "public key in PEM form"),
        ({"jwt_algorithm": "HS256", "jwt_key": PUBLIC}, "a text that both sides know"),
        ({"jwt_algorithm": "RS256", "jwt_key": PRIVATE}, "holds a private key"),
        ({**BOTH, "jwt_max_lifetime": "soon"}, "jwt_max_lifetime"),
    ],
)
def test_connection_that_lets_in_nobody_or_everybody_is_refused_without_its_secrets(given, said):
    with pytest.raises(Misconfigured, match=said) as error:
        credentials(**given)
    for secret in (SECRET, PASSWORD, PRIVATE.splitlines()[1], PUBLIC.splitlines()[1]):
        assert secret not in str(error.value)


def test_connection_weak_key_and_unknown_extra_are_warned_about():
    warnings = signed(jwt_key="short", jwt_algoritm="HS256").warnings
    assert len(warnings) == 2
    assert "did you mean jwt_algorithm?" in warnings[0]
    assert "weak" in warnings[1]
    assert "short" not in warnings[1].replace("weak", "")


def test_connection_names_the_antavo_connection_of_its_events():
    assert credentials().account == "antavo_default"
    assert credentials(antavo_connection="antavo_eu").account == "antavo_eu"


def test_credentials_do_not_show_secrets_when_printed():
    shown = repr(credentials(**BOTH))
    assert SECRET not in shown
    assert PASSWORD not in shown


def test_library_would_not_refuse_what_we_do():
    """What expires within the leeway is ours to refuse."""
    assert jwt.decode(token(lasts=-5), SECRET, algorithms=["HS256"], leeway=60)
