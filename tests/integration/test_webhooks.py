"""The webhook receiver over real sockets, with a real ledger: what is answered, and what is in the inbox then."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ometria_provider.cli.app import app
from ometria_provider.ledger import inbox
from ometria_provider.ledger.engine import Ledger, open_ledger, upgrade
from ometria_provider.web import lookup, webhooks
from ometria_provider.workflows.events import LARGEST_EVENT
from receiver import CONNECTION, LOGIN, PASSWORD, SECRET, Site, event, serving, token
from sqlalchemy import text
from typer.testing import CliRunner

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", url)
    opened = open_ledger(url)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workflows"
    folder.mkdir()
    shutil.copy(CHECKOUT / "include" / "workflows" / "reward_claimed.yaml", folder)
    monkeypatch.setenv("AIRFLOW__OMETRIA__WORKFLOWS_FOLDER", str(folder))
    return folder


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the connection; None takes it away."""
    monkeypatch.setattr(lookup, "FRESH_CONNECTION", 0)
    monkeypatch.setattr(lookup, "FRESH_FOLDER", 0)

    def make(connection: dict[str, Any] | None) -> None:
        if connection is None:
            monkeypatch.delenv("AIRFLOW_CONN_ANTAVO_WEBHOOK", raising=False)
        else:
            monkeypatch.setenv("AIRFLOW_CONN_ANTAVO_WEBHOOK", json.dumps(connection))

    make(CONNECTION)
    return make


@pytest.fixture
def site(ledger: Ledger, workflows: Path, connect: Callable[..., None]) -> Iterator[Site]:
    with serving() as served:
        yield served


def rows(ledger: Ledger, query: str = "SELECT event_id FROM event_inbox ORDER BY id") -> list[Any]:
    with ledger.read() as connection:
        return [tuple(row) if len(row) > 1 else row[0] for row in connection.execute(text(query))]


def test_webhook_is_in_the_inbox_when_it_is_answered(site, ledger):
    answer = site.post(event("e1"))
    assert (answer.status_code, answer.json()) == (200, {"status": "kept", "workflows": 1})
    assert rows(ledger, "SELECT account, event_id, action, customer_id, source FROM event_inbox") == [
        ("antavo_default", "e1", "reward", "c1", "webhook")
    ]
    assert rows(ledger, "SELECT event_id, workflow, state FROM event_delivery") == [("e1", "reward_claimed", "waiting")]


