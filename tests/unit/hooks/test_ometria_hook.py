from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured, Retryable
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.hooks.ometria_answers import ContactList, PushAnswer, Unsubscribed

LIST = {
    "@type": "list",
    "id": "4821",
    "title": "Members",
    "description": "",
    "size": 12,
    "status": "READY",
    "type": "static",
}


@pytest.fixture
def hook(api: Any, define: Any) -> OmetriaHook:
    define("ometria_default", host="127.0.0.1", port=api.port, password="KEY-0123456789")
    return OmetriaHook(sleep=lambda seconds: None)


def test_push_acknowledged_gives_counts(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body={"status": "OK", "request_id": 77, "accepted": 98, "rejected": 2}))
    assert hook.push(b"[]") == PushAnswer(accepted=98, rejected=2, request_id="77")
    request = api.received[0]
    assert (request.method, request.path) == ("POST", "/v2/push")
    assert request.headers["Content-Type"] == "application/json"


def test_push_acknowledged_without_counts_is_still_acknowledged(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body={"status": "OK"}))
    assert hook.push(b"[]") == PushAnswer(accepted=0, rejected=0, request_id=None)


def test_lists_rows_become_lists_and_odd_ones_go(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body=[LIST, {"id": "all"}, "x", {"id": 5}]))
    assert hook.lists("all") == [
        ContactList(id=4821, title="Members", size=12, type="STATIC", status="READY"),
        ContactList(id=5, title="", size=None, type="", status=""),
    ]
    assert api.received[0].path == "/v2/lists?mode=all"


def test_contact_list_found_or_none(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body=LIST), answer(status=404, body={"message": "not found"}))
    found = hook.contact_list(4821)
    assert found is not None
    assert found.id == 4821
    assert hook.contact_list(1) is None
    assert api.received[0].path == "/v2/lists/4821"


def test_contact_found_or_none_and_the_id_is_quoted(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body={"id": "a/b"}), answer(status=404))
    assert hook.contact("customers", "a/b?c") == {"id": "a/b"}
    assert hook.contact("customers", "x") is None
    assert api.received[0].path == "/v2/contacts/customers/a%2Fb%3Fc"


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_contact_id_that_would_change_the_path_is_never_asked(api: Any, hook: OmetriaHook, id: str) -> None:
    assert hook.contact("customers", id) is None
    assert api.received == []


def test_contact_page_of_another_server_is_no_absence(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(status=404, body=b"<html>nginx</html>"))
    with pytest.raises(Misconfigured, match="HTML page"):
        hook.contact("customers", "x")


def test_push_errors_come_in_order_without_anything_personal(api: Any, hook: OmetriaHook, answer: Any) -> None:
    log = [
        {"error_message": "'Smith' is not a valid value, ann@example.com", "error_path": "root > lastname"},
        {"error_message": "too long", "error_path": "root > properties > ann@example.com"},
        {},
    ]
    api.answers(answer(body=log), answer(body={"errors": []}))
    assert hook.push_errors() == [
        ("'…' is not a valid value, <e-mail>", "root > lastname"),
        ("too long", "root > properties > <e-mail>"),
        ("", ""),
    ]
    assert api.received[0].path == "/v2/push/_errors"
    with pytest.raises(Retryable, match="no array of errors"):
        hook.push_errors()


def test_contact_page_asks_for_as_many_as_there_may_be(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body=[{"id": "a"}]), answer(status=404))
    assert hook.contact_page("customers", 500) == [{"id": "a"}]
    assert hook.contact_page("customers", 0) is None
    assert api.received[0].path.startswith("/v2/contacts/customers")


def test_queue_is_known_when_an_answer_says_so(api: Any, hook: OmetriaHook, answer: Any) -> None:
    headers = {"X-QueueSize-Limit": "50000", "X-QueueSize-Remaining": "49900"}
    api.answers(answer(body=[LIST]), answer(body=[LIST], headers=headers), answer(body=[LIST]))
    hook.lists()
    assert hook.queued is None
    hook.lists()
    assert hook.queued == 100
    hook.lists()
    assert hook.queued == 100


