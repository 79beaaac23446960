"""Whole runs over members as they may come: each ends in exactly one place, at the receiving side too."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sync import FIELDS, VALID, Sync

ROWS = [
    *FIELDS,
    {"loyalty": "birth_date", "remote": "date_of_birth"},
    {"loyalty": "mobile_phone", "remote": "phone_number", "transform": [{"e164": "GB"}]},
    {"loyalty": "properties.share", "remote": "share", "transform": ["number"]},
]

VALUES = (
    st.none() | st.text("aé 1", max_size=6) | st.integers(0, 10**12) | st.sampled_from(["2999-01-01", "1980-02-29"])
)
MEMBERS = st.lists(
    st.fixed_dictionaries(
        {"status": st.sampled_from(["active", "inactive", "banned"])},
        optional={
            "first_name": VALUES,
            "birth_date": VALUES,
            "mobile_phone": VALUES | st.just("07400 123456"),
            "properties": st.fixed_dictionaries({"share": VALUES | st.floats(-9, 9)}),
        },
    ),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(MEMBERS)
def test_member_of_a_whole_run_ends_in_exactly_one_place(sync: Sync, members: list[dict[str, Any]]) -> None:
    sync.mapping(fields=ROWS)
    sync.nobody()
    sync.sandbox.control("reset", {"what": ["contacts", "stats"]})
    ids = {
        sync.member(**fields, email=f"m{number}@example.com"): VALID | fields for number, fields in enumerate(members)
    }
    run = sync.run()
    run.assert_balanced()
    rejected = {row["contact_id"] for row in run.rejections}
    banned = {id_ for id_, fields in ids.items() if fields["status"] == "banned"}
    stored = {id_ for id_ in ids if sync.contact(id_)}
    assert rejected | banned | stored == ids.keys()
    assert not rejected & banned
    assert not stored & (rejected | banned)
    assert run.row["read"] == len(ids)
    assert (run.row["filtered"], run.row["rejected"]) == (len(banned), len(rejected))
