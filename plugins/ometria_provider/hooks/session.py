"""The session that all requests of a hook share, whichever thread they come from."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from ometria_provider import __version__
from ometria_provider.hooks.departure import NoticingAdapter


class ApiSession(requests.Session):
    """A session that keeps connections, and nothing else that changes.

    :param auth: signs each request, or adds its key.
    :param connections: kept open for each host; more threads than that wait.
    """

    def __init__(self, auth: AuthBase | None, connections: int) -> None:
        super().__init__()
        self.auth = auth
        self.headers.update({"Accept": "application/json", "User-Agent": f"airflow-provider-ometria/{__version__}"})
        # No cookie is kept, so that threads share nothing that changes.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self.mount(scheme, NoticingAdapter(pool_maxsize=connections, pool_block=True))
        self._environments: dict[tuple[str, str], dict[str, Any]] = {}

    def merge_environment_settings(self, url: Any, *settings: Any, **named: Any) -> Any:
        """Return proxies and certificates as the environment has them, read once for each host.

        requests goes through all variables for every request, which takes as long as the rest of its work. What is
        asked for besides must be the same each time.
        """
        host = urlsplit(str(url))[:2]
        if host not in self._environments:
            self._environments[host] = dict(super().merge_environment_settings(url, *settings, **named))
        return self._environments[host]
