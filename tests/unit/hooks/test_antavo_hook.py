from __future__ import annotations

import datetime
import random
from typing import Any

import pytest
import requests
from escherauth import Escher, EscherException, EscherRequestsAuth
from ometria_provider.exceptions import LookupRefused, Misconfigured, Retryable
from ometria_provider.hooks.antavo import AntavoHook
from ometria_provider.hooks.antavo_hosts import ESCHER_OPTIONS, derive_hosts
from ometria_provider.hooks.connection import Extras

KEY, SECRET = "TESTKEY", "TESTSECRET"
EXTRA = {"credential_scope": "st2/api/antavo_request"}
START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def _define(define: Any, api: Any, **extra: Any) -> None:
    url = f"http://127.0.0.1:{api.port}"
    extra = {**EXTRA, "read_api_url": f"{url}/read", **extra}
    define("antavo_default", host=f"{url}/loyalty", login=KEY, password=SECRET, extra=extra)


@pytest.fixture
def hook(api: Any, define: Any) -> AntavoHook:
    _define(define, api)
    return AntavoHook(sleep=lambda seconds: None)


def _page(rows: list[dict[str, Any]]) -> dict[str, Any]:
    pagination = {"next": "https://wrong.example/links", "previous": None}
    return {"status": "success", "metadata": {"pagination": pagination}, "payload": {"customers": rows}}


def _verify(request: Any, scope: str = EXTRA["credential_scope"]) -> str:
    """Check a received request's signature as a server does."""
    parts = {"method": request.method, "url": request.path, "headers": [list(h) for h in request.headers.items()]}
    key: str = Escher(KEY, SECRET, scope, dict(ESCHER_OPTIONS)).authenticate(parts, {KEY: SECRET}, ["date", "host"])
    return key


def test_signing_contract_vector_gives_its_signature() -> None:
    at = datetime.datetime(2026, 1, 15, 12, tzinfo=datetime.UTC)
    auth = EscherRequestsAuth(KEY, SECRET, "st2/api/antavo_request", {**ESCHER_OPTIONS, "current_time": at})
    url = (
        "https://api.st2.antavo.com/customers?updated_at.gt=2026-01-01T00%3A00%3A00"
        "&fields=groups%2Cexpiring_points&limit=100&offset=0"
    )
    prepared = requests.Request("GET", url, auth=auth).prepare()
    assert prepared.headers["Date"] == "Thu, 15 Jan 2026 12:00:00 GMT"
    assert prepared.headers["Authorization"].endswith(
        "Signature=0f4655797c45ca62bcc2d451f8ff4d9dc7c2ae586d9dd430247b89a9d7ab1779"
    )


def test_signing_as_sent_passes_a_servers_check(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(body=_page([])))
    list(hook.scan(gte="2024-01-01T00:00:00.5+02:00", lt="2024-02-01"))
    request = api.received[0]
    assert _verify(request) == KEY
    assert request.headers["Authorization"].startswith("ANTAVO-HMAC-SHA256 Credential=TESTKEY/")
    assert "SignedHeaders=date;host" in request.headers["Authorization"]
    assert "api_key" not in request.path
    assert not set("+!*") & set(request.path)
    with pytest.raises(EscherException):
        request.path += "&limit=1"
        _verify(request)


