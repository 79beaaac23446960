from __future__ import annotations

import logging
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured, RecordRejected, Retryable, Throttled
from ometria_provider.hooks.ometria import OmetriaHook
from ometria_provider.hooks.request import encode_query

KEY = "KEY-0123456789"
OK = {"status": "OK", "request_id": "r1", "accepted": 1, "rejected": 0}
BODY = b'[{"@type":"contact","id":"280e","firstname":"Wilhelmina","email":"ann@example.com"}]'


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def hook(api: Any, define: Any, limiter: Any, waits: list[float]) -> OmetriaHook:
    extra = {"timeout": 0.3, "concurrency": 3, "X-Evil": "header"}
    define("ometria_default", host="http://127.0.0.1", port=api.port, password=KEY, extra=extra)
    return OmetriaHook(limiter=limiter, sleep=waits.append)


def test_hook_made_does_no_io(define: Any) -> None:
    OmetriaHook("not_defined")  # reading the connection would fail


def test_connection_undefined_is_misconfigured_with_its_name() -> None:
    with pytest.raises(Misconfigured, match=r"'not_defined' is not defined.*type 'ometria'"):
        OmetriaHook("not_defined").lists()


def test_connection_read_once_then_cached(api: Any, hook: OmetriaHook, define: Any, answer: Any) -> None:
    api.answers(answer(body=[]))
    hook.lists()
    define("ometria_default", host="http://nowhere.invalid", password=KEY)
    assert hook.lists() == []


def test_limiter_set_later_is_asked_for_every_request(api: Any, hook: OmetriaHook, answer: Any, limiter: Any) -> None:
    hook.limiter = None
    api.answers(answer(body=[]))
    hook.lists()
    assert limiter.acquired == []
    hook.limiter = limiter
    hook.lists()
    assert limiter.acquired == limiter.left == ["data"]


def test_request_extras_never_become_headers(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body=[]))
    hook.lists()
    headers = api.received[0].headers
    assert not {"X-Evil", "timeout", "concurrency"} & set(headers)
    assert headers["X-Ometria-Auth"] == KEY
    assert "Authorization" not in headers


def test_requests_many_go_over_one_kept_connection(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body=[], headers={"Set-Cookie": "a=b"}))
    for _ in range(5):
        hook.lists()
    assert len({request.client for request in api.received}) == 1
    assert all("Cookie" not in request.headers for request in api.received)
    hook.close()
    hook.lists()
    assert len({request.client for request in api.received}) == 2


def test_requests_of_many_threads_share_the_pool(api: Any, hook: OmetriaHook, answer: Any) -> None:
    api.answers(answer(body=OK))
    together = threading.Barrier(3)

    def push(number: int) -> int:
        together.wait(5)
        return sum(hook.push(b"[%d]" % number).accepted for _ in range(20))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(push, range(3))) == 60
    assert hook.usage.requests == 60
    assert len({request.client for request in api.received}) <= 3


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 408},
        {"status": 500},
        {"status": 503, "body": b"<html>down</html>"},
        {"fault": "reset"},
        {"fault": "silence"},
        {"fault": "truncate", "body": {"status": "OK", "accepted": 5}},
        {"status": 200, "body": b"<html>login</html>"},
        {"status": 200, "body": b""},
        {"status": 202, "body": OK},
        {"status": 200, "body": {"accepted": 1}},
        {"status": 200, "body": {"status": "ERROR"}},
        {"status": 200, "body": [OK]},
    ],
    ids=lambda fault: " ".join(str(value)[:12] for value in fault.values()),
)
def test_push_fault_that_passes_is_sent_again_unchanged(
    api: Any, hook: OmetriaHook, answer: Any, limiter: Any, waits: list[float], fault: dict[str, Any]
) -> None:
    api.answers(answer(**fault), answer(body=OK))
    assert hook.push(BODY).request_id == "r1"
    assert [request.body for request in api.received] == [BODY, BODY]
    assert limiter.acquired == ["push", "push"]
    assert (hook.usage.requests, hook.usage.retried, hook.usage.throttled) == (2, 1, 0)
    assert 0.75 <= waits[0] <= 1.25


def test_push_fault_that_stays_is_retryable_after_six_attempts(
    api: Any, hook: OmetriaHook, answer: Any, waits: list[float]
) -> None:
    api.answers(answer(status=503))
    with pytest.raises(Retryable, match=r"'ometria_default': POST /v2/push of Ometria: 503 .*6 times") as caught:
        hook.push(BODY)
    assert not isinstance(caught.value, Throttled)
    assert len(api.received) == 6
    assert len(waits) == 5
    assert waits == sorted(waits)
    assert 31 * 0.75 <= sum(waits) <= 31 * 1.25


def test_throttled_yields_for_everybody_then_goes_on(
    api: Any, hook: OmetriaHook, answer: Any, limiter: Any, waits: list[float]
) -> None:
    api.answers(answer(status=429, headers={"Retry-After": "7"}), answer(body=[]))
    hook.lists()
    assert limiter.yielded == [("data", 7.0)]
    assert waits == [7.0]
    assert hook.usage.throttled == 1


