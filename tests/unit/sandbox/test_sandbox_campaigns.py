from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TYPE = "loyalty_reward_claimed"


def event(event_id: str = "e1", event_type: str = TYPE, /, **fields: Any) -> dict[str, Any]:
    base = {"@type": "custom_event", "id": event_id, "event_type": event_type, "timestamp": "2026-01-01T10:00:00+00:00"}
    properties = {"reward_name": "Tote bag", "reward_description": "Organic cotton.", "balance": 120}
    return base | {"identity_account_id": "c1", "properties": properties} | fields


@pytest.fixture
def known(desk: Any, make_contact: Any) -> Any:
    desk.push(make_contact("c1", email="Ann@example.com"))
    return desk


def outcomes(desk: Any) -> dict[str, int]:
    return {name: count for name, count in desk.sandbox.stats()["emails"].items() if count}


def test_event_of_a_known_contact_becomes_an_email_with_its_tags(known: Any) -> None:
    known.push(event())
    (email,) = known.sandbox.ometria.campaign.emails(10, 0)
    assert (email["event_id"], email["to"]) == ("e1", "Ann@example.com")
    assert email["subject"] == "Tote bag is yours"
    assert "thank you for claiming a reward: Tote bag." in email["text"]
    assert "Organic cotton." in email["text"]
    assert "120 points" in email["text"]
    assert outcomes(known) == {"sent": 1}


@pytest.mark.parametrize(
    "identity",
    [{"identity_account_id": "c1"}, {"identity_email": "ANN@example.com"}, {"profile_id": f"{1:016x}"}],
    ids=lambda identity: next(iter(identity)),
)
def test_contact_is_known_by_any_identity(known: Any, identity: dict[str, str]) -> None:
    known.push({key: value for key, value in event().items() if not key.startswith("identity")} | identity)
    assert outcomes(known) == {"sent": 1}


@pytest.mark.parametrize(
    "identity", [{"identity_account_id": "c2"}, {"profile_id": "zz"}, {"profile_id": "f" * 16}], ids=str
)
def test_event_of_an_unknown_contact_starts_nothing_and_is_counted(known: Any, identity: dict[str, str]) -> None:
    known.push({key: value for key, value in event().items() if not key.startswith("identity")} | identity)
    assert outcomes(known) == {"unknown_contact": 1}
    assert known.sandbox.ometria.campaign.emails(10, 0) == []
    assert known.sandbox.stats()["events"]["stored"] == 1


def test_contact_without_an_address_gets_none(known: Any, make_contact: Any) -> None:
    known.push(make_contact("c2"))
    known.push(event(identity_account_id="c2"))
    assert outcomes(known) == {"no_address": 1}


def test_missing_tag_renders_blank(known: Any) -> None:
    known.push(event(properties={}))
    (email,) = known.sandbox.ometria.campaign.emails(10, 0)
    assert email["subject"] == "is yours"
    assert "reward: ." in email["text"]
    assert "points" not in email["text"]


def test_repeated_id_starts_one_campaign_and_is_counted(known: Any) -> None:
    known.push(event(), event("e2"))
    known.push(event())
    assert outcomes(known) == {"sent": 2}
    assert known.sandbox.stats()["events"] == {"stored": 2, "received": 3, "most_for_one": 2}
    assert known.sandbox.ometria.events.get("e1") == {"event": event(), "received": 2}
    assert known.sandbox.ometria.events.get("e9") == {"event": None, "received": 0}


@pytest.mark.parametrize("other", ["LOYALTY_REWARD_CLAIMED", "loyalty_reward", TYPE + "_with_a_long_tail"])
def test_other_event_type_starts_nothing(known: Any, other: str) -> None:
    known.push(event("e1", other))
    assert outcomes(known) == {}
    assert known.sandbox.stats()["events"]["stored"] == 1


def test_event_type_over_32_characters_is_cut_without_a_word(make_desk: Any, make_contact: Any) -> None:
    desk = make_desk(campaign_event_type="x" * 32)
    desk.push(make_contact("c1", email="ann@example.com"))
    desk.push(event("e1", "x" * 33))
    assert outcomes(desk) == {"sent": 1}
    assert desk.errors() == []
    assert desk.sandbox.ometria.events.get("e1")["event"]["event_type"] == "x" * 32


def test_invalid_event_is_acknowledged_and_errs_later(make_desk: Any, make_contact: Any) -> None:
    desk = make_desk(validation_delay_ms=200)
    desk.push(make_contact("c1", email="ann@example.com"))
    status, content = desk.push(event(properties={"reward_name": "x" * 513, "with space": 1}))
    assert (status, content["accepted"], desk.errors()) == (200, 1, [])
    desk.wind()
    assert [error["error_path"] for error in desk.errors()] == [
        "root > properties > reward_name",
        "root > properties > with space",
    ]
    assert desk.sandbox.stats()["events"] == {"stored": 0, "received": 1, "most_for_one": 1}
    desk.push(event())
    desk.wind()
    assert desk.sandbox.stats()["events"] == {"stored": 1, "received": 2, "most_for_one": 2}
    assert outcomes(desk) == {"sent": 1}


def test_contact_pushed_just_before_is_known(make_desk: Any, make_contact: Any) -> None:
    desk = make_desk(validation_delay_ms=200)
    desk.push(make_contact("c1", email="ann@example.com"))
    desk.push(event())
    desk.wind()
    assert outcomes(desk) == {"sent": 1}


def test_template_of_ones_own_with_a_colon_in_a_tag(make_desk: Any, make_contact: Any, tmp_path: Path) -> None:
    template = tmp_path / "own.txt"
    template.write_text("Subject: Hi\n\n{{ event['mm:x'] }}|{{ event.nothing.at.all }}|{{ event.__class__ }}")
    desk = make_desk(campaign_template=template)
    desk.push(make_contact("c1", email="ann@example.com"))
    desk.push(event(properties={"mm:x": "<b>"}))
    assert desk.sandbox.ometria.campaign.emails(1, 0)[0]["text"] == "<b>||"


def test_template_that_fails_on_an_event_costs_that_email_only(
    make_desk: Any, make_contact: Any, tmp_path: Path
) -> None:
    template = tmp_path / "own.txt"
    template.write_text("Subject: Hi\n\n{{ 100 / event.points }}")
    desk = make_desk(campaign_template=template)
    desk.push(make_contact("c1", email="ann@example.com"))
    desk.push(event("e1", properties={"points": 0}), event("e2", properties={"points": 4}))
    assert outcomes(desk) == {"not_rendered": 1, "sent": 1}


@pytest.mark.parametrize("text", ["{{ event.", None], ids=["broken", "missing"])
def test_template_that_cannot_be_read_says_which(make_desk: Any, tmp_path: Path, text: str | None) -> None:
    template = tmp_path / "own.txt"
    if text is not None:
        template.write_text(text)
    with pytest.raises(ValueError, match=r"own\.txt cannot be used"):
        make_desk(campaign_template=template)


def test_contact_is_looked_up_by_index(known: Any) -> None:
    for test in (
        "lower(json_extract(cast(body as text), '$.email'))=lower('x')",
        "json_extract(cast(body as text), '$.customer_id')='x'",
    ):
        query = f"explain query plan select body from contact where body is not null and {test}"
        assert "USING INDEX" in str(known.sandbox.database.execute(query).fetchall())


def test_reset_of_contacts_forgets_events_and_emails(known: Any) -> None:
    known.push(event())
    known.sandbox.reset({"contacts"})
    assert outcomes(known) == {}
    assert known.sandbox.stats()["events"] == {"stored": 0, "received": 0, "most_for_one": 0}
