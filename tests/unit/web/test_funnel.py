from __future__ import annotations

from ledgers import PastRun, green_run, unchanged_run
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.findings import refused_by_stage
from ometria_provider.ledger.run_steps import steps
from ometria_provider.report import run_report
from ometria_provider.web.funnel import Stage, funnel


def funnel_of(ledger: Ledger, past: PastRun) -> list[Stage]:
    run = past.write(ledger)
    return funnel(run_report(ledger, run.id), refused_by_stage(ledger, run.id, steps(ledger, run.id)))


def counts(stages: list[Stage]) -> dict[str, int]:
    return {stage.name: stage.members for stage in stages}


def drops(stages: list[Stage]) -> list[tuple[str, int, str]]:
    return [(stage.name, drop.members, drop.link) for stage in stages for drop in stage.drops]


def test_funnel_of_a_first_run_loses_nobody_without_a_word(sqlite_ledger: Ledger):
    stages = funnel_of(sqlite_ledger, green_run())
    assert counts(stages) == {"read": 2000, "changed": 1985, "valid": 1973, "sent": 1973, "accepted": 1973}
    assert drops(stages) == [
        ("changed", 15, "/mappings/customers"),
        ("valid", 12, "/runs/1/rejections?stage=mapping"),
    ]
    assert stages[0].share == 1.0


def test_funnel_s_drops_are_what_lies_between_its_stages(sqlite_ledger: Ledger):
    rejections = [
        ("a", "mapping", "x", "r"),
        ("b", "validation", "y", "r"),
        ("b", "validation", "z", "r"),
        ("c", "push", None, "r"),
        ("d", "ometria", "x", "r"),
    ]
    facts = {
        ("extract", 0): {"read": 10},
        ("map", 0): {"unchanged": 3, "filtered": 1, "rejected": 1, "to_send": 5},
        ("validate", 0): {"rejected": 1},
        ("push", 0): {"accepted": 2},
        ("reconcile", -1): {"convicted": 1},
    }
    read = {"read": 10, "unchanged": 3, "filtered": 1, "rejected": 4, "sent": 3, "accepted": 2}
    stages = funnel_of(sqlite_ledger, PastRun(counts=read, facts=facts, rejections=rejections))
    assert counts(stages) == {"read": 10, "changed": 6, "valid": 4, "sent": 3, "accepted": 2}
    numbers = list(counts(stages).values())
    for before, stage in zip(numbers, stages[1:], strict=False):
        assert before - stage.members == sum(drop.members for drop in stage.drops), stage.name
    assert "/runs/1/rejections?stage=ometria" in [link for _, _, link in drops(stages)]


def test_funnel_of_a_dry_run_says_what_would_be_sent(sqlite_ledger: Ledger):
    stages = funnel_of(sqlite_ledger, green_run(dry_run=True, counts={"read": 2000, "filtered": 15, "rejected": 12}))
    assert counts(stages)["sent"] == 0
    assert stages[3].drops[0].words == "would be sent: a dry run"
    assert stages[3].drops[0].members == 1973


def test_funnel_leads_to_whom_the_where_left_out_and_by_which_rule(sqlite_ledger: Ledger):
    run = green_run()
    left_out = {"where: status": {"members": 15, "first_ids": ["m1"]}}
    facts = {**run.facts, ("map", 0): {**run.facts["map", 0], "left_out": left_out}}
    assert ("changed", 15, "/runs/1#left-out") in drops(funnel_of(sqlite_ledger, green_run(facts=facts)))


def test_funnel_of_nothing_is_empty(sqlite_ledger: Ledger):
    stages = funnel_of(sqlite_ledger, unchanged_run(counts={}, facts={}))
    assert set(counts(stages).values()) == {0}
    assert drops(stages) == []
