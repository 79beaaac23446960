import socket
import threading
from typing import Any

import pytest
from ometria_provider.hooks.departure import NoticingAdapter, noticing
from requests import Session
from requests.exceptions import ConnectionError


def session() -> Session:
    made = Session()
    made.mount("http://", NoticingAdapter())
    return made


def test_noticing_is_told_once_and_before_the_answer(api: Any, answer: Any) -> None:
    heard = threading.Event()
    api.respond = lambda _request: answer(status=200 if heard.wait(10) else 500)
    told: list[str] = []
    with noticing(lambda: (told.append("left"), heard.set())):
        assert session().get(f"http://127.0.0.1:{api.port}/").status_code == 200
    assert told == ["left"]


def test_noticing_is_told_of_nothing_that_did_not_leave() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with noticing(lambda: pytest.fail("it did not leave")), pytest.raises(ConnectionError):
            session().get(url)


def test_requests_outside_of_noticing_go_as_ever(api: Any) -> None:
    with noticing(lambda: pytest.fail("it is over")):
        pass
    assert session().get(f"http://127.0.0.1:{api.port}/").status_code == 200


def test_requests_through_a_proxy_are_noticed(api: Any) -> None:
    heard: list[bool] = []
    with noticing(lambda: heard.append(True)):
        session().get("http://elsewhere.example/", proxies={"http": f"http://127.0.0.1:{api.port}"})
    assert heard == [True]
