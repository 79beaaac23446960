from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.model import LoyaltyRow
from ometria_provider.mapping.transforms import make_steps, run_steps
from ometria_provider.mapping.values import Unconvertible, is_empty

NAMED = ("strip", "lower", "upper", "title", "date", "datetime", "e164", "country", "gender")
NAMED += ("bool", "integer", "number", "string", "consent", "first")
OPTIONS = ({"e164": "GB"}, {"join": "|"}, {"map": {"a": "b"}}, {"map": {"a": "b"}, "default": "c"}, {"round": 1})


def apply(value, *transforms):
    import json

    row = LoyaltyRow.model_validate_json(json.dumps({"loyalty": "x", "remote": "y", "transform": transforms}))
    return run_steps(make_steps(row.transform), value)


@pytest.mark.parametrize(
    ("transform", "value", "wanted"),
    [
        ("strip", "  a b ", "a b"),
        ("strip", "   ", None),
        ("strip", 5, 5),
        ("lower", "ÀB", "àb"),
        ("upper", "straße", "STRASSE"),
        ("title", "anne-MARIE o'neil", "Anne-Marie O'Neil"),
        ("title", "it's", "It's"),
        ("title", "d’angelo ŁUCJA", "D’Angelo Łucja"),
        ("date", "2024-01-31T10:00:00Z", "2024-01-31"),
        ("date", 0, "1970-01-01"),
        ("datetime", "2024-01-31", "2024-01-31T00:00:00+00:00"),
        ("e164", "+44 7400 123456", "+447400123456"),
        ({"e164": "GB"}, "07700 900123", "+447700900123"),
        ({"e164": "GB"}, "+36 20 123 4567", "+36201234567"),
        ({"e164": "US"}, 2015550123, "+12015550123"),
        ("country", "gb", "GB"),
        ("country", "DEU", "DE"),
        ("country", " united kingdom ", "GB"),
        ("country", "Österreich", "AT"),
        ("country", "osterreich", "AT"),
        ("gender", "Male", "m"),
        ("gender", "F", "f"),
        ("gender", "Other", "o"),
        ("bool", "YES", True),
        ("bool", "off", False),
        ("bool", 0, False),
        ("bool", 1.0, True),
        ("bool", False, False),
        ("consent", " explicitly_OptedIn ", "EXPLICITLY_OPTEDIN"),
        ("consent", "not_specified", "NOT_SPECIFIED"),
        ("consent", True, "EXPLICITLY_OPTEDIN"),
        ("consent", "no", "EXPLICITLY_OPTEDOUT"),
        ("consent", 0, "EXPLICITLY_OPTEDOUT"),
        ("consent", "", None),
        ("integer", "500", 500),
        ("integer", 500.0, 500),
        ("integer", "4069661762487632335", 4069661762487632335),
        ("integer", "-7.0", -7),
        ("integer", True, 1),
        ("number", "12.50", 12.5),
        ("number", 0.1 + 0.2, 0.3),
        ("string", 4069661762487632335, "4069661762487632335"),
        ("string", 500.0, "500"),
        ("string", True, "true"),
        ("first", ["", None, "a", "b"], "a"),
        ("first", "a", "a"),
        ("first", [[]], None),
        ({"join": ", "}, ["a", None, "", 1, True], "a, 1, true"),
        ({"join": "|"}, "a", "a"),
        ({"join": "|"}, ["", None], None),
        ({"map": {"gold": "G", "1": "one", "true": "yes"}}, "gold", "G"),
        ({"map": {"1": "one"}}, 1, "one"),
        ({"map": {"1": "one"}}, 1.0, "one"),
        ({"map": {"true": "yes"}}, True, "yes"),
        ({"map": {"a": "b"}, "default": "other"}, "z", "other"),
        ({"map": {"a": "b"}, "default": None}, "z", None),
        ({"map": {"a": None}}, "a", None),
        ({"round": 1}, 2.25, 2.3),
        ({"round": 2}, 1.005, 1.01),
        ({"round": 0}, 2.5, 3),
        ({"round": 0}, -2.5, -3),
        ({"round": 1}, "12.34", 12.3),
        ({"round": 1}, 12, 12),
        ({"round": 15}, 1e300, int(1e300)),
    ],
    ids=repr,
)
def test_transform_of_a_value_gives_what_the_files_page_says(transform, value, wanted):
    result = apply(value, transform)
    assert result == wanted
    assert type(result) is type(wanted)


@pytest.mark.parametrize(
    ("transform", "value"),
    [
        ("date", "soon"),
        ("datetime", "0000-00-00"),
        ("e164", "07700 900123"),
        ({"e164": "GB"}, "n/a"),
        ({"e164": "GB"}, "12"),
        ("country", "Atlantis"),
        ("country", 44),
        ("gender", "unknown"),
        ("bool", "maybe"),
        ("bool", 2),
        ("integer", 0.5),
        ("integer", "0.5"),
        ("integer", "12abc"),
        ("integer", "9" * 5000),
        ("number", "1,5"),
        ("number", float("nan")),
        ("string", {"a": 1}),
        ("lower", {"a": 1}),
        ({"map": {"a": "b"}}, "z"),
        ({"join": "|"}, [["a"]]),
        ({"round": 1}, "x"),
    ],
    ids=repr,
)
def test_transform_of_a_wrong_value_is_refused_without_the_value(transform, value):
    with pytest.raises(Unconvertible) as caught:
        apply(value, transform)
    name = transform if isinstance(transform, str) else next(iter(transform))
    assert str(caught.value).startswith(name)
    assert str(value) not in str(caught.value).removeprefix(name)


@pytest.mark.parametrize("transform", [*NAMED, *OPTIONS], ids=repr)
@pytest.mark.parametrize("empty", [None, "", [], {}], ids=repr)
def test_transform_of_an_empty_value_stays_empty(transform, empty):
    assert apply(empty, transform) is None


def test_transforms_in_a_chain_work_in_their_order():
    assert apply(" gold ", "strip", {"map": {"gold": "G"}}, "lower") == "g"
    assert apply("  ", "strip", {"map": {"a": "b"}, "default": "other"}) is None


def test_transform_of_a_list_works_on_its_items():
    assert apply([" A ", None, "", "b"], "strip", "lower") == ["a", "b"]
    assert apply(["1", 2.0], "integer") == [1, 2]


def test_every_named_transform_of_the_model_is_implemented():
    from typing import get_args

    from ometria_provider.mapping.model import TransformName

    assert set(get_args(TransformName)) == set(NAMED)
    assert all(apply("", name) is None for name in get_args(TransformName))


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(value=JSONISH, chain=st.lists(st.sampled_from([*NAMED, *OPTIONS]), max_size=3))
def test_any_chain_on_any_value_converts_or_refuses(value, chain):
    try:
        result = apply(value, *chain)
    except Unconvertible:
        return
    assert result is None or not is_empty(result)
