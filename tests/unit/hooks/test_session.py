"""The session that all requests share."""

from __future__ import annotations

import pytest
from ometria_provider.hooks.session import ApiSession


def test_environment_is_read_once_for_each_host(monkeypatch: pytest.MonkeyPatch) -> None:
    session = ApiSession(None, 1)
    monkeypatch.setenv("HTTPS_PROXY", "http://one.example")
    first = session.merge_environment_settings("https://a.example/x", {}, False, None, None)
    monkeypatch.setenv("HTTPS_PROXY", "http://two.example")
    again = session.merge_environment_settings("https://a.example/y", {}, False, None, None)
    other = session.merge_environment_settings("https://b.example/x", {}, False, None, None)
    assert first["proxies"]["https"] == again["proxies"]["https"] == "http://one.example"
    assert other["proxies"]["https"] == "http://two.example"
