"""Alerts arrive where the connection says: plain JSON, Slack and e-mail, each over a real socket."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from ometria_provider.exceptions import Misconfigured
from ometria_provider.hooks.alerts import AlertChannel
from services import mail_server, posts


def connect(monkeypatch: pytest.MonkeyPatch, config: Any, conn_id: str = "alerts") -> AlertChannel:
    value = json.dumps({"conn_type": "apprise", "extra": {"config": config}})
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", value)
    return AlertChannel(conn_id)


def test_alert_arrives_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    with posts() as service:
        taken, refused = connect(monkeypatch, {"path": service.url}).send("It is red", "one\ntwo <3", "failure")
    assert (taken, refused) == (["JSON"], [])
    (post,) = service.received
    assert (post["title"], post["message"], post["type"]) == ("It is red", "one\ntwo <3", "failure")


def test_alert_arrives_in_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.slack import NotifySlack

    with posts() as slack:
        monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{slack.port}/services")
        url = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
        assert connect(monkeypatch, {"path": url}).send("It is red", "body", "failure") == (["Slack"], [])
    assert slack.paths == ["/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
    assert "It is red" in json.dumps(slack.received[0])


def test_alert_arrives_by_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as (port, mails):
        url = f"mailto://127.0.0.1:{port}?from=sync@example.com&to=oncall@example.com&mode=insecure"
        assert connect(monkeypatch, {"path": url}).send("It is red", "one\ntwo", "failure") == (["E-Mail"], [])
    (mail,) = mails
    assert (mail["Subject"], mail["To"]) == ("It is red", "oncall@example.com")
    body = mail.get_body(("plain",))
    assert body is not None
    assert "one\ntwo" in body.get_content().replace("\r\n", "\n")


def test_alert_goes_to_every_service_and_says_which_did_not_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with posts() as good, posts() as bad:
        bad.status = 500
        channel = connect(monkeypatch, [{"path": bad.url.replace("json", "xml")}, {"path": good.url}])
        assert channel.send("t", "b", "failure") == (["JSON"], ["XML"])
    assert len(good.received) == 1


@pytest.mark.parametrize(
    "config",
    [None, {}, [], {"path": ""}, {"path": 7}, "no json", [{"tag": "x"}]],
    ids=["none", "no-path", "none-in-the-list", "empty", "number", "text", "other"],
)
def test_connection_that_names_no_service_says_what_to_write(monkeypatch: pytest.MonkeyPatch, config: Any) -> None:
    with pytest.raises(Misconfigured, match=r'Connection `alerts` names no service: its extra has to be \{"config"'):
        connect(monkeypatch, config).services()


def test_connection_that_is_not_there_says_so() -> None:
    with pytest.raises(Misconfigured, match=r"There is no connection `nowhere`, which `\[ometria\] alerts_conn_id`"):
        AlertChannel("nowhere").services()


def test_url_that_apprise_does_not_know_is_told_by_its_number_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    channel = connect(monkeypatch, [{"path": "json://127.0.0.1"}, {"path": "nosuch://s3cret/token"}])
    with caplog.at_level(logging.DEBUG), pytest.raises(Misconfigured, match=r"URL 2 of connection `alerts`") as caught:
        channel.services()
    assert "s3cret" not in caplog.text + str(caught.value)


def test_provider_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "airflow.providers.apprise.hooks.apprise", None)
    with pytest.raises(Misconfigured, match="pip install apache-airflow-providers-apprise"):
        connect(monkeypatch, {"path": "json://127.0.0.1"}).services()
