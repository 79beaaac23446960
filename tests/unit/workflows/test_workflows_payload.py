from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.mapping.catalogue import FieldType
from ometria_provider.mapping.model import Join, MapValues, Round
from ometria_provider.mapping.transforms import run_steps
from ometria_provider.mapping.values import Unconvertible
from ometria_provider.workflows.payload import ELLIPSIS, LONGEST_TEXT, final_step, shorten, type_after


@pytest.mark.parametrize(
    ("kind", "transforms", "after"),
    [
        ("time", (), "time"),
        ("time", ("date",), "date"),
        ("time", ("date", "string"), "text"),
        ("any", ("datetime",), "time"),
        ("text", ("strip", "lower"), "text"),
        ("text", (MapValues(map={"a": "b"}),), "any"),
        ("number", (Round(round=1),), "number"),
        ("list", ("lower",), "list"),
        ("list", ("first",), "any"),
        ("list", (Join(join=", "),), "text"),
    ],
)
def test_type_after_transforms_is_what_they_make(kind: FieldType, transforms: Any, after: FieldType) -> None:
    assert type_after(kind, transforms) == after


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        ("time", "2026-01-31T10:00:00+00:00", "2026-01-31T10:00:00+00:00"),
        ("time", "2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("date", "1990-01-31", "1990-01-31T00:00:00+00:00"),
        ("any", "1990-01-31", "1990-01-31"),
        ("number", 1.0, 1),
        ("number", 0.1 + 0.2, 0.3),
        ("any", True, True),
        ("any", 2**70, 2**70),
        ("list", ["a", "", None, 2.0], ["a", 2]),
        ("any", "", None),
        ("any", [], None),
        ("any", {}, None),
    ],
)
def test_final_step_brings_a_value_to_ometrias_form(kind: FieldType, value: Any, sent: Any) -> None:
    made = run_steps((final_step(kind, "cut"),), value)
    assert (made, type(made)) == (sent, type(sent))


@pytest.mark.parametrize(
    ("kind", "value"), [("any", {"a": 1}), ("any", [{"a": 1}]), ("any", "\ud800"), ("time", "soon"), ("any", 1e999)]
)
def test_final_step_refuses_what_no_property_holds(kind: FieldType, value: Any) -> None:
    with pytest.raises(Unconvertible):
        run_steps((final_step(kind, "cut"),), value)


def test_final_step_that_rejects_long_text_takes_512_characters_and_no_more() -> None:
    step = final_step("any", "reject")
    assert run_steps((step,), "x" * 512) == "x" * 512
    with pytest.raises(Unconvertible, match="longer than 512"):
        run_steps((step,), "x" * 513)


@pytest.mark.parametrize(
    ("long", "cut"),
    [
        ("x" * 512, "x" * 512),
        ("x" * 513, "x" * 511 + "…"),
        ("word " * 200, ("word " * 200)[:509] + "…"),
        ("x" * 511 + " y", "x" * 511 + "…"),
        ("x" * 500 + " " + "y" * 50, "x" * 500 + "…"),
    ],
)
def test_shorten_cuts_at_a_word(long: str, cut: str) -> None:
    assert shorten(long) == cut


@given(st.text(min_size=LONGEST_TEXT - 3, max_size=LONGEST_TEXT + 40))
def test_shorten_of_any_text_fits_and_is_its_beginning(text: str) -> None:
    short = shorten(text)
    assert len(short) <= LONGEST_TEXT
    assert short == text or text.startswith(short.removesuffix(ELLIPSIS))
