from __future__ import annotations

import datetime
from typing import Any

import pytest
import requests
from escherauth import EscherRequestsAuth
from ometria_provider.sandbox import escher

SCOPE = "st2/api/antavo_request"
OPTIONS = {
    "algo_prefix": "ANTAVO",
    "vendor_key": "Antavo",
    "hash_algo": "SHA256",
    "auth_header_name": "Authorization",
    "date_header_name": "Date",
}
NOON = datetime.datetime(2026, 1, 15, 12, tzinfo=datetime.UTC)
VECTOR_TARGET = "/customers?updated_at.gt=2026-01-01T00%3A00%3A00&fields=groups%2Cexpiring_points&limit=100&offset=0"


def check(headers: dict[str, str], target: str = VECTOR_TARGET, **changes: Any) -> str:
    given = {"secrets": {"TESTKEY": "TESTSECRET"}, "scope": SCOPE, "now": NOON} | changes
    return escher.check("GET", target, requests.structures.CaseInsensitiveDict(headers), b"", **given)


def vector_headers(**changes: str) -> dict[str, str]:
    signature = "0f4655797c45ca62bcc2d451f8ff4d9dc7c2ae586d9dd430247b89a9d7ab1779"
    return {
        "Host": "api.st2.antavo.com",
        "Date": "Thu, 15 Jan 2026 12:00:00 GMT",
        "Authorization": f"ANTAVO-HMAC-SHA256 Credential=TESTKEY/20260115/{SCOPE}, "
        f"SignedHeaders=date;host, Signature={signature}",
    } | changes


def signed(url: str, secret: str = "TESTSECRET", now: datetime.datetime = NOON) -> tuple[str, dict[str, str]]:
    request = requests.Request("GET", url).prepare()
    EscherRequestsAuth("TESTKEY", secret, SCOPE, OPTIONS | {"current_time": now})(request)
    return request.path_url, dict(request.headers)


def test_contract_vector_is_accepted() -> None:
    assert check(vector_headers()) == "TESTKEY"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?limit=1000&offset=0",
        "?b=2&a=1",
        "?filter%5Bcreated_at%5D%5Bgte%5D=2026-01-01T00%3A00%3A00Z",
        "?q=%C3%A9%20x%2Cy",
    ],
)
def test_signature_of_the_library_is_accepted_under_a_prefix(query: str) -> None:
    target, headers = signed(f"http://127.0.0.1:8765/loyalty/customers{query}")
    assert check(headers, target) == "TESTKEY"


@pytest.mark.parametrize("skew", [-299, 299])
def test_clock_within_five_minutes_is_accepted(skew: int) -> None:
    target, headers = signed("http://127.0.0.1/customers", now=NOON + datetime.timedelta(seconds=skew))
    assert check(headers, target) == "TESTKEY"


@pytest.mark.parametrize("skew", [-301, 301])
def test_clock_beyond_five_minutes_is_refused(skew: int) -> None:
    target, headers = signed("http://127.0.0.1/customers", now=NOON + datetime.timedelta(seconds=skew))
    with pytest.raises(escher.Refused, match="time range") as refused:
        check(headers, target)
    assert refused.value.status == 403


def test_wrong_secret_is_refused() -> None:
    target, headers = signed("http://127.0.0.1/customers", secret="OTHER")
    with pytest.raises(escher.Refused, match="signatures") as refused:
        check(headers, target)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("headers", "target", "changes", "status"),
    [
        ({"Authorization": ""}, VECTOR_TARGET, {}, 401),
        ({"Authorization": "Bearer x"}, VECTOR_TARGET, {}, 401),
        ({"Date": ""}, VECTOR_TARGET, {}, 401),
        ({}, VECTOR_TARGET, {"secrets": {"OTHER": "x"}}, 401),
        ({}, VECTOR_TARGET, {"scope": "st3/api/antavo_request"}, 403),
        ({}, VECTOR_TARGET + "0", {}, 403),
        ({"Host": "elsewhere"}, VECTOR_TARGET, {}, 403),
    ],
    ids=["none", "bearer", "undated", "unknown key", "other scope", "other query", "other host"],
)
def test_tampered_request_is_refused(
    headers: dict[str, str], target: str, changes: dict[str, Any], status: int
) -> None:
    with pytest.raises(escher.Refused) as refused:
        check(vector_headers(**headers), target, **changes)
    assert refused.value.status == status


@pytest.mark.parametrize("trap", ["a+b", "a*b", "a!b"])
def test_characters_that_sign_differently_in_php_are_refused(trap: str) -> None:
    target, headers = signed(f"http://127.0.0.1/customers?first_name={trap}")
    with pytest.raises(escher.Refused, match="signatures"):
        check(headers, target)
