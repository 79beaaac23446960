"""Comparing a contact that was read back with the record that was sent."""

from typing import Any

import pytest
from ometria_provider.delivery.readback import Arrivals, Mismatch, faults, mismatches, unproven
from ometria_provider.delivery.suspects import Field

FIELDS = {
    ("id",): Field("id", custom=False),
    ("email",): Field("email", custom=False),
    ("lastname",): Field("lastname", custom=False),
    ("timestamp_acquired",): Field("timestamp_acquired", custom=False),
    ("date_of_birth",): Field("date_of_birth", custom=False),
    ("store_ids",): Field("store_ids", custom=False),
    ("properties", "x"): Field("x", custom=True),
    ("properties", "y"): Field("y", custom=True),
}


def one(sent: Any, got: Any, *keys: str) -> list[Mismatch]:
    def nest(value: Any) -> dict[str, Any]:
        for key in reversed(keys):
            value = {key: value}
        return value

    return mismatches({"@type": "contact", "@merge": True, **nest(sent)}, nest(got), FIELDS)


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (1, 1), (1, "1"), ("1", 1), (1.0, "1"), (1.5, "1.5"), (True, True), ("a", "a"), (["a", 1], ["a", "1"]),
        ("2026-01-31", "2026-01-31T00:00:00Z"), ("2026-01-31T10:00:00Z", "2026-01-31T11:00:00+01:00"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00.000+00:00"), (None, None), (None, ""),
    ],
)  # fmt: skip
def test_custom_field_arrived_whatever_type_ometria_keeps_it_under(sent: Any, got: Any) -> None:
    assert one(sent, got, "properties", "x") == []


@pytest.mark.parametrize(
    ("sent", "got", "problem"),
    [
        ("a", None, "is not there"),
        ("a", "A", "is not the value that was sent"),
        ("007", 7, "is not the value that was sent"),
        (True, 1, "is not the value that was sent"),
        (1, True, "is not the value that was sent"),
        (["a", "b"], ["b", "a"], "is not the value that was sent"),
        ("2026-01-31", "2026-02-01T00:00:00Z", "is not the value that was sent"),
        (None, "old", "was to be cleared and is still there"),
        (0, None, "is not there"),
    ],
)
def test_custom_field_that_differs_is_named_with_what_is_wrong(sent: Any, got: Any, problem: str) -> None:
    assert one(sent, got, "properties", "x") == [Mismatch("x", problem)]


@pytest.mark.parametrize(
    ("field", "sent", "got", "same"),
    [
        ("lastname", "7", 7, False),
        ("lastname", "Lee", "lee", False),
        ("date_of_birth", "1980-01-31", "1980-01-31T00:00:00Z", False),
        ("timestamp_acquired", "2026-01-31T10:00:00+00:00", "2026-01-31T10:00:00Z", True),
        ("store_ids", ["1"], [1], False),
        ("lastname", "2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z", True),
    ],
)
def test_built_in_field_must_be_as_documented(field: str, sent: Any, got: Any, same: bool) -> None:
    assert (one(sent, got, field) == []) is same


def test_directives_and_fields_that_were_not_sent_do_not_count() -> None:
    record = {"@type": "contact", "@add_to_lists": [1], "id": "a", "lastname": "Lee"}
    assert mismatches(record, {"id": "a", "lastname": "Lee", "firstname": "Ann"}, FIELDS) == []
    assert mismatches(record, {"id": "a", "lastname": {"odd": 1}}, FIELDS) == [
        Mismatch("lastname", "is not the value that was sent")
    ]


def test_faults_leave_out_fields_that_arrive_in_nobody() -> None:
    found = [Mismatch("x", "is not there"), Mismatch("lastname", "is not there")]
    assert faults(found, {"x"}) == [Mismatch("lastname", "is not there")]


def test_arrivals_name_the_field_that_arrived_in_nobody() -> None:
    arrivals = Arrivals()
    for number, y in enumerate((None, 5)):
        record = {"id": str(number), "lastname": "Lee", "properties": {"x": 1, "y": y}}
        arrivals.add(record, {"id": str(number), "lastname": "Lee"}, FIELDS)
    arrivals.add({"id": "9", "lastname": "Lee"}, None, FIELDS)
    assert arrivals.missing == {"x": 2, "y": 1}
    assert (arrivals.read, arrivals.absent) == (3, 1)
    assert arrivals.complaint is None


def test_arrivals_of_nothing_but_identity_are_a_complaint() -> None:
    arrivals = Arrivals()
    arrivals.add({"id": "1", "properties": {"x": 1}}, {"id": "1"}, FIELDS)
    assert "none holds any field" in (arrivals.complaint or "")
    identity = Arrivals()
    identity.add({"id": "1", "email": "a@example.com"}, {"id": "1", "email": "a@example.com"}, FIELDS)
    assert identity.complaint is None


def test_arrivals_of_nobody_are_a_complaint() -> None:
    arrivals = Arrivals()
    arrivals.add({"id": "1"}, None, FIELDS)
    assert "None of the 1 contacts" in (arrivals.complaint or "")
    assert Arrivals().complaint is None


def test_unproven_are_consent_fields_that_somebody_may_have_changed_in_ometria() -> None:
    told_out = {"marketing_optin": "EXPLICITLY_OPTEDOUT", "channels": {"sms": {"allow_marketing": False}}}
    told_in = {"marketing_optin": "EXPLICITLY_OPTEDIN", "channels": {"sms": {"allow_marketing": True}}}
    proven = {"marketing_optin", "channels.sms.allow_marketing"}
    assert not proven & unproven(told_out, told_in), "an opt-out that is not there"
    assert proven <= unproven(told_in, told_out), "opted out since"
    assert not proven & unproven(told_in, {}), "nothing came at all"
    assert "timestamp_subscribed" in unproven(told_out, {})
