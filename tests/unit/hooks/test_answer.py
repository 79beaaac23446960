from __future__ import annotations

import datetime
import inspect
import itertools
import json
import ssl
from typing import Any

import pytest
import requests
from ometria_provider.hooks.answer import (
    FAILURE_TABLE,
    STATUS_TABLE,
    Action,
    judge_failure,
    judge_response,
    judge_status,
    leaf_texts,
    parse_retry_after,
    scrub,
)
from urllib3.exceptions import MaxRetryError, NameResolutionError


def _response(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.headers.update(headers or {})
    return response


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (200, Action.DONE),
        (202, Action.AGAIN),
        (204, Action.AGAIN),
        (301, Action.BROKEN),
        (400, Action.REFUSED),
        (401, Action.DENIED),
        (402, Action.BROKEN),
        (403, Action.DENIED),
        (404, Action.ABSENT),
        (405, Action.BROKEN),
        (408, Action.AGAIN),
        (409, Action.BROKEN),
        (413, Action.REFUSED),
        (418, Action.BROKEN),
        (422, Action.REFUSED),
        (429, Action.THROTTLED),
        (500, Action.AGAIN),
        (502, Action.AGAIN),
        (599, Action.AGAIN),
        (100, Action.BROKEN),
        (999, Action.BROKEN),
    ],
)
def test_status_any_has_one_consequence(status: int, action: Action) -> None:
    assert judge_status(status)[0] is action


def test_status_table_rows_do_not_overlap_and_ascend() -> None:
    bounds = [bound for first, last, _, _ in STATUS_TABLE for bound in (first, last)]
    assert bounds == sorted(bounds)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(STATUS_TABLE))


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b'{"status": "O', b"", b"maintenance", b"\xff\xfe"])
def test_response_200_without_json_is_not_acknowledged(body: bytes) -> None:
    assert judge_response(_response(200, body)).action is Action.AGAIN


@pytest.mark.parametrize("body", [{}, [], {"status": "OK"}, 5])
def test_response_200_with_json_is_done(body: Any) -> None:
    verdict = judge_response(_response(200, body))
    assert (verdict.action, verdict.data) == (Action.DONE, body)


@pytest.mark.parametrize(
    ("status", "resendable", "action"),
    [
        (400, True, Action.AGAIN),
        (400, False, Action.REFUSED),
        (404, True, Action.AGAIN),
        (403, True, Action.DENIED),
        (429, False, Action.THROTTLED),
        (500, False, Action.BROKEN),
        (500, True, Action.AGAIN),
        (200, True, Action.AGAIN),
        (200, False, Action.BROKEN),
    ],
)
def test_response_resendable_is_honoured(status: int, resendable: bool, action: Action) -> None:
    body = {"error": {"message": "no", "code": 1, "resendable": resendable}}
    assert judge_response(_response(status, body)).action is action


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"type": "T", "code": 160211, "message": "empty search criteria"}},
        {"type": "T", "code": 160211, "message": "empty search criteria"},
    ],
    ids=["wrapped", "bare"],
)
def test_response_error_object_gives_code_and_words(body: Any) -> None:
    verdict = judge_response(_response(400, body))
    assert verdict.code == 160211
    assert verdict.describe() == "400 (160211: empty search criteria)"


def test_response_plain_text_error_keeps_the_words() -> None:
    verdict = judge_response(_response(400, b"Payload invalid: Record is too large."))
    assert verdict.reason == "Payload invalid: Record is too large."


@pytest.mark.parametrize("broken", [b'[{"_id":"1","x":"\\ud800"}]', b'[{"_id":"1","x":"\xff"}]'])
def test_response_with_broken_unicode_in_a_text_keeps_everything_else(broken: bytes) -> None:
    verdict = judge_response(_response(200, broken))
    assert verdict.action is Action.DONE
    assert verdict.data[0]["_id"] == "1"


@pytest.mark.parametrize("body", [b'[{"_id": NaN}]', b'[{"_id": "1"', b'{"a": "\\ud800"'])
def test_response_that_is_no_json_is_none_by_the_slow_way_either(body: bytes) -> None:
    assert judge_response(_response(200, body)).action is Action.AGAIN


def test_response_html_error_shows_none_of_the_page() -> None:
    verdict = judge_response(_response(502, b"<html>Ann Smith</html>"))
    assert verdict.describe() == "502 (a fault of the server)"


