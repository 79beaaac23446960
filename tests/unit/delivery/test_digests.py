"""Equal records have equal fingerprints, and only they."""

from hypothesis import given
from hypothesis import strategies as st
from ometria_provider.delivery.digests import decode_sources, digest, encode, encode_source, source_digest

VALUES = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text() | st.lists(st.text(), max_size=3)
RECORDS = st.dictionaries(st.text(max_size=5), VALUES, max_size=6)


@given(RECORDS, st.randoms())
def test_digest_does_not_depend_on_the_order_of_keys(record: dict[str, object], random: object) -> None:
    keys = list(record)
    random.shuffle(keys)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert digest(encode({key: record[key] for key in keys})) == digest(encode(record))


def test_digest_tells_types_apart() -> None:
    values = [1, 1.5, True, "1", None, [1], "true"]
    assert len({digest(encode({"x": value})) for value in values}) == len(values)


def test_source_digest_changes_with_the_mapping() -> None:
    source = encode_source(["ann", 1])
    assert source_digest(source, b"one") != source_digest(source, b"two")


def test_encode_keeps_nineteen_digits_and_unicode() -> None:
    assert encode({"n": 1234567890123456789, "s": "Żółć 👩‍🚀"}).decode() == (
        '{"n":1234567890123456789,"s":"Żółć 👩‍🚀"}'
    )


def test_sources_come_back_as_columns_with_their_types() -> None:
    rows = [[1, "a", None], [1.5, "1", [True]], ["1", "Żółć", {"a": 1}]]
    assert decode_sources([encode_source(row) for row in rows], 3) == [
        list(column) for column in zip(*rows, strict=False)
    ]
    assert decode_sources([], 2) == [[], []]


def test_source_with_broken_unicode_comes_back_beside_the_others() -> None:
    rows = [[1234567890123456789, "\ud800"], [2, "fine"]]
    assert decode_sources([encode_source(row) for row in rows], 2) == [[1234567890123456789, 2], ["\ud800", "fine"]]
