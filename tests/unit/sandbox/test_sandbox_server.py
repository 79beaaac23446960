"""The sandbox over a real socket, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from escherauth import EscherRequestsAuth
from ometria_provider.sandbox import RunningSandbox, SandboxSettings, running

ESCHER = {
    "algo_prefix": "ANTAVO",
    "vendor_key": "Antavo",
    "hash_algo": "SHA256",
    "auth_header_name": "Authorization",
    "date_header_name": "Date",
}
KEY = {"X-Ometria-Auth": SandboxSettings.ometria_key}
SIGNED = EscherRequestsAuth(
    SandboxSettings.antavo_key, SandboxSettings.antavo_secret, SandboxSettings.credential_scope, ESCHER
)


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningSandbox]:
    with running(SandboxSettings(members=300, validation_delay_ms=0)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: RunningSandbox) -> RunningSandbox:
    shared.control("reset", {})
    return shared


def push(sandbox: RunningSandbox, *ids: str, timeout: float = 5) -> requests.Response:
    records = [
        {"@type": "contact", "@collection": "k", "@merge": True, "id": i, "customer_id": i} for i in ids or ("a",)
    ]
    return requests.post(f"{sandbox.ometria}/v2/push", json=records, headers=KEY, timeout=timeout)


def fault(sandbox: RunningSandbox, kind: str, **settings: Any) -> None:
    sandbox.control("faults", {"kind": kind, "api": "ometria", "path": "/v2/push", "times": 1} | settings)


def received(sandbox: RunningSandbox, contact: str = "a") -> int:
    count: int = sandbox.control(f"stats?contact=k/{contact}")["received"]
    return count


def outcomes(sandbox: RunningSandbox) -> dict[str, int]:
    found: dict[str, int] = sandbox.control("stats")["requests"].get("ometria POST /v2/push", {})
    return found


@pytest.mark.parametrize("root", ["loyalty", "url"])
def test_signed_request_passes_under_a_prefix_and_without(sandbox: RunningSandbox, root: str) -> None:
    url = f"{getattr(sandbox, root)}/customers"
    answer = requests.get(
        url, params={"updated_at.gt": "2020-01-01T00:00:00Z", "fields": "email,score"}, auth=SIGNED, timeout=5
    )
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 100


def test_read_api_passes_signed_only(sandbox: RunningSandbox) -> None:
    url = f"{sandbox.read}/v1/customers"
    assert requests.get(url, params={"limit": "5"}, auth=SIGNED, timeout=5).status_code == 200
    unsigned = requests.get(url, params={"api_key": SandboxSettings.antavo_key}, timeout=5)
    assert (unsigned.status_code, unsigned.json()["error"]["resendable"]) == (401, False)
    wrong = EscherRequestsAuth(SandboxSettings.antavo_key, "other", SandboxSettings.credential_scope, ESCHER)
    assert requests.get(url, auth=wrong, timeout=5).status_code == 403


def test_api_key_is_enough_where_signing_is_not_required() -> None:
    with running(SandboxSettings(members=5, require_signature=False)) as sandbox:
        url = f"{sandbox.loyalty}/customers/-/count"
        assert requests.get(url, params={"api_key": SandboxSettings.antavo_key}, timeout=5).status_code == 200
        assert requests.get(url, params={"api_key": "other"}, timeout=5).status_code == 401
        assert requests.get(url, auth=SIGNED, timeout=5).status_code == 200


def test_ometria_key_is_checked(sandbox: RunningSandbox) -> None:
    url = f"{sandbox.ometria}/v2/lists"
    assert requests.get(url, timeout=5).status_code == 401
    wrong = requests.get(url, headers={"X-Ometria-Auth": "other"}, timeout=5)
    assert (wrong.status_code, wrong.json()["error"]) == (403, "API key is not authorised to access this resource")
    assert requests.get(url, headers=KEY, timeout=5).status_code == 200


def test_burst_of_nine_pushes_gets_one_429_and_stores_eight(sandbox: RunningSandbox) -> None:
    began = time.monotonic()
    statuses = [push(sandbox, f"c{n}").status_code for n in range(9)]
    if time.monotonic() - began > 0.9:
        pytest.skip("the machine is too slow for a burst")
    assert statuses == [200] * 8 + [429]
    stats = sandbox.control("stats")
    assert (stats["throttled"], stats["pushed"]["records"]) == (1, 8)
    assert stats["limits"]["ometria push"]["refused"] == 1
    assert requests.get(f"{sandbox.ometria}/v2/lists", headers=KEY, timeout=5).status_code == 200  # a bucket of its own


def test_antavo_429_has_no_rate_headers(sandbox: RunningSandbox) -> None:
    sandbox.control("settings", {"antavo_requests_per_minute": 1})
    try:
        answers = [requests.get(f"{sandbox.read}/v1/customers", auth=SIGNED, timeout=5) for _ in range(2)]
    finally:
        sandbox.control("settings", {"antavo_requests_per_minute": 1500})
    assert [answer.status_code for answer in answers] == [200, 429]
    assert not [name for name in answers[1].headers if "rate" in name.lower() or name.lower() == "retry-after"]
    assert answers[1].json()["error"]["resendable"] is True


@pytest.mark.parametrize(
    ("kind", "settings", "status"),
    [
        ("429", {"retry_after": 2}, 429),
        ("429", {}, 429),
        ("500", {}, 500),
        ("refused", {"status": 422}, 422),
        ("502_html", {}, 502),
        ("html", {}, 200),
    ],
)
def test_fault_answers_instead_of_the_system(
    sandbox: RunningSandbox, kind: str, settings: dict[str, Any], status: int
) -> None:
    fault(sandbox, kind, **settings)
    answer = push(sandbox)
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == (str(settings["retry_after"]) if "retry_after" in settings else None)
    assert answer.headers["Content-Type"].startswith("text/html" if "html" in kind else "application/json")
    assert received(sandbox) == 0
    assert push(sandbox).status_code == 200
    assert outcomes(sandbox) == {"200": 1, kind.removesuffix("_html"): 1}


@pytest.mark.parametrize(("kind", "stored"), [("reset_before", 0), ("reset_after", 1)])
def test_reset_cuts_the_connection_before_or_after_storing(sandbox: RunningSandbox, kind: str, stored: int) -> None:
    fault(sandbox, kind)
    with pytest.raises(requests.ConnectionError):
        push(sandbox)
    assert received(sandbox) == stored
    assert outcomes(sandbox) == {kind: 1}


@pytest.mark.parametrize(("kind", "stored"), [("timeout_before", 0), ("timeout_after", 1)])
def test_timeout_answers_nobody_before_or_after_storing(sandbox: RunningSandbox, kind: str, stored: int) -> None:
    fault(sandbox, kind, seconds=30)
    with pytest.raises(requests.Timeout):
        push(sandbox, timeout=0.2)
    assert received(sandbox) == stored


def test_truncated_answer_ends_in_the_middle(sandbox: RunningSandbox) -> None:
    sandbox.control("faults", {"kind": "truncated", "api": "antavo", "times": 1})
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        requests.get(f"{sandbox.read}/v1/customers", auth=SIGNED, timeout=5)
    assert requests.get(f"{sandbox.read}/v1/customers", auth=SIGNED, timeout=5).status_code == 200


def test_slow_answer_comes_whole(sandbox: RunningSandbox) -> None:
    fault(sandbox, "slow", seconds=0.05)
    assert push(sandbox).json()["status"] == "OK"


def test_poison_refuses_every_push_that_holds_it(sandbox: RunningSandbox) -> None:
    fault(sandbox, "poison", contacts=["b"], times=None, status=422)
    assert [push(sandbox, *ids).status_code for ids in (("a", "b"), ("a",), ("b",))] == [422, 200, 422]
    assert (received(sandbox, "a"), received(sandbox, "b")) == (1, 0)


def test_rejected_fault_counts_records_in_the_answer(sandbox: RunningSandbox) -> None:
    fault(sandbox, "rejected", contacts=["b"])
    answer = push(sandbox, "a", "b").json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert sandbox.control("contacts/k/a")["contact"]["id"] == "a"
    assert sandbox.control("contacts/k/b") == {"contact": None, "received": 1, "repeats": 0}


def test_late_error_fault_names_a_field_later(sandbox: RunningSandbox) -> None:
    fault(sandbox, "late_error", contacts=["b"], field="phone_number")
    assert push(sandbox, "a", "b").json()["rejected"] == 0
    errors = requests.get(f"{sandbox.ometria}/v2/push/_errors", headers=KEY, timeout=5).json()
    assert errors == [{"error_message": "not a valid value", "error_path": "root > phone_number"}]
    assert sandbox.control("contacts/k/b")["contact"] is None


def test_fault_skips_then_strikes_so_many_times(sandbox: RunningSandbox) -> None:
    fault(sandbox, "500", skip=1, times=2)
    assert [push(sandbox).status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    assert sandbox.control("faults")[0]["struck"] == 2
    assert sandbox.control("faults", method="DELETE") == []


def test_fault_by_probability_strikes_some(sandbox: RunningSandbox) -> None:
    sandbox.control("faults", {"kind": "500", "path": "/customers/*", "probability": 0.5})
    url = f"{sandbox.loyalty}/customers/-/count"
    with requests.Session() as session:
        statuses = {session.get(url, auth=SIGNED, timeout=5).status_code for _ in range(40)}
    assert statuses == {200, 500}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("faults", {"kind": "meteor"}),
        ("faults", {"kind": "500", "tims": 1}),
        ("members", {"chnge": 1}),
        ("settings", {"members": 5}),
        ("reset", {"what": ["all"]}),
        ("events", {}),
        ("claims", {"cuont": 1}),
        ("claims", {"every": 1, "count": 2, "who": "x"}),
        ("rewards", {"remove": []}),
    ],
)
def test_control_with_a_mistake_is_refused(sandbox: RunningSandbox, path: str, content: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        sandbox.control(path, content)
    assert refused.value.code == 400
    refused.value.close()


def test_control_changes_members_and_leaves_events(sandbox: RunningSandbox) -> None:
    done = sandbox.control("members", {"change": 3, "remove": 2, "add": [{"first_name": "Bea"}], "seed": 1})
    assert {name: len(ids) for name, ids in done.items()} == {"changed": 3, "removed": 2, "added": 1}
    assert sandbox.control("members")["members"] == 299
    events = requests.get(f"{sandbox.loyalty}/customers/-/events", auth=SIGNED, timeout=5).json()
    assert [event["action"] for event in events["data"]] == ["profile"] * 3 + ["opt_out"] * 2 + ["opt_in"]
    joined = requests.get(f"{sandbox.read}/v1/customers/{done['added'][0]}", auth=SIGNED, timeout=5).json()
    assert joined["payload"]["customer"]["first_name"] == "Bea"
    assert sandbox.control("reset", {"what": ["members"]}) == {"reset": ["members"]}
    assert sandbox.control("members")["members"] == 300


def test_control_sets_chosen_fields_of_chosen_members(sandbox: RunningSandbox) -> None:
    (customer_id,) = sandbox.control("members?limit=1")["ids"]
    sandbox.control(
        "members", {"change": [customer_id, "nobody"], "set": {"properties.newsletter": "no", "email": None}}
    )
    row = requests.get(f"{sandbox.read}/v1/customers/{customer_id}", auth=SIGNED, timeout=5).json()["payload"][
        "customer"
    ]
    assert (row["properties"]["newsletter"], row["email"]) == ("no", None)


def test_control_unsubscribes_somebody(sandbox: RunningSandbox) -> None:
    sandbox.control("unsubscribes", {"email": "ann@example.com"})
    (row,) = requests.get(f"{sandbox.ometria}/v2/unsubscribes", headers=KEY, timeout=5).json()
    assert (row["email_address"], row["type"]) == ("ann@example.com", "email")


def test_control_lets_members_claim_and_shows_the_emails(sandbox: RunningSandbox) -> None:
    (customer,) = sandbox.control("members?limit=1")["ids"]
    reward = sandbox.control("rewards")[0]
    (event_id,) = sandbox.control("claims", {"customer": customer, "reward": reward["id"]})["ids"]
    assert sandbox.control("claims") == {"claims": 1, "to_come": 0}
    page = requests.get(f"{sandbox.loyalty}/customers/-/events", auth=SIGNED, timeout=5).json()
    assert [event["id"] for event in page["data"]] == [event_id]
    shown = requests.get(f"{sandbox.loyalty}/entities/rewards/reward/{reward['id']}", auth=SIGNED, timeout=5).json()
    assert shown == reward
    contact = {"@type": "contact", "@collection": "k", "id": "a", "customer_id": customer, "email": "a@example.com"}
    claimed = {"@type": "custom_event", "id": event_id, "event_type": "loyalty_reward_claimed"}
    claimed |= {"timestamp": page["data"][0]["timestamp"], "identity_account_id": customer}
    for record in (contact, claimed | {"properties": {"reward_name": "Tote bag"}}):
        requests.post(f"{sandbox.ometria}/v2/push", json=[record], headers=KEY, timeout=5)
    emails = sandbox.control("emails?limit=5")
    assert (emails["sent"], emails["emails"][0]["subject"]) == (1, "Tote bag is yours")
    assert sandbox.control(f"custom_events/{event_id}")["received"] == 1
    assert [event["id"] for event in sandbox.control("custom_events")] == [event_id]
    assert sandbox.control("rewards", {"delete": [reward["id"]], "change": {"x": {}}}) == {
        "deleted": [reward["id"]],
        "changed": [],
    }
    counts = sandbox.control("stats")["requests"]
    assert counts["loyalty GET /entities/rewards/reward/{id}"] == {"200": 1}


def test_control_changes_the_event_type_of_the_campaign(sandbox: RunningSandbox) -> None:
    try:
        assert sandbox.control("settings", {"campaign_event_type": "t"})["campaign_event_type"] == "t"
        event = {"@type": "custom_event", "id": "e", "event_type": "t", "timestamp": "2026-01-01T00:00:00Z"}
        requests.post(f"{sandbox.ometria}/v2/push", json=[event | {"profile_id": "1"}], headers=KEY, timeout=5)
        assert sandbox.control("emails")["unknown_contact"] == 1
    finally:
        sandbox.control("settings", {"campaign_event_type": "loyalty_reward_claimed"})


def test_control_lets_members_claim_while_somebody_watches(sandbox: RunningSandbox) -> None:
    sandbox.control("claims", {"count": 3, "every": 0.01})
    deadline = time.monotonic() + 30
    while sandbox.control("claims") != {"claims": 3, "to_come": 0}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sandbox.control("claims", {"count": 100, "every": 3600})
    assert sandbox.control("claims", method="DELETE") == {"claims": 3, "to_come": 0}


@pytest.mark.parametrize("path", ["/rewards/*", "/entities/rewards/reward/*", "/customers/*/events"])
def test_faults_strike_the_calls_of_campaigns(sandbox: RunningSandbox, path: str) -> None:
    sandbox.control("faults", {"kind": "500", "api": "loyalty", "path": path, "times": 1})
    url = sandbox.loyalty + path.replace("*", "x")
    statuses = [requests.get(url, auth=SIGNED, timeout=5).status_code for _ in range(2)]
    assert statuses[0] == 500
    assert statuses[1] in {200, 404}


@pytest.mark.parametrize("chosen", [{"contacts": ["e1"]}, {}], ids=["one", "all"])
def test_late_error_fault_strikes_custom_events(sandbox: RunningSandbox, chosen: dict[str, Any]) -> None:
    sandbox.control("faults", {"kind": "late_error", "field": "event_type"} | chosen)
    event = {"@type": "custom_event", "event_type": "t", "timestamp": "2026-01-01T00:00:00Z", "profile_id": "1"}
    records = [event | {"id": name} for name in ("e1", "e2")]
    requests.post(f"{sandbox.ometria}/v2/push", json=records, headers=KEY, timeout=5)
    assert sandbox.control("stats")["events"]["stored"] == (1 if chosen else 0)
    errors = requests.get(f"{sandbox.ometria}/v2/push/_errors", headers=KEY, timeout=5).json()
    assert errors[0]["error_path"] == "root > event_type"


def test_control_changes_latency_and_validates_on_demand(sandbox: RunningSandbox) -> None:
    sandbox.control("settings", {"latency_ms": 60, "validation_delay_ms": 60_000})
    try:
        assert push(sandbox).elapsed.total_seconds() >= 0.06
        assert sandbox.control("contacts/k/a")["contact"] is None
        assert sandbox.control("validate", {})["pushes_stored"] == 1
        assert sandbox.control("contacts/k/a")["contact"]["id"] == "a"
    finally:
        sandbox.control("settings", {"latency_ms": 0, "validation_delay_ms": 0})


def test_endpoints_are_counted_without_ids(sandbox: RunningSandbox) -> None:
    requests.get(f"{sandbox.read}/v1/customers/x1", auth=SIGNED, timeout=5)
    requests.get(f"{sandbox.ometria}/v2/contacts/k/c9", headers=KEY, timeout=5)
    assert sandbox.control("stats")["requests"] == {
        "ometria GET /v2/contacts/{collection}/{id}": {"404": 1},
        "read GET /v1/customers/{id}": {"404": 1},
    }


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_state_outlives_the_process(tmp_path: Path, kill: signal.Signals) -> None:
    path = tmp_path / "sandbox.db"
    settings = SandboxSettings(members=50, state=path, validation_delay_ms=0)
    with running(settings) as sandbox:
        requests.get(f"{sandbox.ometria}/v2/lists/77", headers=KEY, timeout=5)
        (gone,) = sandbox.control("members", {"remove": 1})["removed"]
        written = log_size(path)
        push(sandbox, "a", "b")
        if kill == signal.SIGKILL:
            wait_until(lambda: log_size(path) > written)
        os.kill(sandbox.process.pid, kill)
        sandbox.process.wait()
    with running(settings) as sandbox:
        assert sandbox.control("members")["members"] == 49
        assert requests.get(f"{sandbox.read}/v1/customers/{gone}", auth=SIGNED, timeout=5).status_code == 404
        assert sandbox.control("contacts/k/a") == {
            "contact": {"@type": "contact", "@collection": "k", "id": "a", "customer_id": "a"},
            "received": 1,
            "repeats": 0,
        }
        assert sandbox.control("contacts")["lists"] == {"77": 0, "5100": 0}
        push(sandbox, "a")
        assert sandbox.control("stats?contact=k/a") == {"received": 2, "repeats": 1}


def log_size(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ometria_provider.sandbox", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, input="", check=False)


def test_second_sandbox_on_one_state_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    with running(SandboxSettings(members=5, state=path)):
        done = run("--port", "0", "--state", str(path))
    assert done.returncode == 1
    assert "Stop the other sandbox" in done.stderr
    assert "Traceback" not in done.stderr


def test_state_file_of_something_else_says_so(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database" * 100)
    done = run("--port", "0", "--state", str(path))
    assert done.returncode == 1
    assert "cannot use its state file" in done.stderr


def test_taken_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "Choose another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_sandbox_ends_when_its_parent_does() -> None:
    assert run("--port", "0", "--until-stdin-closes").returncode == 0