def test_webhook_that_comes_again_is_answered_200_and_kept_once(site, ledger):
    answers = [site.post(event("e1")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.json()["status"] for answer in answers] == ["kept", "duplicate", "duplicate"]
    assert rows(ledger) == ["e1"]


def test_webhook_of_an_event_that_was_asked_for_is_the_same_event(site, ledger):
    upgrade(str(ledger.engine.url))
    asked = inbox.Collected("e1", "reward", "c1", None, b"{}", ("reward_claimed",))
    assert inbox.put(ledger, "antavo_default", [asked], inbox.ASKED) == [True]
    assert site.post(event("e1")).json()["status"] == "duplicate"
    assert site.post(event("e2")).json()["status"] == "kept"
    other = inbox.Collected("e2", "reward", "c1", None, b"{}", ("reward_claimed",))
    assert inbox.put(ledger, "antavo_default", [other], inbox.ASKED) == [False]
    assert rows(ledger, "SELECT event_id, source FROM event_inbox ORDER BY id") == [("e1", "asked"), ("e2", "webhook")]
    assert len(rows(ledger, "SELECT id FROM event_delivery")) == 2


def test_webhook_that_no_workflow_names_is_answered_200_and_not_kept(site, ledger):
    answer = site.post(event("e1", action="checkout"))
    assert answer.status_code == 200
    assert answer.json() == {"status": "ignored", "workflows": 0, "reason": "no workflow is about such an event"}
    assert site.post(event("e2")).status_code == 200
    assert rows(ledger) == ["e2"]


def test_webhook_that_no_workflow_names_needs_no_ledger(site, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__OMETRIA__LEDGER_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/a_file/ledger.db")
    (tmp_path / "a_file").touch()
    assert site.post(event("e1", action="checkout")).status_code == 200
    assert site.post(event("e2")).status_code == 503


def test_webhook_is_for_the_antavo_connection_that_the_connection_names(site, ledger, workflows, connect):
    text_ = (workflows / "reward_claimed.yaml").read_text()
    (workflows / "eu.yaml").write_text(text_ + "\nconnections: {antavo: antavo_eu}\n")
    connect({**CONNECTION, "extra": {"antavo_connection": "antavo_eu"}})
    assert site.post(event("e1")).json() == {"status": "kept", "workflows": 1}
    assert rows(ledger, "SELECT account, workflow FROM event_delivery") == [("antavo_eu", "eu")]


def test_webhook_without_the_connection_is_404_until_it_exists(site, ledger, connect):
    connect(None)
    assert site.post(event()).status_code == 404
    connect(CONNECTION)
    assert site.post(event()).status_code == 200
    connect(None)
    assert site.post(event("e2")).status_code == 404
    assert rows(ledger) == ["e1"]


def test_webhook_with_a_connection_that_cannot_be_used_is_asked_to_come_again(site, ledger, connect, caplog):
    connect({"conn_type": "http", "login": LOGIN})
    answer = site.post(event())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert LOGIN not in answer.text
    assert "the password is missing" in caplog.text


@pytest.mark.parametrize("auth", [None, (LOGIN, "wrong"), "no.token.here"])
def test_webhook_from_anybody_else_is_401(site, auth):
    answer = site.post(event(), auth=auth)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="ometria", charset="UTF-8", Bearer'


def test_webhook_denied_is_not_even_read(site):
    """A body that never ends does not hold up who has no credentials."""
    parts: Iterator[bytes] = (b"x" * 1000 for _ in iter(int, 1))
    assert site.post(parts, auth=(LOGIN, "wrong"), headers={"Connection": "close"}).status_code == 401


def test_webhook_with_a_token_is_kept_and_a_replay_is_no_second_event(site, ledger):
    used = token(jti=uuid.uuid4().hex)
    assert site.post(event("e1"), auth=used).json()["status"] == "kept"
    # The sender's own next try.
    again = site.post(event("e1"), auth=used)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    # Somebody who took hold of it.
    forged = site.post(event("e2"), auth=used)
    assert (forged.status_code, forged.json()["reason"]) == (401, "the token was used for another event already")
    assert site.post(event("e3"), auth=token(jti=uuid.uuid4().hex)).status_code == 200
    assert rows(ledger) == ["e1", "e3"]


def test_webhook_replay_after_the_server_started_anew_is_refused_as_well(ledger, workflows, connect):
    used = token(jti="once")
    with serving() as first:
        assert first.post(event("e1"), auth=used).status_code == 200
    with serving() as second:
        assert second.post(event("e2"), auth=used).status_code == 401
    assert rows(ledger) == ["e1"]


@pytest.mark.parametrize(
    ("what", "why", "traced"),
    [
        ("forged", "the token's signature is wrong", False),
        ("expired", "the token has expired", True),
        ("replayed", "the token was used for another event already", True),
    ],
)
def test_webhook_with_a_bad_token_holds_no_other_back_and_is_traced_if_the_sender_signed_it(
    site, ledger, caplog, what, why, traced
):
    used = token(jti=uuid.uuid4().hex)
    assert site.post(event("e1"), auth=used).status_code == 200
    bad = {"forged": token("another secret, as long as it must be"), "expired": token(lasts=-60), "replayed": used}
    refused = site.post(event("e2"), auth=bad[what])
    assert (refused.status_code, refused.json()["reason"]) == (401, why)
    assert f"A webhook was answered 401: {why}" in caplog.messages
    assert site.post(event("e3"), auth=token(jti=uuid.uuid4().hex)).status_code == 200
    assert rows(ledger) == ["e1", "e3"]
    told = {id_: CliRunner().invoke(app, ["trace", id_]) for id_ in ("e1", "e2", "e3")}
    assert [result.exit_code for result in told.values()] == [0, 0 if traced else 1, 0]
    assert (why in told["e2"].output) is traced
    assert "reward_claimed: waiting, " in told["e3"].output


def test_webhook_with_an_expired_token_is_401_whatever_it_holds(site):
    assert site.post(b"nonsense", auth=token(lasts=-60)).status_code == 401


def test_webhook_refused_once_and_taken_then_shows_both_in_trace(site, ledger):
    assert site.post(event("e1"), auth=token(lasts=-60)).status_code == 401
    assert site.post(event("e1"), auth=token(jti=uuid.uuid4().hex)).status_code == 200
    output = CliRunner().invoke(app, ["trace", "e1", "-o", "json"]).output
    (refused,) = json.loads(output)["refused_webhooks"]
    assert (refused["event_id"], refused["reason"]) == ("e1", "the token has expired")
    assert len(json.loads(output)["events"]) == 1
    assert rows(ledger) == ["e1"]


def test_webhook_tokens_without_a_name_serve_many_events_until_they_expire(site, ledger):
    same = token()
    assert [site.post(event(name), auth=same).status_code for name in ("e1", "e2")] == [200, 200]
    assert site.post(event("e3"), auth=token(lasts=-1)).status_code == 401
    assert rows(ledger) == ["e1", "e2"]


def test_webhook_that_is_too_large_is_413_whether_it_says_so_or_not(site, ledger):
    said = site.post(b"x" * (webhooks.LARGEST_BODY + 1))
    assert said.status_code == 413
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 100_000

    with contextlib.suppress(OSError):  # the answer may be lost when the server closes while we send
        assert site.post(parts()).status_code == 413
    assert sent < 100
    assert site.post(event("e0", properties={"a": "x" * LARGEST_EVENT})).status_code == 422
    assert site.post(event("e1", properties={"a": "x" * (LARGEST_EVENT - 1_000)})).status_code == 200
    assert rows(ledger) == ["e1"]


def test_webhook_body_that_does_not_come_is_given_up(site, monkeypatch):
    monkeypatch.setattr(webhooks, "READ_SECONDS", 0.2)
    host, port = site.url.split("/")[2].split(":")
    basic = base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()
    with socket.create_connection((host, int(port)), timeout=20) as stalled:
        head = f"POST /ometria/webhooks/antavo HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n"
        stalled.sendall(f"{head}Content-Length: 100\r\n\r\n".encode() + b"{")
        assert b" 408 " in stalled.recv(1000)


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"event": 1}', json.dumps(event(id=None)).encode()])
def test_webhook_of_unknown_shape_is_422_and_says_what_to_send(site, ledger, body):
    answer = site.post(body)
    assert answer.status_code == 422
    assert '{"event": {"id"' in answer.json()["reason"]
    assert site.post(event()).status_code == 200


def test_webhook_while_the_ledger_is_locked_is_asked_to_come_again_and_kept_then(site, ledger, monkeypatch):
    assert site.post(event("before")).status_code == 200
    monkeypatch.setattr(webhooks, "KEEP_SECONDS", 0.5)
    with ledger.write():
        answer = site.post(event("e1"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    monkeypatch.setattr(webhooks, "KEEP_SECONDS", 20)
    assert site.post(event("e1")).status_code == 200
    assert rows(ledger) == ["before", "e1"]


def test_webhook_into_a_ledger_of_another_version_is_asked_to_come_again(site, ledger, caplog):
    with ledger.write() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
    assert site.post(event()).status_code == 503
    assert "ometria-sync ledger upgrade" in caplog.text


def test_webhook_while_a_workflow_file_is_broken_is_never_dropped_unseen(site, ledger, workflows):
    (workflows / "broken.yaml").write_text("trigger: [\n")
    assert site.post(event("e1")).status_code == 200  # another workflow wants it
    assert site.post(event("e2", action="checkout")).status_code == 503
    (workflows / "broken.yaml").unlink()
    assert site.post(event("e2", action="checkout")).json()["status"] == "ignored"
    assert rows(ledger) == ["e1"]


def test_webhooks_beyond_the_bound_are_asked_to_come_again_and_the_others_kept(site, ledger, monkeypatch):
    assert site.post(event("before")).status_code == 200
    monkeypatch.setattr(webhooks, "MOST_IN_WORK", 3)

    def post(number: int) -> int:
        return int(Site(site.url).post(event(f"e{number}")).status_code)

    with ThreadPoolExecutor(10) as pool, ledger.write():
        answers = [pool.submit(post, number) for number in range(10)]
        while sum(answer.done() for answer in answers) < 7:
            time.sleep(0.01)
        assert [answer.result() for answer in answers if answer.done()] == [503] * 7
    assert sorted(answer.result() for answer in answers) == [200] * 3 + [503] * 7
    assert len(rows(ledger)) == 4


def test_webhooks_at_once_are_written_in_few_transactions(site, ledger, monkeypatch):
    assert site.post(event("before")).status_code == 200
    written: list[int] = []
    real = inbox.put

    def put(ledger_: Ledger, account: str, events: Any, source: str) -> list[bool]:
        written.append(len(events))
        return real(ledger_, account, events, source)

    monkeypatch.setattr(inbox, "put", put)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: Site(site.url).post(event(f"e{n}")).status_code, range(100)))
    assert answers == [200] * 100
    assert len(rows(ledger)) == 101
    assert sum(written) == 100
    assert len(written) < 60


def test_webhooks_say_nothing_of_members_and_keys_in_log_and_answer(site, ledger, caplog):
    caplog.set_level(0)
    secrets = [PASSWORD, SECRET, "ann@example.com", "r-secret-value"]
    personal = event("e1", properties={"mail": "ann@example.com", "reward": "r-secret-value"})
    texts = [site.post(personal).text, site.post(personal, auth=token()).text]
    texts += [site.post({**personal, "event": {**personal["event"], "id": {"x": "ann@example.com"}}}).text]
    texts += [site.post(personal, auth=(LOGIN, PASSWORD + "x")).text, site.post(b'{"ann@example.com": 1}').text]
    for secret in secrets:
        assert secret not in "".join(texts)
        assert secret not in caplog.text


@pytest.mark.parametrize("path", ["", "/", "/docs", "/openapi.json", "/antavo/", "/antavo/x"])
def test_webhooks_app_serves_nothing_else(site, path):
    base = site.url.removesuffix("/antavo")
    assert site.session.get(base + path, timeout=30).status_code in (404, 405)
    assert site.session.get(site.url, timeout=30).status_code == 405


def test_webhooks_answered_200_by_a_server_that_is_killed_are_all_in_the_inbox(ledger, workflows, connect):
    upgrade(str(ledger.engine.url))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--factory", "receiver:mounted", "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "tests" / "support")}
    server = subprocess.Popen([sys.executable, "-m", "uvicorn", *arguments], env=environment)
    url = f"http://127.0.0.1:{port}/ometria/webhooks/antavo"
    answered: list[str] = []

    def post(worker: int) -> None:
        site, number = Site(url), 0
        while server.poll() is None:
            number += 1
            with contextlib.suppress(OSError):
                if site.post(event(f"{worker}-{number}")).status_code == 200:
                    answered.append(f"{worker}-{number}")

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(post, worker) for worker in range(8)]
        try:
            deadline = time.monotonic() + 60
            while len(answered) < 200 and time.monotonic() < deadline:
                time.sleep(0.01)
            with ledger.write():  # what is in work now cannot be committed, and must not be answered
                time.sleep(0.5)
                server.kill()
                server.wait()
        finally:
            server.kill()
            server.wait()
    assert [worker.exception() for worker in workers] == [None] * 8
    assert len(answered) >= 200
    there = rows(ledger)
    assert set(answered) - set(there) == set()
    assert len(there) == len(set(there))