def test_throttled_to_the_end_says_so(api: Any, hook: OmetriaHook, answer: Any, limiter: Any) -> None:
    api.answers(answer(status=429))
    with pytest.raises(Throttled, match="over its limit") as caught:
        hook.push(BODY)
    assert caught.value.retry_after is None
    assert [bucket for bucket, _ in limiter.yielded] == ["push"] * 6
    assert all(1.5 <= seconds <= 37.5 for _, seconds in limiter.yielded)


def test_throttled_for_an_hour_is_not_waited_for_here(
    api: Any, hook: OmetriaHook, answer: Any, limiter: Any, waits: list[float]
) -> None:
    api.answers(answer(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(Throttled) as caught:
        hook.push(BODY)
    assert caught.value.retry_after == 3600
    # Longer than a worker may wait in the limiter is for the scheduler to wait.
    assert limiter.yielded == [("push", 120)]
    assert waits == []


@pytest.mark.parametrize("status", [401, 403])
def test_key_refused_stops_at_once_and_says_what_to_check(
    api: Any, hook: OmetriaHook, answer: Any, status: int
) -> None:
    words = f"API key {KEY} is not authorised to access this resource"
    api.answers(answer(status=status, body={"message": words}))
    with pytest.raises(Misconfigured, match=r"'ometria_default'.*not authorised.*10 minutes") as caught:
        hook.push(BODY)
    assert KEY not in str(caught.value)
    assert len(api.received) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_push_refused_is_rejected_without_the_records_values(
    api: Any, hook: OmetriaHook, answer: Any, status: int
) -> None:
    api.answers(answer(status=status, body={"message": "firstname Wilhelmina of ann@example.com: not a valid value"}))
    with pytest.raises(RecordRejected) as caught:
        hook.push(BODY)
    assert caught.value.status == status
    assert caught.value.reason == "firstname … of …: not a valid value"
    assert "Wilhelmina" not in str(caught.value)
    assert len(api.received) == 1


@pytest.mark.parametrize("status", [302, 400, 402, 409, 418])
def test_answer_undocumented_fails_closed(api: Any, hook: OmetriaHook, answer: Any, status: int) -> None:
    api.answers(answer(status=status, body={}, headers={"Location": "http://127.0.0.1:9/elsewhere"}))
    with pytest.raises(Misconfigured, match="does not help"):
        hook.lists()
    assert len(api.received) == 1


def test_logs_and_errors_hold_neither_bodies_nor_keys(
    api: Any, hook: OmetriaHook, answer: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    api.answers(
        answer(status=500, body={"message": f"Wilhelmina {KEY}"}), answer(status=500, body=b"boom ann@example.com")
    )
    with pytest.raises(Retryable) as caught:
        hook.push(BODY)
    logged = caplog.text + "".join(capfd.readouterr())  # Airflow's loggers write to the terminal themselves
    assert "attempt 1 of 6" in logged
    text = logged + str(caught.value) + repr(caught.value.__context__)
    for secret in (KEY, "Wilhelmina", "ann@example.com"):
        assert secret not in text


def test_error_of_the_transport_keeps_no_trace_of_the_url(define: Any) -> None:
    define("ometria_default", host="http://127.0.0.1:9", password=KEY)
    with pytest.raises(Retryable, match=r"no connection to 127\.0\.0\.1:9") as caught:
        OmetriaHook(attempts=1).lists()
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_host_unknown_says_dns(define: Any, waits: list[float]) -> None:
    define("ometria_default", host="https://no-such-host.invalid", password=KEY)
    with pytest.raises(Retryable, match="DNS"):
        OmetriaHook(attempts=1, sleep=waits.append).lists()


def test_certificate_untrusted_is_misconfigured(define: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The error as OpenSSL raises it, without a certificate authority of our own.
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ssl.SSLCertVerificationError("self-signed certificate")

    monkeypatch.setattr("urllib3.connection._ssl_wrap_socket_and_match_hostname", refuse)
    monkeypatch.setattr("urllib3.connection.HTTPSConnection._new_conn", lambda self: None)
    define("ometria_default", host="https://127.0.0.1:9", password=KEY)
    with pytest.raises(Misconfigured, match="certificate"):
        OmetriaHook().lists()


def test_tls_to_a_plain_server_is_retryable_with_clear_words(api: Any, define: Any) -> None:
    define("ometria_default", host=f"https://127.0.0.1:{api.port}", password=KEY)
    with pytest.raises(Retryable, match="TLS handshake"):
        OmetriaHook(attempts=1).lists()


def test_inherited_run_is_as_safe(api: Any, hook: OmetriaHook, answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.answers(answer(body=[]), answer(status=403, body={"message": f"no {KEY}"}))
    assert hook.run("/lists").json() == []
    assert api.received[0].path == "/v2/lists"
    assert api.received[0].headers["X-Ometria-Auth"] == KEY
    assert "X-Evil" not in api.received[0].headers
    with pytest.raises(Misconfigured) as caught:
        hook.run("/lists")
    assert KEY not in str(caught.value) + caplog.text


def test_query_characters_that_break_the_signature_are_refused() -> None:
    assert encode_query({"fields": "a,b c"}) == "fields=a%2Cb%20c"
    for character in "+!*":
        with pytest.raises(ValueError, match="canonicalises"):
            encode_query({"q": f"a{character}b"})
