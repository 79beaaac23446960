from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.customers import Projection
from ometria_provider.mapping.identity import contact_id_reader
from ometria_provider.mapping.model import Mapping
from ometria_provider.mapping.records import map_customers

IDS = (
    st.none() | st.text(max_size=4) | st.integers() | st.floats() | st.booleans() | st.lists(st.integers(), max_size=1)
)


@pytest.mark.parametrize("transform", [[], ["strip", "lower"], ["integer"]], ids=repr)
@given(found=IDS)
def test_contact_id_reader_finds_the_id_that_mapping_gives(transform, found):
    mapping = Mapping.from_data("m", {"list": 1, "fields": [{"loyalty": "id", "remote": "id", "transform": transform}]})
    row = Projection(mapping).project({"_id": found, "status": "active"})
    mapped = map_customers(mapping, [row], today=datetime.date(2026, 1, 15))
    assert (contact_id_reader(mapping)(row) or "") == mapped.contact_ids[0]