def test_signing_made_anew_for_every_attempt(
    api: Any, hook: AntavoHook, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dates = iter(["Thu, 15 Jan 2026 12:00:00 GMT", "Thu, 15 Jan 2026 12:00:09 GMT"])
    monkeypatch.setattr(Escher, "header_date", lambda self, time: next(dates))
    api.answers(answer(status=503), answer(body={"active": 5}))
    assert hook.count_active() == 5
    assert [request.headers["Date"][-6:] for request in api.received] == ["00 GMT", "09 GMT"]
    assert api.received[0].headers["Authorization"] != api.received[1].headers["Authorization"]


def test_signing_waits_for_the_limiter_before_the_date_is_set(
    api: Any, define: Any, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    class Slow:
        def acquire(self, bucket: str) -> None:
            events.append(bucket)

        def departed(self, bucket: str) -> None: ...

        def yield_for(self, bucket: str, seconds: float) -> None: ...

    def date(self: Escher, time: datetime.datetime) -> str:
        events.append("signed")
        return time.strftime("%a, %d %b %Y %H:%M:%S GMT")

    monkeypatch.setattr(Escher, "header_date", date)
    _define(define, api)
    api.answers(answer(body={"active": 5}))
    AntavoHook(limiter=Slow()).count_active()
    assert events == ["requests", "signed"]


def test_signing_none_sends_the_key_as_parameter(api: Any, define: Any, answer: Any) -> None:
    _define(define, api, signing="none", credential_scope=None)
    api.answers(answer(body={"active": 5}), answer(body=_page([{"_id": "a"}])))
    hook = AntavoHook()
    assert hook.count_active() == 5
    assert hook.sample(1) == [{"_id": "a"}]
    assert api.received[0].path == "/loyalty/customers/-/count?api_key=TESTKEY"
    assert api.received[1].query["api_key"] == KEY
    assert "Authorization" not in api.received[0].headers


@pytest.mark.parametrize(
    ("host", "extra", "read_url", "scope", "read_scope"),
    [
        ("https://api.st2.antavo.com", {}, "https://read-api.st2.antavo.com", "st2", "st2"),
        ("https://api.st2.antavo.com", {"read_api_url": "https://read-api.eu.antavo.com/"}, None, "st2", "eu"),
        ("https://api.st2.antavo.com", {"credential_scope": "x"}, "https://read-api.st2.antavo.com", "x", "x"),
        ("http://localhost", {"read_api_url": "http://localhost:1", "credential_scope": "x"}, None, "x", "x"),
        (
            "http://localhost",
            {"read_api_url": "localhost:1", "credential_scope": "x", "read_credential_scope": "y"},
            "http://localhost:1",
            "x",
            "y",
        ),
    ],
)
def test_hosts_left_out_are_derived(
    host: str, extra: dict[str, str], read_url: str | None, scope: str, read_scope: str
) -> None:
    def full(label: str) -> str:
        return label if len(label) == 1 else f"{label}/api/antavo_request"

    hosts = derive_hosts("c", host, Extras("c", extra), signed=True)
    assert hosts.read_url == (read_url or extra["read_api_url"].rstrip("/"))
    assert (hosts.loyalty_scope, hosts.read_scope) == (full(scope), full(read_scope))


@pytest.mark.parametrize(
    ("host", "extra", "name"),
    [
        ("https://antavo.brand.com", {"credential_scope": "x"}, "read_api_url"),
        ("https://antavo.brand.com", {"read_api_url": "https://read.brand.com"}, "credential_scope"),
        ("https://api.st2.antavo.com.evil.com", {}, "read_api_url"),
    ],
)
def test_hosts_that_cannot_be_derived_name_the_extra(host: str, extra: dict[str, str], name: str) -> None:
    with pytest.raises(Misconfigured, match=f"'c'.*extra {name}"):
        derive_hosts("c", host, Extras("c", extra), signed=True)


class Members:
    """A Read API on a real socket whose members join and leave between requests."""

    def __init__(self, answer: Any, seed: int) -> None:
        self.answer = answer
        self.random = random.Random(seed)
        self.rows: list[tuple[datetime.datetime, str]] = []
        for number in range(90):
            second = self.random.choice([7, 7, self.random.randrange(40)])
            self.rows.append((START + datetime.timedelta(seconds=second, microseconds=number % 2), f"c{number}"))
        self.stayers = {row[1] for row in self.rows}

    def __call__(self, request: Any) -> Any:
        gone = self.rows.pop(self.random.randrange(len(self.rows)))
        self.stayers.discard(gone[1])
        query = request.query
        assert query["limit"] == "1000"
        assert (query["sort[0][field]"], query["sort[0][direction]"]) == ("created_at", "asc")
        gte = query.get("filter[created_at][gte]")
        start = datetime.datetime.fromisoformat(gte) if gte else START
        rows = [row for row in sorted(self.rows) if row[0] >= start][int(query["offset"]) :][:11]
        page = [{"_id": id, "created_at": at.isoformat(), "email": f"{id}@example.com"} for at, id in rows]
        return self.answer(body=_page(page))


@pytest.mark.parametrize("seed", range(5))
def test_scan_members_leave_meanwhile_misses_none_who_stayed(
    api: Any, hook: AntavoHook, answer: Any, seed: int
) -> None:
    members = Members(answer, seed)
    api.respond = members
    ids = [customer["_id"] for page in hook.scan() for customer in page]
    assert members.stayers <= set(ids)
    assert len(ids) == len(set(ids))
    assert all(request.path.startswith("/read/v1/customers?") for request in api.received)


def test_scan_bounds_are_sent_in_z_and_kept_even_if_the_server_rounds(api: Any, hook: AntavoHook, answer: Any) -> None:
    rows = [{"_id": str(s), "created_at": f"2024-01-01T00:00:0{s}+00:00"} for s in range(6)]
    api.answers(answer(body=_page(rows)), answer(body=_page(rows[3:])), answer(body=_page([])))
    pages = list(hook.scan(gte="2024-01-01T02:00:02+02:00", lt="2024-01-01T00:00:04.000001Z"))
    assert [row["_id"] for page in pages for row in page] == ["2", "3", "4"]
    assert api.received[0].query["filter[created_at][gte]"] == "2024-01-01T00:00:02Z"
    assert api.received[0].query["filter[created_at][lt]"] == "2024-01-01T00:00:04.000001Z"


def test_scan_for_some_keys_gives_these_and_no_others(api: Any, hook: AntavoHook, answer: Any) -> None:
    row = {"_id": "1", "created_at": "2024-01-01T00:00:00+00:00", "email": "a@b.c", "tiers": {"x": {"_id": "g"}}}
    api.answers(answer(body=_page([row])), answer(body=_page([])))
    assert list(hook.scan(keys=["email", "score"])) == [[{key: row[key] for key in ("_id", "created_at", "email")}]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"payload": {"customers": {"_id": "1"}}}, "no list payload.customers"),
        ({"payload": {"customers": ["1"]}}, "no list payload.customers"),
        ({"error": {"message": "odd"}, "payload": {"customers": []}}, "an error in a 200 answer|odd"),
        ({"data": []}, "no list payload.customers"),
    ],
    ids=["no list", "no objects", "error beside", "another shape"],
)
def test_scan_for_some_keys_refuses_what_a_whole_one_refuses(
    api: Any, hook: AntavoHook, answer: Any, body: Any, words: str
) -> None:
    api.answers(answer(body=body))
    with pytest.raises(Retryable, match=words):
        list(hook.scan(keys=["email"]))


