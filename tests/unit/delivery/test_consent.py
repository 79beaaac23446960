"""What of a consent group is sent, by what is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from ometria_provider.delivery import consent
from ometria_provider.delivery.consent import OPTED_IN, OPTED_OUT, Facts, alone, decide, opts_out, splice
from ometria_provider.delivery.digests import digest, encode

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEFORE, AFTER = (f"{(NOON + timedelta(hours=hours)).isoformat()}" for hours in (-1, 1))


def group(word: str | None = None, at: str | None = None, **more: Any) -> dict[str, Any]:
    made = {"marketing_optin": word, "timestamp_subscribed": at, **more}
    return {name: value for name, value in made.items() if value is not None}


def sms(**allowed: bool) -> dict[str, Any]:
    return {"sms": allowed}


def decided(wanted: dict[str, Any], **facts: Any) -> tuple[dict[str, Any] | None, str | None]:
    sent, held = decide(encode(wanted), Facts(**facts))
    return None if sent is None else msgspec.json.decode(sent), held


def test_decide_with_nothing_known_sends_the_group_as_it_is() -> None:
    wanted = group(OPTED_IN, BEFORE, channels=sms(allow_marketing=False))
    assert decided(wanted) == (wanted, None)


def test_decide_of_what_was_acknowledged_last_sends_nothing_and_holds_nothing_back() -> None:
    wanted = group(OPTED_IN)
    assert decided(wanted, last=digest(encode(wanted)), opted_out_at=NOON) == (None, None)


@pytest.mark.parametrize("known", ["opted_out_at", "unsubscribed_at"])
@pytest.mark.parametrize("word", [OPTED_IN, "NOT_SPECIFIED"])
@pytest.mark.parametrize("at", [None, BEFORE, NOON.isoformat()])
def test_opt_in_after_an_opt_out_without_a_newer_time_is_held_back(known: str, word: str, at: str | None) -> None:
    sent, held = decided(group(word, at), **{known: NOON})
    assert sent is None
    assert held in (consent.AFTER_OPT_OUT, consent.AFTER_UNSUBSCRIBE)


@pytest.mark.parametrize("known", ["opted_out_at", "unsubscribed_at", "sms_opted_out_at"])
def test_opt_in_with_a_newer_time_goes(known: str) -> None:
    wanted = group(OPTED_IN, AFTER, channels=sms(allow_marketing=True))
    assert decided(wanted, **{known: NOON}) == (wanted, None)


def test_opt_out_goes_whatever_is_known() -> None:
    wanted = group(OPTED_OUT, timestamp_unsubscribed=BEFORE, **{"@force_optin": True})
    known = {"opted_out_at": NOON, "unsubscribed_at": NOON, "status": "banned", "unsure": True, "rejected": True}
    assert decided(wanted, **known) == (wanted, None)


def test_opt_out_of_one_channel_goes_though_the_other_is_held_back() -> None:
    wanted = group(OPTED_IN, BEFORE, channels=sms(allow_marketing=False, allow_transactional=True))
    sent, held = decided(wanted, unsubscribed_at=NOON)
    assert sent == {"channels": sms(allow_marketing=False)}
    assert held == consent.AFTER_UNSUBSCRIBE


def test_opt_out_of_sms_holds_back_sms_alone() -> None:
    wanted = group(OPTED_IN, BEFORE, channels=sms(allow_marketing=True))
    assert decided(wanted, sms_opted_out_at=NOON) == (group(OPTED_IN, BEFORE), consent.AFTER_OPT_OUT)
    assert decided(wanted, opted_out_at=NOON) == (None, consent.AFTER_OPT_OUT)


@pytest.mark.parametrize("status", sorted(consent.FORBIDDING))
def test_opt_in_of_a_member_whose_status_forbids_it_is_held_back(status: str) -> None:
    assert decided(group(OPTED_IN, AFTER), status=status) == (None, consent.BY_STATUS)
    assert decided(group("NOT_SPECIFIED"), status=status) == (group("NOT_SPECIFIED"), None)


def test_opt_in_while_unsubscribes_are_not_all_known_is_held_back() -> None:
    assert decided(group(OPTED_IN, AFTER), unsure=True) == (None, consent.UNSURE)


def test_decide_of_a_rejected_record_sends_opt_outs_alone() -> None:
    wanted = group(OPTED_OUT, BEFORE, channels=sms(allow_marketing=True, allow_transactional=False))
    sent = group(OPTED_OUT, BEFORE, channels=sms(allow_transactional=False))
    assert decided(wanted, rejected=True) == (sent, None)
    assert decided(group(OPTED_IN), rejected=True) == (None, None)
    assert decided(wanted, rejected=True, last=digest(encode(sent))) == (None, None)


def test_decide_when_something_newer_was_sent_sends_nothing() -> None:
    assert decided(group(OPTED_OUT), overtaken=True) == (None, None)


def test_opts_out_reads_each_channel() -> None:
    assert opts_out(encode(group(OPTED_OUT, **{"@force_optin": True}))) == (True, False)
    assert opts_out(encode(group(OPTED_IN, channels=sms(allow_marketing=False)))) == (False, True)


def test_splice_is_one_record() -> None:
    assert splice(b'{"id":"1"}', b'{"marketing_optin":"X"}') == b'{"id":"1","marketing_optin":"X"}'
    assert splice(b'{"id":"1"}', None) == b'{"id":"1"}'


def test_alone_holds_identity_and_consent_and_nothing_else() -> None:
    body = {"@type": "contact", "@collection": "c", "@merge": True, "id": "1", "email": "x", "customer_id": "9", "a": 1}
    body["@add_to_lists"] = [1]
    made = msgspec.json.decode(alone(encode(body), encode(group(OPTED_OUT)), ["email"]))
    assert made == {
        "@type": "contact", "@collection": "c", "@merge": True, "id": "1", "customer_id": "9", **group(OPTED_OUT),
    }  # fmt: skip


OUT_NOW, IN_NOW = encode(group(OPTED_OUT)), encode(group(OPTED_IN, AFTER))


@pytest.mark.parametrize(
    ("wanted", "facts", "reason"),
    [
        pytest.param(None, {}, None, id="nothing known"),
        pytest.param(encode(group(OPTED_IN)), {}, None, id="opted in"),
        pytest.param(OUT_NOW, {}, consent.OUT_IN_ANTAVO, id="opted out in Antavo, not sent yet"),
        pytest.param(OUT_NOW, {"opted_out_at": NOON}, consent.OUT_BY_US, id="opt-out sent"),
        pytest.param(None, {"opted_out_at": NOON}, consent.OUT_BY_US, id="opt-out sent, consent no longer mapped"),
        pytest.param(IN_NOW, {"opted_out_at": NOON}, consent.OUT_BY_US, id="newer opt-in, not sent yet"),
        pytest.param(IN_NOW, {"opted_out_at": NOON, "last": digest(IN_NOW)}, None, id="newer opt-in, acknowledged"),
        pytest.param(
            IN_NOW, {"unsubscribed_at": NOON, "last": digest(IN_NOW)}, None, id="in again after unsubscribing"
        ),
        pytest.param(
            IN_NOW,
            {"unsubscribed_at": NOON + timedelta(hours=2), "last": digest(IN_NOW)},
            consent.UNSUBSCRIBED,
            id="unsubscribed since",
        ),
        pytest.param(encode(group(OPTED_IN)), {"unsubscribed_at": NOON}, consent.UNSUBSCRIBED, id="undated opt-in"),
    ],
)
def test_opted_out_says_who_gets_no_marketing(wanted: bytes | None, facts: dict[str, Any], reason: str | None) -> None:
    assert consent.opted_out(wanted, Facts(**facts)) == reason
