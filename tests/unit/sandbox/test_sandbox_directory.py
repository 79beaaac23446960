from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ometria_provider.sandbox.directory import Directory
from ometria_provider.sandbox.members import Generator
from ometria_provider.sandbox.state import commit, open_state


@pytest.fixture
def directory() -> Iterator[Directory]:
    database = open_state(None)
    yield Directory(Generator(5, 200, bulk=20), database)
    database.close()


def ids(directory: Directory) -> list[str]:
    return [member["_id"] for member in directory.page(directory.order(), 0, len(directory))]


def test_page_covers_everybody_once(directory: Directory) -> None:
    order = directory.order()
    paged = [m["_id"] for start in range(0, 210, 7) for m in directory.page(order, start, 7)]
    assert paged == [directory.generator.id(i) for i in range(200)]


def test_remove_shifts_the_positions_behind(directory: Directory) -> None:
    before = ids(directory)
    gone = [before[0], before[49], before[50], before[199]]
    assert all(directory.remove(customer_id) for customer_id in gone)
    left = [customer_id for customer_id in before if customer_id not in gone]
    assert ids(directory) == left
    order = directory.order()
    assert [directory.page(order, at, 1)[0]["_id"] for at in range(len(left))] == left
    assert directory.get(gone[1]) is None
    assert not directory.remove(gone[1])


def test_add_joins_at_the_end_or_where_created_at_says(directory: Directory) -> None:
    before = ids(directory)
    late = directory.add()
    early = directory.add({"created_at": "2000-01-01T00:00:00+00:00", "first_name": "Ann"})
    created = directory.page(directory.order(), 101, 1)[0]["created_at"]
    middle = directory.add({"created_at": created})
    now = ids(directory)
    assert (now[0], now[-1]) == (early, late)
    assert [customer_id for customer_id in now if customer_id in before] == before
    member = directory.get(middle)
    assert member is not None and member["created_at"] == created
    times = [m["created_at"] for m in directory.page(directory.order(), 0, 300)]
    assert times == sorted(times)


def test_between_cuts_by_created_at(directory: Directory) -> None:
    directory.remove(directory.generator.id(60))
    directory.add({"created_at": "2020-06-01T00:00:00+00:00"})
    low, high = directory.generator.joined(30), directory.generator.joined(150)
    order = directory.order()
    expected = [n for n in order if low <= directory.created(n) < high]
    part = order.between(low, high)
    assert part[0 : len(part)] == expected == list(part)
    assert part[5] == expected[5]
    assert list(order.between(high, low)) == []


def test_change_sets_dotted_fields_and_updated_at_of_one_member(directory: Directory) -> None:
    first, second = ids(directory)[:2]
    untouched = directory.get(second)
    old = directory.get(first)
    assert directory.change(
        first, {"first_name": "Bea", "properties.newsletter": False, "tiers.basic_structure.name": "X"}
    )
    new = directory.get(first)
    assert old is not None and new is not None
    assert (new["first_name"], new["properties"]["newsletter"]) == ("Bea", False)
    assert new["updated_at"] > old["updated_at"]
    assert new["created_at"] == old["created_at"]
    assert directory.get(second) == untouched
    assert not directory.change("nobody", {})


def test_by_status_follows_changes(directory: Directory) -> None:
    someone = ids(directory)[0]
    directory.by_status()
    directory.change(someone, {"status": "banned"})
    assert 0 in dict(directory.by_status())["banned"]
    assert sum(len(numbers) for _, numbers in directory.by_status()) == len(directory)


def test_updated_matches_whole_members(directory: Directory) -> None:
    import datetime

    directory.change(ids(directory)[3], {})
    for number, updated in list(directory.updated())[:20]:
        text = directory.page([number], 0, 1)[0]["updated_at"]
        assert datetime.datetime.fromisoformat(text).timestamp() == updated


def test_some_draws_distinct_members_and_repeats_with_its_seed(directory: Directory) -> None:
    assert len(set(directory.some(50, "1"))) == 50
    assert directory.some(10, "1") == directory.some(10, "1") != directory.some(10, "2")
    assert len(directory.some(999)) == 200


def test_restart_keeps_changes_and_never_reuses_an_id(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sandbox.db"
    database = open_state(path)
    first = Directory(Generator(5, 100), database)
    changed, gone = first.generator.id(4), first.generator.id(5)
    first.change(changed, {"first_name": "Bea"})
    first.remove(gone)
    stays, left = first.add(), first.add()
    first.remove(left)
    before = ids(first)
    commit(database)
    database.close()

    database = open_state(path)
    second = Directory(Generator(5, 100), database)
    assert ids(second) == before
    assert second.get(changed)["first_name"] == "Bea"
    assert second.get(gone) is None and second.get(left) is None and second.get(stays) is not None
    assert second.add() not in {stays, left}
    database.close()


def test_other_seed_forgets_changes_of_the_old_members(tmp_path: Path) -> None:
    database = open_state(tmp_path / "sandbox.db")
    Directory(Generator(5, 100), database).remove(Generator(5, 100).id(1))
    assert len(Directory(Generator(6, 100), database)) == 100
    database.close()


def test_million_members_need_no_listing_to_find_a_page() -> None:
    database = open_state(None)
    made: list[int] = []

    class Counting(Generator):
        def member(self, index: int) -> dict:
            made.append(index)
            return super().member(index)

    directory = Directory(Counting(1, 1_000_000), database)
    directory.remove(directory.generator.id(10))
    page = directory.page(directory.order(), 900_000, 1000)
    assert [directory.generator.index(m["_id"]) for m in page] == list(range(900_001, 901_001))
    assert len(made) == 1000
    database.close()