def test_scan_for_some_keys_takes_a_text_that_is_no_unicode(api: Any, hook: AntavoHook, answer: Any) -> None:
    row = {"_id": "1", "email": "\ud800", "created_at": "2024-01-01T00:00:00+00:00"}
    api.answers(answer(body=_page([row])), answer(body=_page([])))
    ((customer,),) = hook.scan(keys=["email"])
    assert customer["email"] == "\ud800"


def test_scan_bound_that_is_no_time_is_refused(hook: AntavoHook) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        hook.scan(gte="yesterday")


def test_events_of_the_hook_are_asked_in_order_from_a_time_in_z(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(body={"total": 1, "data": [{"id": "1", "timestamp": "2026-03-01T12:00:01.000Z"}]}))
    assert [page[0]["id"] for page in hook.events(datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC))] == ["1"]
    (asked,) = api.received
    assert asked.path.partition("?")[0].endswith("/customers/-/events")
    assert asked.query == {"timestamp.gte": "2026-03-01T12:00:00Z", "order": "asc", "offset": "0", "limit": "1000"}


def test_events_that_are_no_list_are_refused(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(body={"total": 1}))
    with pytest.raises(Retryable, match="no list `data`"):
        list(hook.events(datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)))


def test_created_at_at_gives_the_value_in_z_or_none(api: Any, hook: AntavoHook, answer: Any) -> None:
    row = {"_id": "a", "created_at": "2024-01-01T02:00:00.000123+02:00"}
    api.answers(answer(body=_page([row])), answer(body=_page([])))
    assert hook.created_at_at(50_000) == "2024-01-01T00:00:00.000123Z"
    assert hook.created_at_at(100_000) is None
    assert (api.received[0].query["offset"], api.received[0].query["limit"]) == ("50000", "1")


