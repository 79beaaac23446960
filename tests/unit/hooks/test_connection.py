from __future__ import annotations

from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.connection import Extras, clean_key, root_url, versioned


@pytest.mark.parametrize(
    ("host", "schema", "port", "root"),
    [
        ("api.ometria.com", None, None, "https://api.ometria.com"),
        ("api.ometria.com", "http", None, "http://api.ometria.com"),
        ("https://api.ometria.com/", None, None, "https://api.ometria.com"),
        ("127.0.0.1", None, 8080, "http://127.0.0.1:8080"),
        ("localhost", None, 8080, "http://localhost:8080"),
        ("localhost", "https", None, "https://localhost"),
        ("::1", None, 80, "http://[::1]:80"),
        ("http://127.0.0.1", None, 9001, "http://127.0.0.1:9001"),
        ("http://127.0.0.1:9001", None, None, "http://127.0.0.1:9001"),
        ("http://127.0.0.1:9001", "https", 9001, "http://127.0.0.1:9001"),
        ("http://127.0.0.1/antavo/", None, 9001, "http://127.0.0.1:9001/antavo"),
        ("proxy.local:8443/base", None, None, "https://proxy.local:8443/base"),
        (" api.ometria.com ", None, None, "https://api.ometria.com"),
    ],
)
def test_root_url_host_schema_port_are_joined(host: str, schema: str | None, port: int | None, root: str) -> None:
    assert root_url("c", host, schema, port) == root


@pytest.mark.parametrize(
    ("host", "schema", "port"),
    [
        (None, None, None),
        ("", None, 80),
        ("ftp://x", None, None),
        ("x", "file", None),
        ("https://user:pw@x", None, None),
        ("https://x?key=1", None, None),
        ("https://x:80", None, 81),
        ("https://x:port", None, None),
        ("https://", None, None),
    ],
)
def test_root_url_nonsense_is_refused_without_repeating_it(host: str, schema: str | None, port: int | None) -> None:
    with pytest.raises(Misconfigured, match="'c'") as caught:
        root_url("c", host, schema, port)
    assert "pw" not in str(caught.value).replace("password", "")


def test_versioned_root_with_version_gets_it_once() -> None:
    assert versioned("https://x", "v2") == versioned("https://x/v2", "v2") == "https://x/v2"


@pytest.mark.parametrize("value", ["fast", 0, -1, "nan", "inf", True, [], {}])
def test_extras_wrong_number_names_connection_and_extra(value: Any) -> None:
    with pytest.raises(Misconfigured, match=r"'c'.*'requests_per_minute'.*number") as caught:
        Extras("c", {"requests_per_minute": value}).number("requests_per_minute", 1500)
    assert "fast" not in str(caught.value)


@pytest.mark.parametrize("value", [1, "1", 1.0])
def test_extras_number_may_be_text(value: Any) -> None:
    assert Extras("c", {"n": value}).integer("n", 8) == 1


@pytest.mark.parametrize("values", [{}, {"n": None}, {"n": ""}])
def test_extras_left_empty_gives_the_default(values: dict[str, Any]) -> None:
    extras = Extras("c", values)
    assert (extras.number("n", 2.5), extras.text("n"), extras.choice("n", ("a", "b"))) == (2.5, None, "a")


def test_extras_zero_only_where_it_makes_sense() -> None:
    assert Extras("c", {"n": 0}).number("n", 1, zero=True) == 0
    with pytest.raises(Misconfigured, match="whole"):
        Extras("c", {"n": 1.5}).integer("n", 1)


def test_extras_choice_and_text_are_checked() -> None:
    assert Extras("c", {"signing": "None"}).choice("signing", ("escher", "none")) == "none"
    with pytest.raises(Misconfigured, match="escher or none"):
        Extras("c", {"signing": "hmac"}).choice("signing", ("escher", "none"))
    with pytest.raises(Misconfigured, match="a text"):
        Extras("c", {"read_api_url": 5}).text("read_api_url")


@pytest.mark.parametrize("extra", ["not json", "[1]", "5"])
def test_extras_no_object_is_refused(extra: str) -> None:
    with pytest.raises(Misconfigured, match="JSON object"):
        Extras.parse("c", extra)


def test_extras_unknown_name_comes_with_the_near_one() -> None:
    extras = Extras.parse("c", '{"request_per_minute": 1, "zzz": "secret"}')
    assert extras.unknown(("requests_per_minute",)) == [
        "request_per_minute (did you mean requests_per_minute?)",
        "zzz",
    ]


def test_clean_key_copied_with_blanks_is_trimmed() -> None:
    assert clean_key("c", "API key", " K3Y\n") == "K3Y"


@pytest.mark.parametrize("key", [None, "", "  ", "two words", "clé", "a\nb"])
def test_clean_key_that_cannot_be_one_is_refused(key: str | None) -> None:
    with pytest.raises(Misconfigured, match="API key") as caught:
        clean_key("c", "API key", key)
    assert "words" not in str(caught.value)
