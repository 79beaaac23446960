"""Who was read."""

from ometria_provider.delivery.present import Present


def test_missing_are_those_of_no_chunk_in_their_order() -> None:
    present = Present([["b", "a"], [], ["antavo:9", "日本"]])
    assert present.missing(["z", "a", "日本", "c", "antavo:9", "b"]) == ["z", "c"]
    assert present.missing([]) == []


def test_missing_when_nobody_was_read_are_all() -> None:
    assert Present([]).missing(["a", "b"]) == ["a", "b"]


def test_missing_among_many_are_exactly_those_not_read() -> None:
    everybody = [f"{number:012x}" for number in range(30_000)]
    present = Present([everybody[:10_000:2], everybody[10_000::2]])
    assert present.missing(everybody) == everybody[1::2]


def test_shared_are_the_ids_of_several_chunks() -> None:
    shared = Present([["a", "b"], ["c", "a"], ["日本", "b"]]).shared()
    assert shared
    assert shared.among(["a", "z", "b", "c"]) == ["a", "b"]
    assert not Present([["a"], ["b"]]).shared()
    assert not Present([]).shared()
