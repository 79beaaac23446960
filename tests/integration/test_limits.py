"""The gate: a run that would do something unlikely sends nothing, is red, and stays red until somebody decides."""

from __future__ import annotations

from typing import Any

import pytest
from ometria_provider.exceptions import Halted
from sync import FIELDS, Sync
from work import Outcome

BIRTHDAY = {"loyalty": "birth_date", "remote": "date_of_birth"}
#: Nothing counts below this many members, in these tests.
FEW = 5


def halted(sync: Sync, run: Outcome, limit: str, *parts: str) -> None:
    """The run stopped at the gate by a limit, and says which, by how much and how to go on."""
    assert run.state == "failed"
    run.assert_balanced()
    assert run.row["state"] == "halted"
    assert isinstance(run.errors["gate"], Halted)
    for part in (f"limits.{limit}", "Nothing was sent", "start a new run", "%", *parts):
        assert part in run.row["reason"]
    assert run.row["sent"] == 0


def members(sync: Sync, good: int, bad: int = 0) -> tuple[list[str], list[str]]:
    sync.nobody()
    return [sync.member() for _ in range(good)], [sync.member(birth_date="2999-01-01") for _ in range(bad)]


def strict(sync: Sync, retry_rejected: str | None = None, **limits: Any) -> None:
    """Write the mapping with these limits and no others."""
    names = ("max_rejected_share", "max_outstanding_share", "max_changed_share", "max_cleared_share", "max_drop_share")
    off: dict[str, Any] = dict.fromkeys(names)
    sync.mapping(fields=[*FIELDS, BIRTHDAY], limits=off | {"min_count": FEW} | limits, retry_rejected=retry_rejected)


def test_too_many_new_rejections_halt_and_a_second_run_too(sync: Sync) -> None:
    members(sync, 40, 6)
    strict(sync, max_rejected_share=0.1)
    halted(sync, sync.run(), "max_rejected_share", "6 of 46", "13.0%", "10.0%")
    second = sync.run()
    halted(sync, second, "max_rejected_share", "6 of 46")
    assert second.facts("map")["remembered"] == 0, "a halted run remembers nobody"
    assert sync.received()["received"] == 0

    strict(sync, max_rejected_share=0.14)
    third = sync.run()
    assert third.green, third.text
    assert (third.row["accepted"], third.row["rejected"]) == (40, 6)
    fourth = sync.run()
    assert fourth.green, "remembered rejections are not new"
    assert fourth.row["rejected"] == 6


