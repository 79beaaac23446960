"""A lookup that fails concerns its own id; a dead server is not asked for ever."""

from typing import Any

from ometria_provider.exceptions import LookupRefused, Misconfigured, Retryable
from ometria_provider.operators.lookups import ENOUGH, Asking


class Server:
    """Knows what it is told of, and counts."""

    def __init__(self, **known: Any) -> None:
        self.known, self.asked = known, 0

    def __call__(self, id_: str) -> dict[str, Any] | None:
        self.asked += 1
        found = self.known.get(id_, self.known.get("everybody"))
        if isinstance(found, Exception):
            raise found
        return found


def test_asking_asks_for_each_id_once_and_tells_unknown_from_failed() -> None:
    server = Server(ann={"id": "ann"}, bad=Retryable("500"))
    found = Asking(server, 4).all(["ann", "bad", "ann", "nobody"])
    assert found["ann"] == {"id": "ann"}
    assert isinstance(found["bad"], Retryable)
    assert found["nobody"] is None
    assert server.asked == 3


def test_asking_stops_when_the_server_is_dead() -> None:
    server = Server(everybody=Retryable("500"))
    found = Asking(server, 1).all(map(str, range(100)))
    assert server.asked == ENOUGH
    assert all(isinstance(one, Retryable) for one in found.values())


def test_asking_stops_at_once_when_the_key_is_refused() -> None:
    server = Server(everybody=Misconfigured("401"))
    asking = Asking(server, 1)
    assert isinstance(asking.all(["1", "2", "3"])["3"], Misconfigured)
    assert isinstance(asking.all(["4"])["4"], Misconfigured)
    assert server.asked == 1


def test_asking_goes_on_when_some_fail_now_and_then() -> None:
    server = Server(everybody={"id": "1"}, **{str(n): Retryable("500") for n in range(0, 100, 2)})
    Asking(server, 1).all(map(str, range(100)))
    assert server.asked == 100


REFUSED = LookupRefused("422", reason="422")


def test_asking_goes_on_when_one_is_refused_however_often() -> None:
    refused = {str(n): REFUSED for n in range(0, 100, 2)}
    found = Asking(Server(everybody={"id": "1"}, **refused), 1).all(map(str, range(100)))
    assert sum(isinstance(one, LookupRefused) for one in found.values()) == 50
    assert sum(isinstance(one, dict) for one in found.values()) == 50


def test_asking_blames_nobody_when_everybody_is_refused() -> None:
    server = Server(everybody=REFUSED)
    found = Asking(server, 1).all(map(str, range(100)))
    assert server.asked == ENOUGH
    assert {type(one) for one in found.values()} == {Misconfigured}
    assert "the fault is not in what was asked for" in str(found["1"])
