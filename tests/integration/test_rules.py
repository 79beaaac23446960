"""Validation rules in a run: row rules reject, table rules stop, warnings report."""

from __future__ import annotations

import json
from typing import Any

from ometria_provider.exceptions import Halted
from sync import Sync


def rule(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity}


def test_row_rule_rejects_each_failing_member_and_nobody_else(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    good = sync.member()
    bad = [sync.member(first_name=None), sync.member(first_name="")]
    sync.suite(rule("column_values_to_not_be_null", column="firstname"))
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert {row["contact_id"] for row in run.rejections} == set(bad)
    assert {(row["stage"], row["field"]) for row in run.rejections} == {("validation", "firstname")}
    assert sync.received()["stored"] == run.row["accepted"] == 1
    assert sync.contact(good)["firstname"] == "Ann"

    second = sync.run()
    assert second.green, second.text
    assert (second.row["sent"], second.row["rejected"], second.rejections) == (0, 2, [])
    sync.change(bad[0], first_name="Bea")
    third = sync.run()
    assert (third.row["sent"], third.row["rejected"]) == (1, 1)
    assert sync.contact(bad[0])["firstname"] == "Bea"


def test_row_rule_judges_custom_fields_by_their_own_name(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    sync.member(score=10)
    bad = sync.member(score=-3)
    sync.suite(rule("column_values_to_be_between", column="points", min_value=0))
    run = sync.run()
    assert [(row["contact_id"], row["field"]) for row in run.rejections] == [(bad, "points")]


def test_row_rule_that_is_new_judges_members_that_were_unchanged(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    bad = sync.member(score=-3)
    sync.member()
    assert sync.run().row["sent"] == 2
    sync.suite(rule("column_values_to_be_between", column="points", min_value=0))
    run = sync.run()
    assert run.row["sent"] == 0
    assert sync.contact(bad)["properties"]["points"] == -3, "it is there already: nothing is to be sent"


def test_table_rule_stops_at_the_gate_and_nothing_is_sent(sync: Sync) -> None:
    sync.mapping()
    sync.suite(rule("table_row_count_to_be_between", max_value=10))
    run = sync.run()
    assert run.state == "failed"
    run.assert_balanced()
    assert run.row["state"] == "halted"
    assert isinstance(run.errors["gate"], Halted)
    assert "row_count" in run.row["reason"]
    assert sync.received()["received"] == 0
    assert sync.run().row["state"] == "halted"


def test_warning_reports_and_rejects_nobody(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    doubtful = sync.member(score=-3)
    sync.suite(
        rule("column_values_to_be_between", "warning", column="points", min_value=0),
        rule("table_row_count_to_be_between", "warning", min_value=50),
    )
    run = sync.run()
    assert run.green, run.text
    run.assert_balanced()
    assert run.rejections == []
    assert sync.contact(doubtful)["properties"]["points"] == -3
    found = sync.query("SELECT * FROM rule_result ORDER BY id")
    assert [(row["kind"], row["severity"], row["failed"]) for row in found] == [
        ("row", "warning", 1),
        ("table", "warning", 1),
    ]
    assert json.loads(found[0]["contact_ids"]) == [doubtful]


def test_rules_are_not_run_when_nothing_is_to_be_sent(sync: Sync) -> None:
    sync.mapping()
    sync.suite(rule("column_values_to_not_be_null", column="id"))
    assert sync.run().green
    assert len(sync.query("SELECT * FROM rule_result")) == 1
    assert sync.run().green
    assert len(sync.query("SELECT * FROM rule_result")) == 1


def test_validate_cleared_judges_afresh(sync: Sync) -> None:
    sync.mapping()
    sync.nobody()
    sync.member()
    sync.member(first_name=None)
    sync.suite(rule("column_values_to_not_be_null", column="firstname"))
    run = sync.run()
    again = sync.clear(run, "validate", "gate", "push", "reconcile")
    assert again.green, again.text
    again.assert_balanced()
    assert again.books == run.books
    assert len(sync.query("SELECT * FROM rule_result")) == 1