def test_too_many_rejections_by_rules_halt_and_are_not_remembered(sync: Sync) -> None:
    members(sync, 40)
    for _ in range(6):
        sync.member(first_name=None)
    sync.suite({"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "firstname"}})
    strict(sync, max_rejected_share=0.1)
    for _ in range(2):
        halted(sync, sync.run(), "max_rejected_share", "6 of 46")
    assert sync.received()["received"] == 0


def test_too_many_rejections_in_all_halt(sync: Sync) -> None:
    good, _ = members(sync, 40, 6)
    strict(sync, max_outstanding_share=0.2)
    assert sync.run().green
    sync.change(*good[:5], birth_date="2999-01-01")
    halted(sync, sync.run(), "max_outstanding_share", "11 of 46")
    halted(sync, sync.run(), "max_outstanding_share", "11 of 46")


@pytest.mark.parametrize("stage", ["mapping", "validation", "push"])
def test_rejections_tried_again_in_vain_are_not_new(sync: Sync, stage: str) -> None:
    """They came a few at a time, each time within the limit; when all are due at once, nobody is newly rejected."""
    good, _ = members(sync, 40)
    strict(sync, max_rejected_share=0.1, retry_rejected="PT1H")
    sync.suite({"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "firstname"}})
    assert sync.run().green
    for some in (good[:4], good[4:8]):
        spoil = {"mapping": {"birth_date": "2999-01-01"}, "validation": {"first_name": None}, "push": {"score": 99}}
        sync.change(*some, **spoil[stage])
        if stage == "push":
            sync.fault("poison", contacts=some)
            sync.change(good[20], score=int(some[0], 16) % 1000 + 100)  # one that gets through
        run = sync.run()
        assert run.green, run.text
        run.assert_balanced()
    assert run.row["rejected"] == 8
    sync.execute("UPDATE contact_state SET changed_at = datetime(changed_at, '-61 minutes') WHERE state='rejected'")
    sync.change(good[30], score=123)
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert (run.row["rejected"], run.row["sent"]) == (8, 1)
    assert {row["contact_id"] for row in run.rejections} == set(good[:8]), "they were tried again"


def test_too_many_rejections_at_the_push_are_red_after_it(sync: Sync) -> None:
    good, _ = members(sync, 40)
    strict(sync, max_rejected_share=0.1)
    sync.fault("poison", contacts=good[:6])
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert run.row["state"] == "failed"
    assert "limits.max_rejected_share" in run.row["reason"]
    assert (run.row["accepted"], run.row["rejected"]) == (34, 6)


def test_too_many_changes_halt(sync: Sync) -> None:
    good, _ = members(sync, 40)
    strict(sync, max_changed_share=0.5)
    assert sync.run().green, "a first run creates, it changes nobody"
    sync.change(*good[:21], score=77)
    halted(sync, sync.run(), "max_changed_share", "21 of 40", "52.5%", "50.0%", "0.53")
    sync.change(*good[:1], score=10)
    run = sync.run()
    assert run.green, run.text
    assert run.row["sent"] == 20


def test_too_many_members_losing_a_value_halt_and_name_the_field(sync: Sync) -> None:
    good, _ = members(sync, 40)
    strict(sync, max_cleared_share=0.2)
    assert sync.run().green
    sync.change(*good[:9], first_name=None)
    sync.change(*good[20:23], last_name=None)
    run = sync.run()
    halted(sync, run, "max_cleared_share", "9 of 40", "`firstname`")
    assert "lastname" not in run.row["reason"]
    assert sync.contact(good[0])["firstname"] == "Ann"


def test_too_few_members_halt(sync: Sync) -> None:
    good, _ = members(sync, 40)
    strict(sync, max_drop_share=0.3)
    assert sync.run().green
    sync.sandbox.control("members", {"remove": good[:13]})
    halted(sync, sync.run(), "max_drop_share", "13 of 40", "32.5%")
    halted(sync, sync.run(), "max_drop_share", "13 of 40")


def test_few_members_break_no_share(sync: Sync) -> None:
    good, _ = members(sync, 10, FEW - 1)
    strict(sync, max_rejected_share=0.01, max_cleared_share=0.01, max_drop_share=0.01, max_changed_share=0.01)
    assert sync.run().green
    sync.change(*good[: FEW - 1], first_name=None)
    sync.sandbox.control("members", {"remove": good[FEW:]})
    assert sync.run().state == "failed", "five left"


@pytest.mark.parametrize("limit", ["max_changed_share", "max_cleared_share"])
def test_dry_run_is_halted_by_the_same_limit(sync: Sync, limit: str) -> None:
    good, _ = members(sync, 40)
    strict(sync, **{limit: 0.2})
    assert sync.run().green
    sync.change(*good[:9], first_name=None)
    run = sync.run(dry_run=True)
    assert run.state == "failed"
    assert f"limits.{limit}" in run.row["reason"]


def test_halted_run_cleared_stays_halted_with_the_limits_as_planned(sync: Sync) -> None:
    members(sync, 40, 6)
    strict(sync, max_rejected_share=0.1)
    run = sync.run()
    strict(sync)
    halted(sync, sync.clear(run, "gate", "push", "reconcile"), "max_rejected_share")
    assert sync.received()["received"] == 0
    assert sync.run().green


def test_halt_scheduled_by_airflow_skips_the_push_and_is_red(sync: Sync, airflow_database: None) -> None:
    members(sync, 40, 6)
    strict(sync, max_rejected_share=0.1)
    run = sync.run_dag()
    assert run.state == "failed"
    assert run.row["state"] == "halted"
    assert "push[0]" not in run.tasks or run.tasks["push[0]"] == "upstream_failed"
    assert run.tasks["report"] == "failed"
    assert sync.received()["received"] == 0
