from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.catalogue import join_path, split_path
from ometria_provider.mapping.discovery import Offered, offered
from ometria_provider.mapping.fields import LOYALTY_FIELDS, loyalty_field

ANN = {
    "_id": "1", "first_name": "Ann", "gender": "", "score": 0,
    "properties": {"shop": "Ghent", "a.b": 1, "size": {"shoe": 38, "hat": None}, "": "x", "empty": {}},
    "tiers": {"basic": {"name": {"en": "Gold"}, "next": {}}},
    "accounts": {"main": {"earned": 5, "spent": 1}},
    "external_ids": {"till": "7"},
}  # fmt: skip
BEN = {"_id": "2", "first_name": "Ben", "properties": {"shop": "", "a.b": 2}, "tiers": None, "accounts": []}


def by_name(customers=()) -> dict[str, Offered]:
    return {one.name: one for one in offered(customers)}


def test_fields_without_members_are_the_catalogue() -> None:
    assert [one.name for one in offered()] == [field.name for field in LOYALTY_FIELDS]
    assert {one.filled for one in offered()} == {None}


def test_fields_of_members_are_found_and_counted() -> None:
    fields = by_name([ANN, BEN])
    filled = {name: one.filled for name, one in fields.items()}
    assert (filled["first_name"], filled["gender"], filled["score"], filled["email"]) == (2, 0, 1, 0)
    assert (filled["properties.shop"], filled['properties["a.b"]'], filled["properties.size.shoe"]) == (1, 2, 1)
    assert (filled["properties.size.hat"], filled["properties.empty"]) == (0, 0)
    assert (filled["tiers.basic.name"], filled["tiers.basic.next.name"]) == (1, 0)
    assert (filled["accounts.main.spendable"], filled["external_ids.till"]) == (1, 1)
    assert fields["tiers.basic.name"].modes == ("v2",)
    assert filled["properties.<attribute>"] is None
    assert filled["extensions.expiring_points.total"] is None


names = st.text(min_size=1, max_size=5)


@given(st.dictionaries(names, st.none() | st.integers() | st.dictionaries(names, st.text(), max_size=2), max_size=4))
def test_each_field_that_is_found_can_be_mapped(properties) -> None:
    for one in offered([{"_id": "1", "properties": properties, "tiers": {key: {} for key in properties}}]):
        if "<" not in one.name:
            assert loyalty_field(one.name).type == one.type


@given(st.lists(names, min_size=1))
def test_path_that_was_joined_splits_into_its_segments(segments) -> None:
    assert split_path(join_path(["properties", *segments])) == ("properties", *segments)