def test_lists_of_another_api_are_refused(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body={"hello": "world"}))
    with pytest.raises(Retryable, match="is the host Ometria's"):
        hook.lists()


def test_settings_defaults_and_extras(define: Any, hook: OmetriaHook) -> None:
    settings = (hook.push_requests_per_second, hook.data_requests_per_second, hook.concurrency, hook.settle_seconds)
    assert settings == (8.0, 4.0, 8, 10.0)
    assert hook.timeout == 60
    extra = {"push_requests_per_second": "4", "data_requests_per_second": 2, "concurrency": 2, "settle_seconds": 0}
    define("ometria_other", password="KEY-0123456789", extra=extra)
    other = OmetriaHook("ometria_other")
    settings = (other.push_requests_per_second, other.data_requests_per_second, other.concurrency, other.settle_seconds)
    assert settings == (4.0, 2.0, 2, 0.0)
    assert other.get_conn() is not None
    assert other.base_url == "https://api.ometria.com/v2"


def test_settings_wrong_extra_names_connection_and_extra(define: Any) -> None:
    define("ometria_other", password="KEY-0123456789", extra={"push_requests_per_second": "fast"})
    with pytest.raises(Misconfigured, match=r"'ometria_other'.*'push_requests_per_second'"):
        _ = OmetriaHook("ometria_other").push_requests_per_second


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"status": 403, "body": {"message": "API key is not authorised to access this resource"}}, "10 minutes"),
        ({"status": 429}, "over its limit"),
        ({"status": 404, "body": b"<html>"}, "not the API's own"),
        ({"body": b"<html>hello</html>"}, "HTML page instead of JSON"),
        ({"fault": "reset"}, "no connection"),
    ],
)
def test_test_connection_fault_is_said_in_plain_words(
    api: Any, hook: OmetriaHook, answer: Any, script: dict[str, Any], words: str
) -> None:
    api.answers(answer(**script))
    passed, message = hook.test_connection()
    assert not passed
    assert words in message
    assert len(api.received) == 1


def test_test_connection_fine_says_what_the_key_sees(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body=[LIST]))
    assert hook.test_connection() == (True, "Ometria answers; the key sees 1 active list.")


def test_test_connection_without_a_key_says_so(define: Any) -> None:
    define("ometria_other", host="127.0.0.1")
    assert OmetriaHook("ometria_other").test_connection() == (
        False,
        "Connection 'ometria_other': the API key (password) is missing.",
    )


def test_unsubscribes_since_a_time_become_people_and_times(api: Any, hook: OmetriaHook, answer: Any) -> None:
    row = {"profile_id": 7, "email_address": "a@example.com", "type": "email", "timestamp": "2026-01-02T03:04:05"}
    api.answers(answer(body=[row, "x", {"profile_id": None, "email_address": " ", "timestamp": 1_767_225_600}]))
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert hook.unsubscribes(moment) == [
        Unsubscribed("7", "a@example.com", moment),
        Unsubscribed(None, None, datetime(2026, 1, 1, tzinfo=UTC)),
    ]
    assert api.received[0].path == "/v2/unsubscribes?since=2026-01-02T03%3A04%3A05Z"


def test_unsubscribe_without_a_readable_time_counts_as_now(api: Any, hook: OmetriaHook, answer: Any) -> None:
    before = datetime.now(UTC)
    api.answers(answer(body=[{"email_address": "a@example.com", "timestamp": "soon"}]))
    assert hook.unsubscribes(None)[0].at >= before
    assert api.received[0].path == "/v2/unsubscribes"


@pytest.mark.parametrize("body", [[{"id": "p"}], {"id": "p"}], ids=["array", "object"])
def test_profile_found_or_none(api: Any, hook: OmetriaHook, answer: Any, body: Any) -> None:
    api.answers(answer(body=body), answer(status=404), answer(body=[]))
    assert hook.profile("p/1") == {"id": "p"}
    assert hook.profile("x") is None
    assert hook.profile("y") is None
    assert api.received[0].path == "/v2/profiles/p%2F1"
    assert hook.profile("..") is None
