from __future__ import annotations

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.formats import final_step
from ometria_provider.mapping.transforms import run_steps
from ometria_provider.mapping.values import Unconvertible

TODAY = datetime.date(2026, 1, 15)


def final(remote, value):
    return run_steps((final_step(remote, TODAY),), value)


@pytest.mark.parametrize(
    ("remote", "value", "wanted"),
    [
        ("id", 4069661762487632335, "4069661762487632335"),
        ("customer_id", 12.0, "12"),
        ("firstname", "Ζωή", "Ζωή"),
        ("firstname", "e\u0301", "e\u0301"),  # two code points stay two
        ("gender", "FEMALE", "f"),
        ("country_id", "gb", "GB"),
        ("date_of_birth", "1980-02-29T00:00:00Z", "1980-02-29"),
        ("date_of_birth", "2026-01-15", "2026-01-15"),
        ("timestamp_acquired", 1_700_000_000, "2023-11-14T22:13:20+00:00"),
        ("phone_number", "+44 (0)7400-123.456", "+447400123456"),
        ("store_ids", "berlin", ["berlin"]),
        ("store_ids", [1, None, "a", ""], ["1", "a"]),
        ("extra_identifiers.pos", 5, "5"),
        ("marketing_optin", "explicitly_optedout", "EXPLICITLY_OPTEDOUT"),
        ("marketing_optin", False, "EXPLICITLY_OPTEDOUT"),
        ("timestamp_subscribed", "2026-01-15", "2026-01-15T00:00:00+00:00"),
        ("channels.sms.allow_marketing", "no", False),
        ("points", 500.0, 500),
        ("points", 0.1 + 0.2, 0.3),
        ("points", 0, 0),
        ("flag", False, False),
        ("interests", ["a", None, 1.0], ["a", 1]),
        ("interests", [None, ""], None),
        ("member_number", 4069661762487632335, 4069661762487632335),
    ],
)
def test_final_step_brings_a_value_to_ometrias_format(remote, value, wanted):
    result = final(remote, value)
    assert result == wanted
    assert type(result) is type(wanted)


@pytest.mark.parametrize(
    ("remote", "value", "reason"),
    [
        ("phone_number", "07400 123456", "does not begin with +"),
        ("phone_number", 447400123456, "does not begin with +"),
        ("phone_number", "+44 n/a", "is not a phone number"),
        ("phone_number", "+0123456789", "is not a phone number"),
        ("phone_number", "+1234567890123456", "is not a phone number"),
        ("date_of_birth", "2026-01-16", "lies in the future"),
        ("date_of_birth", "0000-00-00", "not an ISO 8601 date"),
        ("gender", "unknown", "not a known gender"),
        ("country_id", "XX", "not a known country"),
        ("timestamp_acquired", "soon", "not an ISO 8601"),
        ("marketing_optin", "EXPLICITLY_OPTED-OUT", "is none of"),
        ("marketing_optin", "unsubscribed", "is none of"),
        ("channels.sms.allow_transactional", "maybe", "is not yes or no"),
        ("firstname", ["a", "b"], "is a list"),
        ("firstname", {"en": "a"}, "is an object"),
        ("points", {"a": 1}, "is an object"),
        ("points", [[1]], "list of lists"),
        ("points", [{"a": 1}], "list of lists or objects"),
        ("points", math.nan, "finite"),
        ("points", [math.inf], "finite"),
        ("name", "\ud800", "broken Unicode"),
        ("firstname", "\udfff", "broken Unicode"),
    ],
)
def test_final_step_of_a_wrong_value_is_refused_with_a_reason(remote, value, reason):
    with pytest.raises(Unconvertible, match=reason.replace("+", r"\+")) as caught:
        final(remote, value)
    assert str(value) not in str(caught.value)


@given(
    st.sampled_from(["id", "gender", "country_id", "date_of_birth", "timestamp_acquired", "phone_number", "x"]),
    st.text(),
)
def test_final_step_of_its_own_result_is_the_same(remote, value):
    try:
        once = final(remote, value)
    except Unconvertible:
        return
    assert final(remote, once) == once
