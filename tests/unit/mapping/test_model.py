from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.model import Mapping
from pydantic import ValidationError

ROWS = [
    {
        "loyalty": "email",
        "remote": "email",
        "transform": ["strip", {"map": {"a": 1}}, {"map": {"a": None}, "default": None}],
    },
    {"loyalty": "score", "remote": "points", "transform": [{"round": 1}, {"join": "|"}, {"e164": "GB"}]},
    {"value": True, "remote": "flag"},
    {"value": 1.5, "remote": "factor"},
]


def make(**data):
    return Mapping.from_data("customers", {"list": 1, "fields": ROWS, **data})


def test_mapping_of_the_least_file_has_the_defaults_of_the_files_page():
    mapping = Mapping.from_data("customers", {"list": 4821, "fields": []})
    assert mapping.model_dump(mode="json") == {
        "name": "customers",
        "description": "",
        "schedule": None,
        "timezone": "UTC",
        "mode": "legacy",
        "connections": {"antavo": "antavo_default", "ometria": "ometria_default"},
        "list": 4821,
        "collection": "customers",
        "identity": {"id": "id", "email": "email", "customer_id": "id"},
        "where": {"status": {"in": ["active", "inactive"]}},
        "fields": [],
        "language": "en",
        "on_empty": "clear",
        "departed": "remove_from_list",
        "consent": {"force_opt_out": False},
        "strategy": "full",
        "full_every": "P7D",
        "details_max_age": "P7D",
        "retry_rejected": "P1D",
        "verify": "suspects",
        "limits": {
            "max_rejected_share": 0.01,
            "max_outstanding_share": 0.1,
            "max_changed_share": None,
            "max_cleared_share": 0.2,
            "max_departed_share": 0.05,
            "max_drop_share": 0.3,
            "min_count": 20,
        },
        "approve": "above_limits",
        "approve_within": "PT12H",
    }


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"retry_rejected": None, "limits": {"max_rejected_share": None}},
        {"identity": {"email": None}, "where": {"score": {"gt": 1, "lte": 5.5}, "country": "GB", "properties.x": True}},
        {"mode": "v2", "collection": "other", "on_empty": "keep", "retry_rejected": "PT12H"},
    ],
)
def test_mapping_through_json_and_back_is_equal(data):
    mapping = make(**data)
    again = Mapping.model_validate_json(mapping.model_dump_json())
    assert again == mapping
    assert (again.digest, again.rows, again.remotes) == (mapping.digest, mapping.rows, mapping.remotes)


def test_identity_and_where_merge_over_their_defaults():
    mapping = make(identity={"customer_id": None}, where={"country": {"in": ["GB"]}})
    assert mapping.identity.model_dump() == {"id": "id", "email": "email", "customer_id": None}
    assert mapping.where == {"status": {"in": ["active", "inactive"]}, "country": {"in": ["GB"]}}
    assert make(where={"status": "active"}).where == {"status": {"eq": "active"}}


def test_rows_begin_with_the_identity_refined_by_the_fields():
    mapping = make()
    assert mapping.remotes == ("id", "email", "customer_id", "factor", "flag", "points")
    assert mapping.rows[1].transform[0] == "strip"
    assert make(identity={"email": None}, fields=[]).remotes == ("id", "customer_id")


@pytest.mark.parametrize(
    "data",
    [
        {"list": 2},
        {"mode": "v2"},
        {"collection": "other"},
        {"identity": {"customer_id": None}},
        {"where": {"status": "active"}},
        {"fields": ROWS[:-1]},
        {"fields": [*ROWS[:-1], {"value": 1, "remote": "factor"}]},
        {"language": "de"},
        {"on_empty": "keep"},
    ],
    ids=repr,
)
def test_digest_moves_with_whatever_decides_a_record(data):
    assert len(make().digest) == 16
    assert make(**data).digest != make().digest


def test_digest_tells_values_apart_that_are_equal_in_python():
    digests = {make(fields=[{"value": value, "remote": "x"}]).digest for value in (1, 1.0, True, "1")}
    assert len(digests) == 4


@pytest.mark.parametrize(
    "data",
    [
        {"description": "x"},
        {"schedule": "@daily"},
        {"timezone": "Europe/London"},
        {"limits": {"min_count": 5}},
        {"retry_rejected": None},
        {"details_max_age": "PT1H"},
        {"strategy": "incremental", "full_every": "P1D"},
        {"connections": {"antavo": "other"}},
    ],
    ids=repr,
)
def test_digest_stays_when_records_do(data):
    assert make(**data).digest == make().digest


@given(st.permutations(ROWS))
def test_digest_and_rows_do_not_depend_on_the_order_of_the_file(rows):
    assert make(fields=rows).digest == make().digest
    assert make(fields=rows).rows == make().rows


@pytest.mark.parametrize(
    "data",
    [
        {"list": "1"},
        {"list": True},
        {"list": 0},
        {"unknown": 1},
        {"consent": {"force_opt_out": "yes"}},
        {"strategy": "partial"},
        {"identity": {"id": None}},
        {"fields": [{"loyalty": "a", "remote": "b", "transform": [{"consent": True}]}]},
        {"fields": [{"loyalty": "a", "remote": "b", "transform": [{"map": {"a": 1}, "other": 2}]}]},
        {"fields": [{"value": None, "remote": "b"}]},
        {"where": {"status": {"inn": []}}},
        {"limits": {"max_rejected_share": 2}},
        {"collection": "my collection"},
    ],
    ids=repr,
)
def test_mapping_of_a_wrong_form_is_refused(data):
    with pytest.raises(ValidationError):
        make(**data)


def test_mapping_cannot_be_changed():
    with pytest.raises(ValidationError):
        make().list = 5
