"""Rejections and failed rules, as people are shown them."""

from __future__ import annotations

from ledgers import green_run, unchanged_run
from ometria_provider.ledger import findings, rejections
from ometria_provider.ledger.engine import Ledger
from ometria_provider.validation.run import RuleResult as Result

REJECTIONS = [
    ("1", "mapping", "email", "is no e-mail address"),
    ("2", "mapping", "email", "is no e-mail address"),
    ("2", "mapping", "phone_number", "is no phone number"),
    ("3", "push", None, "100%_sure (HTTP 422)"),
]


def test_rejection_groups_counts_by_stage_field_and_reason(ledger: Ledger) -> None:
    run = green_run(rejections=REJECTIONS).write(ledger)
    unchanged_run(rejections=[("9", "mapping", "email", "is no e-mail address")]).write(ledger)
    groups = rejections.rejection_groups(ledger, run.id)
    assert [(group.members, group.stage, group.field) for group in groups] == [
        (2, "mapping", "email"),
        (1, "mapping", "phone_number"),
        (1, "push", None),
    ]
    assert sorted(groups[0].first_ids) == ["1", "2"]
    assert groups[2].first_ids == ("3",)


def test_list_rejections_filters_by_stage_reason_and_field(ledger: Ledger) -> None:
    run = green_run(rejections=REJECTIONS).write(ledger)

    def ids(**options: str) -> list[str]:
        return [row.contact_id for row in rejections.list_rejections(ledger, run.id, **options)]

    assert ids() == ["1", "2", "2", "3"]
    assert ids(stage="push") == ["3"]
    assert ids(reason="E-MAIL") == ["1", "2"]
    assert ids(reason="phone_number") == ["2"]
    assert ids(reason="%_") == ["3"]
    assert ids(reason="_sur%") == []
    assert len(rejections.list_rejections(ledger, run.id, limit=2)) == 2


def test_failed_rules_takes_the_slices_together_and_leaves_out_the_kept(ledger: Ledger) -> None:
    run = green_run().write(ledger)

    def keep(slice_: int, rule: str, severity: str, ids: list[str]) -> None:
        result = Result(rule=rule, kind="row", severity=severity, failed=len(ids), detail="why")
        findings.keep_rule_result(ledger, run, slice_, result, ids)

    keep(0, "email is set", "critical", ["1", "2"])
    keep(1, "email is set", "critical", ["3", "4"])
    keep(0, "name is set", "warning", ["1"])
    keep(0, "id is set", "critical", [])
    assert [
        (rule.rule, rule.severity, rule.failed, rule.first_ids) for rule in rejections.failed_rules(ledger, run.id)
    ] == [
        ("email is set", "critical", 4, ("1", "2", "3")),
        ("name is set", "warning", 1, ("1",)),
    ]