@pytest.mark.parametrize(
    "envelope",
    [
        {"_id": "a", "email": "x"},
        {"status": "success", "payload": {"_id": "a", "email": "x"}},
        {"status": "success", "payload": {"customer": {"_id": "a", "email": "x"}}},
        {"status": "success", "payload": {"customers": [{"_id": "a", "email": "x"}]}},
    ],
    ids=["bare", "payload", "customer", "customers"],
)
def test_customer_found_in_any_envelope(api: Any, hook: AntavoHook, answer: Any, envelope: Any) -> None:
    api.answers(answer(body=envelope))
    assert hook.customer("a b+c") == {"_id": "a", "email": "x"}
    assert api.received[0].path == "/read/v1/customers/a%20b%2Bc"
    assert _verify(api.received[0]) == KEY


@pytest.mark.parametrize(
    "script",
    [
        {"status": 404, "body": {"error": {"message": "not found", "code": 160212, "resendable": False}}},
        {"status": 400, "body": {"error": {"type": "X", "code": 160212, "message": "not found"}}},
        {"status": 400, "body": {"code": "160212", "message": "not found"}},
        {"status": 404},
    ],
)
def test_customer_unknown_is_none(api: Any, hook: AntavoHook, answer: Any, script: dict[str, Any]) -> None:
    api.answers(answer(**script))
    assert hook.customer("a") is None
    assert len(api.received) == 1


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_customer_id_that_would_change_the_path_is_never_asked(api: Any, hook: AntavoHook, id: str) -> None:
    assert hook.customer(id) is None
    assert api.received == []


def test_error_names_the_template_not_the_id(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(status=400, body={"error": {"message": "no"}}))
    with pytest.raises(Misconfigured, match=r"/v1/customers/\{id\}") as caught:
        hook.customer("ann@example.com")
    assert "ann" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error", "is_about_it"),
    [
        (400, {"message": "no"}, True),
        (422, {"message": "no"}, True),
        (500, {"message": "no", "resendable": False}, True),
        (401, {"message": "no"}, False),
        (409, {"message": "no"}, False),
    ],
)
def test_customer_refused_is_told_from_a_connection_at_fault(
    api: Any, hook: AntavoHook, answer: Any, status: int, error: dict[str, Any], is_about_it: bool
) -> None:
    api.answers(answer(status=status, body={"error": error}))
    with pytest.raises(Misconfigured) as caught:
        hook.customer("a")
    assert isinstance(caught.value, LookupRefused) is is_about_it
    assert len(api.received) == 1


def test_requests_per_minute_default_and_wrong(api: Any, hook: AntavoHook, define: Any) -> None:
    assert hook.requests_per_minute == 1500
    _define(define, api, requests_per_minute="fast")
    with pytest.raises(Misconfigured, match=r"'antavo_default'.*'requests_per_minute'"):
        _ = AntavoHook().requests_per_minute


def test_test_connection_fine_counts_the_active(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(body={"active": 24120}), answer(body=_page([])))
    assert hook.test_connection() == (True, "Both APIs answer; Antavo counts 24,120 active customers.")


def test_test_connection_bad_key_says_what_to_check(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(status=401, body={"error": {"type": "Auth", "code": 1, "message": "bad signature"}}))
    passed, message = hook.test_connection()
    assert not passed
    assert "bad signature" in message
    assert "API secret (password)" in message
    assert "clock" not in message
    assert SECRET not in message


