from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.hooks.antavo import AntavoHook

OLD, NEW = "/rewards/", "/entities/rewards/reward/"
MUG = {"id": "r1", "name": "Mug", "category": "home", "price": 50, "description": "A mug", "image_url": "https://x/m"}
MAPS = {"id": "r1", "name": {"en": "Mug", "de": "Tasse"}, "description": {"en": "A mug"}, "category": None}


@pytest.fixture
def hook(api: Any, define: Any) -> AntavoHook:
    url = f"http://127.0.0.1:{api.port}"
    extra = {"signing": "none", "read_api_url": f"{url}/read"}
    define("antavo_default", host=f"{url}/loyalty", login="KEY", password="SECRET", extra=extra)
    return AntavoHook(sleep=lambda seconds: None)


@pytest.fixture
def serve(api: Any, answer: Any) -> Callable[..., None]:
    """Answer the older call with one thing, the newer with another: a status, or a body."""

    def serve(older: Any, newer: Any) -> None:
        def respond(request: Any) -> Any:
            given = newer if NEW in request.path else older
            return answer(status=given) if isinstance(given, int) else answer(body=given)

        api.respond = respond

    return serve


@pytest.mark.parametrize("wrap", [lambda found: found, lambda found: [found], lambda found: {"data": found}])
def test_reward_of_both_calls_has_every_attribute_and_all_languages(
    hook: AntavoHook, serve: Callable[..., None], api: Any, wrap: Any
) -> None:
    serve(wrap(MUG), wrap(MAPS))
    assert hook.reward("r 1") == MUG | {"name": MAPS["name"], "description": MAPS["description"]}
    paths = [request.path.partition("?")[0] for request in api.received]
    assert paths == [f"/loyalty{OLD}r%201", f"/loyalty{NEW}r%201"]


@pytest.mark.parametrize(
    ("older", "newer", "found"),
    [
        (MUG, 404, MUG),
        (MUG, 403, MUG),
        (MUG, b"<html>not here</html>", None),
        (404, MAPS, MAPS),
        ([], MAPS, MAPS),
        (404, 404, None),
        ([], [], None),
    ],
    ids=["older", "newer denied", "newer broken", "newer", "newer, empty array", "neither", "empty arrays"],
)
def test_reward_of_one_call_or_none(
    hook: AntavoHook, serve: Callable[..., None], older: Any, newer: Any, found: Any
) -> None:
    serve(older, newer)
    if isinstance(newer, bytes):
        with pytest.raises(Retryable):
            hook.reward("r1")
    else:
        assert hook.reward("r1") == found


def test_reward_of_a_gateway_that_knows_no_newer_call_is_the_older(api: Any, hook: AntavoHook, answer: Any) -> None:
    page = answer(status=404, body=b"<html>no such page</html>")
    api.respond = lambda request: page if NEW in request.path else answer(status=404, body={"error": {"code": 404}})
    assert hook.reward("r1") is None


@pytest.mark.parametrize(("older", "newer"), [(403, MAPS), (404, 403)])
def test_reward_that_may_not_be_asked_for_is_never_taken_for_none(
    hook: AntavoHook, serve: Callable[..., None], older: Any, newer: Any
) -> None:
    serve(older, newer)
    with pytest.raises(Misconfigured):
        hook.reward("r1")


@pytest.mark.parametrize(("older", "newer"), [(500, MAPS), (MUG, 500), ({"hello": "world"}, MAPS)])
def test_reward_while_a_call_fails_is_tried_again_later(
    hook: AntavoHook, serve: Callable[..., None], older: Any, newer: Any
) -> None:
    serve(older, newer)
    with pytest.raises(Retryable):
        hook.reward("r1")


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_reward_id_that_would_change_the_path_is_never_asked(api: Any, hook: AntavoHook, id: str) -> None:
    assert hook.reward(id) is None
    assert api.received == []


@pytest.mark.parametrize("total", [True, False], ids=["total", "no total"])
def test_latest_events_come_page_by_page_to_the_end(api: Any, hook: AntavoHook, answer: Any, total: bool) -> None:
    rows = [{"id": str(number)} for number in range(5)]

    def respond(request: Any) -> Any:
        assert request.query["order"] == "desc"
        start = int(request.query["offset"])
        return answer(body={"data": rows[start : start + 2]} | ({"total": len(rows)} if total else {}))

    api.respond = respond
    assert [len(page) for page in hook.latest_events()] == [2, 2, 1]
    assert len(api.received) == (3 if total else 4)


def test_latest_events_of_a_server_that_ignores_the_offset_end(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.respond = lambda _: answer(body={"data": [{"id": "1"}, {"timestamp": "now"}]})
    assert [len(page) for page in hook.latest_events()] == [2]
