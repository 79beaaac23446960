"""Rejections in the ledger, counted and forgotten."""

from __future__ import annotations

from ledgers import open_run
from ometria_provider.ledger import findings, run_steps
from ometria_provider.ledger.engine import Ledger


def test_count_rejections_counts_members_not_fields(ledger: Ledger) -> None:
    run, other = open_run(ledger), open_run(ledger, dag_id="contact_sync__other")
    findings.reject(ledger, run.id, 0, "mapping", [("1", "a", "bad"), ("1", "b", "bad"), ("2", "a", "bad")])
    findings.reject(ledger, run.id, 1, "validation", [("3", "a", "bad")])
    findings.reject(ledger, other.id, 0, "mapping", [("4", "a", "bad")])
    assert findings.count_rejections(ledger, run.id, "mapping") == 2
    assert findings.count_rejections(ledger, run.id, "validation") == 1
    assert findings.count_rejections(ledger, run.id, "push") == 0


def test_drop_rejections_forgets_one_stage_of_one_slice(ledger: Ledger) -> None:
    run = open_run(ledger)
    for slice_, stage, id_ in [(0, "mapping", "1"), (0, "validation", "2"), (1, "mapping", "3")]:
        findings.reject(ledger, run.id, slice_, stage, [(id_, None, "bad")])
    findings.drop_rejections(ledger, run.id, 0, "mapping")
    assert findings.count_rejections(ledger, run.id, "mapping") == 1
    assert findings.count_rejections(ledger, run.id, "validation") == 1


def test_newly_rejected_adds_the_stages(ledger: Ledger) -> None:
    run = open_run(ledger)
    for step, facts in [("map", {"rejected": 3, "remembered": 9}), ("validate", {"rejected": 2}), ("push", {})]:
        with run_steps.working(ledger, run, step, 0) as work:
            work.facts.update(facts)
    findings.reject(ledger, run.id, 0, "push", [("7", None, "refused"), ("7", None, "refused")])
    assert findings.newly_rejected(ledger, run.id, run_steps.steps(ledger, run.id)) == 6