def test_test_connection_clock_skew_is_named(api: Any, hook: AntavoHook, answer: Any) -> None:
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=20)
    api.answers(answer(status=403, headers={"Date": ahead.strftime("%a, %d %b %Y %H:%M:%S GMT")}))
    passed, message = hook.test_connection()
    assert not passed
    assert "s behind the server's" in message


def test_test_connection_wrong_read_api_says_so(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(body={"active": 1}), answer(body={"hello": "world"}))
    passed, message = hook.test_connection()
    assert not passed
    assert message.startswith("The Loyalty API answers, but: ")
    assert f"http://127.0.0.1:{api.port}/read/v1 (extra read_api_url)" in message


def test_test_connection_host_unreachable_says_so(define: Any) -> None:
    extra = {**EXTRA, "read_api_url": "http://127.0.0.1:9"}
    define("antavo_default", host="http://127.0.0.1:9", login=KEY, password=SECRET, extra=extra)
    passed, message = AntavoHook().test_connection()
    assert not passed
    assert "no connection to 127.0.0.1:9" in message


@pytest.mark.parametrize(
    "wrap", [lambda row: row, lambda row: [row], lambda row: {"data": [row]}, lambda row: {"data": row}]
)
def test_details_are_asked_by_id_and_fields(api: Any, hook: AntavoHook, answer: Any, wrap: Any) -> None:
    row = {"id": "a b", "expiring_points": {"total": 120}}
    api.answers(answer(body=wrap(row)))
    assert hook.details("a b", ("expiring_points", "expiring_points.history")) == row
    assert api.received[0].path == "/loyalty/customers/a%20b?fields=expiring_points%2Cexpiring_points.history"
    assert _verify(api.received[0]) == KEY


def test_details_of_an_unknown_customer_are_none(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(status=404, body={"error": {"type": "X", "code": 160212, "message": "not found"}}))
    assert hook.details("a", ("expiring_points",)) is None
    assert hook.details("..", ("expiring_points",)) is None
    assert len(api.received) == 1


def test_details_of_another_api_say_so(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(body={"hello": "world"}))
    with pytest.raises(Retryable, match="is the host the root of the Loyalty API"):
        hook.details("a", ("expiring_points",))


@pytest.mark.parametrize(
    "body",
    [
        [{"id": "a"}, {"id": 7}],
        {"data": [{"id": "a"}, {"id": "7"}], "next": None, "previous": None},
    ],
    ids=["a list", "data"],
)
def test_changed_accepts_every_shape_of_an_answer(api: Any, hook: AntavoHook, answer: Any, body: Any) -> None:
    api.answers(answer(body=body))
    assert list(hook.changed(START, START + datetime.timedelta(hours=1))) == [["a", "7"]]
    assert api.received[0].query == {
        "updated_at.gte": "2024-01-01T00:00:00Z",
        "updated_at.lt": "2024-01-01T01:00:00Z",
        "fields": "updated_at",
        "limit": "100",
        "offset": "0",
    }
    assert _verify(api.received[0]) == KEY


def test_changed_of_one_object_is_that_customer(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(body={"id": "a", "updated_at": 1704067200}))
    assert list(hook.changed(START, START + datetime.timedelta(hours=1))) == [["a"]]


def test_changed_page_that_has_a_next_one_is_halved(api: Any, hook: AntavoHook, answer: Any) -> None:
    def respond(request: Any) -> Any:
        low, high = (datetime.datetime.fromisoformat(request.query[f"updated_at.{name}"]) for name in ("gte", "lt"))
        is_wide = high - low > datetime.timedelta(minutes=40)
        return answer(body={"data": [{"id": f"{low:%M}"}], "next": "customers" if is_wide else None})

    api.respond = respond
    assert list(hook.changed(START, START + datetime.timedelta(hours=1))) == [["00"], ["30"]]
    assert len(api.received) == 3


def test_changed_of_another_api_says_so(api: Any, hook: AntavoHook, answer: Any) -> None:
    api.answers(answer(body={"hello": "world"}))
    with pytest.raises(Retryable, match="is the host the root of the Loyalty API"):
        list(hook.changed(START, START + datetime.timedelta(hours=1)))
