"""Gather from the ledger what a report says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from ometria_provider.ledger import approvals, findings, history, rejections, run_steps, undelivered
from ometria_provider.ledger.engine import Ledger
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.run_steps import StepRow, total
from ometria_provider.report.advice import next_steps
from ometria_provider.report.shape import (
    BookCounts,
    ByReason,
    Departures,
    DryRun,
    Ended,
    LateErrors,
    RunReport,
    Verification,
)
from ometria_provider.report.usage import APIS, step_times, use_of

#: Ids shown of those whom one rule of `where` left out.
LEFT_OUT = 20


def run_report(ledger: Ledger, run_id: int, *, most_followed: int | None = None) -> RunReport:
    """Return what the ledger knows of one run.

    :param most_followed: leave out where those whom it rejected stand by now, if they are more: for who cannot wait.
    :raises UnknownRun: when it knows no such run.
    """
    run = history.run_row(ledger, run_id)
    rows = run_steps.steps(ledger, run_id)
    books = _books(run, rows, findings.newly_rejected(ledger, run_id, rows))
    report = RunReport(
        run=run,
        books=books,
        steps=step_times(rows),
        rejections=rejections.rejection_groups(ledger, run_id),
        rules=rejections.failed_rules(ledger, run_id),
        apis=[use for api, steps in APIS.items() if (use := use_of(api, steps, [*rows, *_farewells(rows)]))],
        dry_run=_dry_run(books, rows) if run.dry_run else None,
        limits=[sentence for row in rows for sentence in row.facts.get("breaches") or ()],
        doubtful=history.doubtful_batches(ledger, run_id),
        departures=_departures(run, rows),
        remembered_from=history.earlier_run_with_rejections(ledger, run) if books.remembered else None,
        ended=_ended(ledger, run) if most_followed is None or books.new <= most_followed else [],
        left_out=_by_reason(rows, "left_out", most=LEFT_OUT),
        held_back=_by_reason(rows, "held_back", most=rejections.EXAMPLES),
        opt_outs=total(rows, "push", "opt_outs"),
        unknown=total(rows, "gate", "unknown"),
        unknown_ids=[id_ for row in rows for id_ in row.facts.get("unknown_ids") or ()],
        verification=_verification(rows),
        approval=approvals.find(ledger, run_id),
    )
    report.next.extend(next_steps(report))
    return report


def _books(run: RunRow, rows: list[StepRow], new: int) -> BookCounts:
    """Return the run's books; those of a run that is not closed yet are what its steps counted so far."""
    is_open = run.ended_at is None
    remembered = total(rows, "map", "remembered")
    return BookCounts(
        read=total(rows, "extract", "read") if is_open else run.read,
        unchanged=total(rows, "map", "unchanged") if is_open else run.unchanged,
        filtered=total(rows, "map", "filtered") if is_open else run.filtered,
        rejected=new + remembered if is_open else run.rejected,
        new=new,
        remembered=remembered,
        # A file of contacts is pushed without a map step: what was sent was to be sent.
        to_send=max(total(rows, "map", "to_send") - total(rows, "validate", "rejected"), run.sent),
        sent=run.sent,
        accepted=_accepted(rows) if is_open else run.accepted,
        already=total(rows, "push", "already"),
        pending=run.pending,
    )


def _ended(ledger: Ledger, run: RunRow) -> list[Ended]:
    """Return where the members stand whom a run rejected; nothing as long as nothing became of them."""
    found = undelivered.ended(ledger, run)
    if all(end.run in (None, run.id) and end.is_open for end in found):
        return []
    counted = sorted(found.items(), key=lambda item: -item[1])
    return [Ended(members, end.state, end.run, end.words(run.id)) for end, members in counted]


def _accepted(rows: list[StepRow]) -> int:
    settled = total(rows, "reconcile", "settled") - total(rows, "reconcile", "convicted_sent")
    return total(rows, "push", "accepted") + settled


def _verification(rows: list[StepRow]) -> Verification | None:
    """Return what reconcile found out, or None when it had nothing to look into."""
    facts = next((row.facts for row in rows if row.step == "reconcile"), {})
    if "read_back" not in facts:
        return None
    counts = {name: facts.get(name, 0) for name in ("read_back", "convicted", "unverified", "sampled", "unexplained")}
    errors = [LateErrors(*error) for error in facts.get("errors", ())]
    return Verification(
        **counts, missing=facts.get("missing", {}), errors=errors, overflow=facts.get("overflow", False)
    )


def _dry_run(books: BookCounts, rows: list[StepRow]) -> DryRun:
    cleared: Counter[str] = Counter()
    for row in rows:
        if row.step == "map":
            cleared.update(row.facts.get("cleared") or {})
    refused, known = total(rows, "validate", "rejected"), total(rows, "validate", "rejected_known")
    return DryRun(
        created=total(rows, "map", "created") - (refused - known),
        changed=total(rows, "map", "changed") - known,
        unchanged=books.unchanged,
        rejected=books.rejected,
        to_send=books.to_send,
        cleared=dict(cleared.most_common()),
        to_approve=[sentence for row in rows for sentence in row.facts.get("to_approve") or ()],
    )


def _departures(run: RunRow, rows: list[StepRow]) -> Departures:
    """Return who left: those who were handled, or would be."""
    handled = next((row.facts for row in rows if "departures" in row.facts), None)
    nobody: dict[str, Any] = {"leaving": {}, "gone": {"missing": 0}}
    found = next((row.facts for row in rows if "gone" in row.facts), nobody)
    return Departures(
        done=run.departed or (handled or {}).get("departed", 0),
        reasons=handled["departures"] if handled else found["leaving"],
        missing=found["gone"]["missing"],
        first_missing=tuple(found["gone"].get("first_missing", ())),
        refused=(handled or {}).get("refused", 0),
    )


def _by_reason(rows: list[StepRow], fact: str, *, most: int) -> list[ByReason]:
    """Return what map, and push, counted by reason: the most frequent first.

    :param most: ids shown of each.
    """
    members: Counter[str] = Counter()
    ids: dict[str, list[str]] = {}
    for row in rows:
        for reason, found in (row.facts.get(fact) or {}).items():
            members[reason] += found["members"]
            ids.setdefault(reason, []).extend(found["first_ids"])
    return [ByReason(reason, count, tuple(ids[reason][:most])) for reason, count in members.most_common()]


def _farewells(rows: list[StepRow]) -> list[StepRow]:
    """Return the pushes of those who left, which reconcile makes, as pushes."""
    return [replace(row, step="push", facts=row.facts["farewells"]) for row in rows if "farewells" in row.facts]


def as_data(report: RunReport) -> Any:
    """Return the report as JSON-able data."""
    import msgspec

    return msgspec.to_builtins(report)
