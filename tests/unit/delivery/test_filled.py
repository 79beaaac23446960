"""Bitmaps of filled fields survive new fields and tell what went away."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.delivery.filled import pack, unpack

NAMES = ["id", "email", *(f"field_{n}" for n in range(20))]


@given(st.lists(st.lists(st.booleans(), min_size=22, max_size=22), min_size=1, max_size=20), st.randoms())
def test_pack_then_unpack_gives_the_rows_whatever_the_bits(rows: list[list[bool]], random: object) -> None:
    order = NAMES.copy()
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    bits = {name: bit for bit, name in enumerate(order)}
    filled = np.array(rows)
    assert (unpack(pack(filled, NAMES, bits), NAMES, bits) == filled).all()


def test_unpack_of_a_bitmap_from_before_a_field_was_mapped_leaves_it_empty() -> None:
    old = pack(np.array([[True, True]]), ["id", "email"], {"id": 0, "email": 1})
    bits = {name: bit for bit, name in enumerate(NAMES)}
    assert unpack(old, NAMES, bits)[0].tolist() == [True, True] + [False] * 20


def test_unpack_of_an_unknown_contact_is_empty() -> None:
    assert not unpack([None], ["id"], {"id": 0}).any()
