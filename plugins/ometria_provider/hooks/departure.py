"""Notice when a request leaves: its last byte is with the operating system, and the wait for the answer begins.

What requests offers comes too early (before a connection is opened) or too late (with the answer).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

_told: ContextVar[Callable[[], None] | None] = ContextVar("told", default=None)


@contextlib.contextmanager
def noticing(told: Callable[[], None]) -> Iterator[None]:
    """Call a function when a request of this thread leaves, which a :class:`NoticingAdapter` sends.

    :param told: must not raise: the answer would be lost.
    """
    token = _told.set(told)
    try:
        yield
    finally:
        _told.reset(token)


class NoticingAdapter(HTTPAdapter):
    """Sends as ever, and tells :func:`noticing` when."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the connections to servers."""
        super().init_poolmanager(*args, **kwargs)
        _notice(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the connections to a proxy."""
        return _notice(super().proxy_manager_for(*args, **kwargs))


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:  # urllib3 and http.client name different types
        _tell()
        return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> Any:  # urllib3 and http.client name different types
        _tell()
        return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _tell() -> None:
    if told := _told.get():
        told()


def _notice(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager
