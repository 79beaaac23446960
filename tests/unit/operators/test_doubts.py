"""Records that are to be read back, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ometria_provider.exceptions import Retryable
from ometria_provider.operators.doubts import Doubts, Item


@pytest.fixture
def doubts() -> Iterator[Doubts]:
    with Doubts() as found:
        yield found


def open_files() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(link.readlink())


def item(id_: str, batch: int = 1, body: bytes = b"{}") -> Item:
    return Item(id_, body, 0, batch, "root > lastname" if id_ == "s" else None, doubtful=id_ == "d")


def test_doubts_are_found_by_id_as_they_were_added(doubts: Doubts) -> None:
    doubts.add([item("s"), item("d"), item("a")])
    assert doubts.find(["d", "s", "unknown"]) == {"d": item("d"), "s": item("s")}


def test_doubts_come_in_the_order_in_which_they_were_sent(doubts: Doubts) -> None:
    doubts.add([item("new", batch=9), item("old", batch=2)])
    assert [each.contact_id for each in doubts] == ["old", "new"]


def test_doubts_that_were_settled_are_not_counted_any_more(doubts: Doubts) -> None:
    doubts.add([item("a"), item("b"), item("b")])
    assert len(doubts) == 2
    doubts.drop([item("a"), item("unknown")])
    assert len(doubts) == 1
    assert [each.contact_id for each in doubts] == ["b"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a process is asked for its open files")
def test_doubts_leave_no_file_to_a_killed_task(doubts: Doubts) -> None:
    doubts.add(item(str(number), body=bytes(1_000)) for number in range(20_000))
    databases = [name for name in open_files() if "etilqs" in name]
    assert databases, "they went to disk"
    assert all(name.endswith(" (deleted)") for name in databases)


def test_full_disk_says_where_there_is_no_room(doubts: Doubts) -> None:
    doubts._database.execute("PRAGMA max_page_count=10")
    with pytest.raises(Retryable, match=r"No room .* disk is full.*temporary"):
        doubts.add(item(str(number), body=bytes(1_000)) for number in range(1_000))
    assert len(doubts) == 0