def test_response_404_page_is_the_wrong_host_not_an_absence() -> None:
    assert judge_response(_response(404, b"<html>nginx</html>")).action is Action.BROKEN
    assert judge_response(_response(404, {"message": "gone"})).action is Action.ABSENT
    assert judge_response(_response(404)).action is Action.ABSENT


def test_response_echoing_the_key_does_not_repeat_it() -> None:
    verdict = judge_response(_response(403, {"message": "key SeCret99 is unknown"}), unspeakable=["secret99"])
    assert verdict.reason == "key … is unknown"


def test_response_date_gives_the_skew_of_our_clock() -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=10)
    header = past.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert judge_response(_response(403, b"", {"Date": header})).skew == pytest.approx(600, abs=5)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("Thu, 15 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 15 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_seconds_or_date_is_read(header: str | None, seconds: float | None) -> None:
    now = datetime.datetime(2026, 1, 15, 12, tzinfo=datetime.UTC)
    assert parse_retry_after(header, now) == seconds


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("not a valid value", "not a valid value"),
        ("root > lastname", "root > lastname"),
        ("ann.o+x@example.co.uk is taken", "<e-mail> is taken"),
        ("email=ann@example.com;", "email=<e-mail>;"),
        ('lastname "Smith" is too long', "lastname '…' is too long"),
        ("lastname 'O'Brien' is too long", "lastname '…' is too long"),
        ("can't parse the field, don't retry", "can't parse the field, don't retry"),
        ("invalid: 'Smith", "invalid: '…'"),
        ("phone +44 (20) 7946-0958 invalid", "phone … invalid"),
        ("born 1990-01-31?", "born …?"),
        ("at most 100 records, 61 KB", "at most 100 records, 61 KB"),
        ("two\r\nlines\x00", "two lines"),
    ],
)
def test_scrub_personal_data_goes_words_stay(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


def test_scrub_long_text_is_cut_to_200_characters() -> None:
    assert len(scrub("word " * 100)) == 200


def test_scrub_record_values_are_removed_as_whole_words() -> None:
    values = leaf_texts(
        [{"@type": "contact", "firstname": "Ann", "properties": {"tier": "Gold", "n": 7000}, "x": True}]
    )
    assert scrub("contact Ann (gold, 7000) of Annapolis", values) == "contact … (…, …) of Annapolis"


def test_failure_every_error_of_the_transport_is_listed() -> None:
    # Those that a caller's mistake makes; sending again would not mend it.
    ours = {"InvalidHeader", "InvalidJSONError", "InvalidProxyURL", "InvalidSchema", "InvalidURL", "JSONDecodeError"}
    ours |= {"MissingSchema", "RequestException", "RetryError", "StreamConsumedError", "TooManyRedirects", "HTTPError"}
    ours |= {"UnrewindableBodyError", "URLRequired"}
    listed = tuple(kind for kind, action, _ in FAILURE_TABLE if action is Action.AGAIN)
    for name, kind in inspect.getmembers(requests.exceptions, inspect.isclass):
        if issubclass(kind, requests.exceptions.RequestException):
            assert (name in ours) != issubclass(kind, listed), name


@pytest.mark.parametrize(
    ("error", "action", "words"),
    [
        (requests.exceptions.ReadTimeout("u?api_key=K"), Action.AGAIN, "did not answer in time"),
        (requests.exceptions.ConnectTimeout("K"), Action.AGAIN, "did not accept"),
        (requests.exceptions.ChunkedEncodingError("K"), Action.AGAIN, "broke off"),
        (requests.exceptions.SSLError("handshake K"), Action.AGAIN, "TLS handshake"),
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError("K")), Action.BROKEN, "certificate"),
        (requests.exceptions.InvalidURL("K"), Action.BROKEN, "could not be made"),
        (OSError("no bundle K"), Action.BROKEN, "CA bundle"),
        (RuntimeError("K"), Action.BROKEN, "RuntimeError"),
        (
            requests.exceptions.ConnectionError(MaxRetryError(None, "/", NameResolutionError("h", None, OSError("K")))),
            Action.AGAIN,
            "DNS",
        ),
    ],
)
def test_failure_transport_error_is_judged_without_its_text(error: Exception, action: Action, words: str) -> None:
    verdict = judge_failure(error, "h:1")
    assert verdict.action is action
    assert words in verdict.reason
    assert "K" not in verdict.reason.replace("KB", "")
