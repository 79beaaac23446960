"""Customers who share a contact id: the oldest keeps it, whichever slices they are in; the others are rejected."""

from __future__ import annotations

from typing import Any

import pytest
from ometria_provider.operators import antavo as antavo_operators
from ometria_provider.operators import owners
from sync import Sync
from work import Outcome

SHARES = "is the contact id of another customer too"
NO_LIMITS = {"max_rejected_share": None, "max_outstanding_share": None}


class Sharing:
    """Six customers in slices of two, of whom the fifth has the contact id of the first.

    :param keeper: the customer who keeps it.
    :param other: the one who does not.
    """

    def __init__(self, sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(antavo_operators, "CHUNK", 2)
        self.sync = sync
        sync.nobody()
        names = ["one", "two", "three", "four", "one", "six"]
        ids = [self.join(name, day) for day, name in enumerate(names, start=1)]
        self.keeper, self.other = ids[0], ids[4]
        self.mapping()

    def join(self, name: str, day: int, **fields: Any) -> str:
        return self.sync.member(
            handler=name, first_name=f"{name} {day}", created_at=f"2026-01-{day:02}T00:00:00+00:00", **fields
        )

    def mapping(self, **keys: Any) -> None:
        identity = {"id": "nickname", "email": "email", "customer_id": "id"}
        self.sync.mapping(identity=identity, **{"limits": NO_LIMITS, **keys})

    def keeps(self) -> str:
        """Return whose record Ometria holds under the contact id that two share."""
        found: str = self.sync.contact("one")["customer_id"]
        return found


@pytest.fixture
def sharing(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> Sharing:
    return Sharing(sync, monkeypatch)


def green(run: Outcome) -> Outcome:
    assert run.green, run.text
    run.assert_balanced()
    return run


def who(run: Outcome) -> list[tuple[str, str, str, str]]:
    return [(row["contact_id"], row["stage"], row["field"], row["reason"]) for row in run.rejections]


def test_second_owner_in_another_slice_is_rejected_and_remembered(sharing: Sharing) -> None:
    sync = sharing.sync
    run = green(sync.run())
    assert len(run.work.windows) >= 3
    assert run.books == {"read": 6, "rejected": 1, "sent": 5, "accepted": 5}
    assert who(run) == [(f"antavo:{sharing.other}", "mapping", "id", SHARES)]
    assert sharing.keeps() == sharing.keeper
    received = sync.received()["received"]
    for _ in range(2):
        again = green(sync.run())
        assert again.books == {"read": 6, "unchanged": 5, "rejected": 1}
        assert again.rejections == [], "remembered"
    assert sync.received()["received"] == received == 5, "records that share a contact do not take turns"
    cleared = green(sync.run(again=run))
    assert (cleared.books, who(cleared)) == (run.books, who(run))
    gate = green(sync.clear(cleared, "gate", "push", "reconcile"))
    assert (gate.books, who(gate)) == (run.books, who(run))


def test_second_owner_takes_over_when_the_first_left(sharing: Sharing) -> None:
    sync = sharing.sync
    green(sync.run())
    sync.leave(sharing.keeper, silently=True)
    run = green(sync.run())
    assert run.books == {"read": 5, "unchanged": 4, "sent": 1, "accepted": 1}
    assert sharing.keeps() == sharing.other


def test_second_owner_who_is_filtered_does_not_take_the_contact_off_its_list(sharing: Sharing) -> None:
    sync = sharing.sync
    sync.change(sharing.other, status="banned")
    run = green(sync.run())
    assert run.books == {"read": 6, "filtered": 1, "sent": 5, "accepted": 5}
    for _ in range(2):
        again = green(sync.run())
        assert (again.row["sent"], again.row["departed"]) == (0, 0)
    assert "one" in sync.on_list()
    assert sync.state("one")["state"] == "accepted"


def test_limits_count_second_owners_before_anything_is_sent(sharing: Sharing) -> None:
    sharing.mapping(limits={"max_rejected_share": 0.01, "min_count": 1})
    run = sharing.sync.run()
    assert run.row["state"] == "halted"
    assert "1 of 6 members would be newly rejected" in run.text
    assert sharing.sync.received()["received"] == 0


@pytest.mark.parametrize("at", ["rename", "map"])
def test_gate_killed_while_it_tells_them_apart_is_finished_when_it_is_cleared(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    sync = sharing.sync

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owners, {"rename": "_rename", "map": "_map_again"}[at], killed)
        run = sync.run()
    assert run.state == "failed"
    assert sync.received()["received"] == 0
    again = green(sync.clear(run, "gate", "push", "reconcile"))
    assert again.books == {"read": 6, "rejected": 1, "sent": 5, "accepted": 5}
    assert who(again) == [(f"antavo:{sharing.other}", "mapping", "id", SHARES)]


def test_run_that_meets_the_second_owner_alone_leaves_the_contact_to_the_first(sharing: Sharing) -> None:
    sync = sharing.sync
    sharing.mapping(strategy="incremental")
    green(sync.run())
    received = sync.received()["received"]
    sync.change(sharing.other, first_name="Another")
    run = sync.run()
    assert run.row["strategy"] == "incremental"
    run.assert_balanced()
    chosen = sync.run(customer_ids=[sharing.other])
    chosen.assert_balanced()
    assert who(chosen) == [(f"antavo:{sharing.other}", "mapping", "id", SHARES)]
    assert sync.received()["received"] == received
    assert sharing.keeps() == sharing.keeper


def test_ids_that_a_transform_makes_equal_are_told_apart_too(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antavo_operators, "CHUNK", 2)
    sharing = Sharing(sync, monkeypatch)
    sharing.join("ONE", 7)
    lower = {"loyalty": "nickname", "remote": "id", "transform": ["lower"]}
    sharing.mapping(fields=[lower, {"loyalty": "first_name", "remote": "firstname"}])
    run = green(sync.run())
    assert run.books == {"read": 7, "rejected": 2, "sent": 5, "accepted": 5}
