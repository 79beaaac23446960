"""Gate and report: the run as a whole."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.books import Books, verdict
from ometria_provider.delivery.limits import Counts, breaches
from ometria_provider.exceptions import Fatal, Halted
from ometria_provider.ledger import findings, history, runs
from ometria_provider.ledger.runs import StepRow, total
from ometria_provider.metrics import emit, of_run
from ometria_provider.operators import changes, chosen, owners
from ometria_provider.operators.base import SyncOperator, Work
from ometria_provider.operators.departures import Gone, Search, gone_of

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The steps of each slice, and those of the run before its report.
SLICE_STEPS = ("extract", "map", "validate", "push")
RUN_STEPS = ("plan", "gate", "reconcile")

#: Ids kept of the chosen members whom Antavo does not have; the count is complete.
UNKNOWN_IDS = 1_000


class RunFailed(Fatal):
    """The run is red: its report says why."""


def counts_so_far(work: Work, steps: list[StepRow], gone: Gone) -> Counts:
    """Return what the slices' steps counted, beside the last complete scan and those whom this one missed."""
    cleared: Counter[str] = Counter()
    for step in steps:
        if step.step == "map":
            cleared.update(step.facts.get("cleared", {}))
    new = runs.newly_rejected(work.ledger, work.run.id, steps)
    again = findings.rejected_again(work.ledger, work.run.id, account=work.account, collection=work.collection)
    read = total(steps, "extract", "read")
    last_read = runs.last_scan(work.ledger, work.run, account=work.account, collection=work.collection)
    if work.run.strategy == runs.INCREMENTAL:
        # Shares are of all members, as in a complete scan: of the few that changed they would mean nothing.
        read, last_read = max(read, last_read or 0), None
    return Counts(
        read=read,
        rejected=new - again,
        remembered=again + total(steps, "map", "remembered"),
        changed=total(steps, "map", "changed"),
        last_read=last_read,
        cleared=cleared,
        departed=gone.missing + sum(gone.leaving().values()),
        known=gone.known,
    )


def limits_broken(work: Work, counts: Counts) -> list[str]:
    """Return a sentence for each limit that is broken; a run for chosen members has none."""
    return [] if work.run.is_chosen else breaches(counts, work.mapping.limits)


class GateOperator(SyncOperator):
    """Let nothing be sent before everything is ready and the whole looks right.

    :raises Halted: when a limit or a table rule is broken, or Antavo has nobody at all.
    """

    step = "gate"

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Compare the run's counts with the mapping's limits and the last run."""
        steps = runs.in_force(runs.steps(work.ledger, work.run.id))
        self._tell_unknown(work, total(steps, "plan", "slices"), facts)
        may_be_empty = work.run.retry_of is not None or work.run.strategy == runs.INCREMENTAL
        if not total(steps, "extract", "read") and not may_be_empty:
            if work.run.is_chosen:
                raise Halted(
                    "Antavo knows none of the chosen customers. `customer_ids` are Antavo's own ids; "
                    f"connection `{work.mapping.connections.antavo}` says which account was asked."
                )
            raise Halted(
                f"Antavo returned no customers at all. Check connection `{work.mapping.connections.antavo}` and its "
                "read_api_url (`ometria-sync doctor`), then start a new run."
            )
        search = Search(work, steps)
        if owners.tell_apart(work, search):
            steps = runs.in_force(runs.steps(work.ledger, work.run.id))
            search = Search(work, steps)
        counts = counts_so_far(work, steps, search.look(facts))
        reasons = [sentence for step in steps if step.step == "validate" for sentence in step.facts.get("stopped", [])]
        reasons += limits_broken(work, counts)
        facts["breaches"] = reasons
        if reasons:
            raise Halted("Nothing was sent. " + " ".join(reasons))
        if not work.run.dry_run:
            search.note()
        self.log.info("The gate is open: %s records to send", f"{total(steps, 'map', 'to_send'):,}")

    def _tell_unknown(self, work: Work, slices: int, facts: dict[str, Any]) -> None:
        """Keep which chosen members Antavo does not have: they are in no account of the books, as nobody was read."""
        if missing := chosen.unknown(work, slices):
            facts.update(unknown=len(missing), unknown_ids=missing[:UNKNOWN_IDS])
            self.log.warning("Antavo does not have %s of the chosen members: %s", len(missing), ", ".join(missing[:20]))


class ReportOperator(SyncOperator):
    """Close the run: balance its books, say what happened, and be red unless all is well.

    :raises RunFailed: when the run is red.
    """

    step = "report"

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Write the books and the colour, and log the report."""
        steps = runs.steps(work.ledger, work.run.id)
        books = balance(work, steps)
        failures = _failures(steps)
        limits = []
        if work.run.mapping_json and not failures:
            limits = [fact for step in steps if step.step == "reconcile" for fact in step.facts.get("complaints", ())]
            limits += limits_broken(work, counts_so_far(work, steps, gone_of(steps)))
        reason = verdict(books, dry_run=work.run.dry_run, failures=failures, breaches=limits)
        halted = any(step.state == "halted" for step in steps)
        state = "succeeded" if reason is None else "halted" if halted else "failed"
        counts = {**books.columns(), "unverified": total(runs.in_force(steps), "reconcile", "unverified")}
        before = history.run_row(work.ledger, work.run.id)
        runs.close_run(work.ledger, work.run.id, state=state, reason=reason, counts=counts)

        from ometria_provider.report import run_report
        from ometria_provider.report_text import render

        report = run_report(work.ledger, work.run.id)
        self.log.info("%s", render(report))
        emit(of_run(before, report, history.rejection_groups(work.ledger, work.run.id, since=before.ended_at)))
        if reason is not None:
            raise RunFailed(reason)
        changes.delivered(work, steps)


def balance(work: Work, steps: list[StepRow]) -> Books:
    """Return the run's books from what its steps counted.

    Whoever was read and is in no other account is pending, so that nobody can get lost between two steps.
    """
    steps = runs.in_force(steps)
    read = total(steps, "extract", "read")
    new = runs.newly_rejected(work.ledger, work.run.id, steps)
    # What reconcile found out moves members from one account to another.
    settled, unsettled = total(steps, "reconcile", "settled_held"), total(steps, "reconcile", "convicted_before")
    unchanged = total(steps, "map", "unchanged") + total(steps, "push", "superseded") + settled - unsettled
    filtered = total(steps, "map", "filtered")
    rejected = new + total(steps, "map", "remembered")
    sent = runs.count_records(work.ledger, work.run.id, "acknowledged", "doubtful")
    accepted = sum(_accepted(work, step) for step in steps if step.step == "push")
    accepted += total(steps, "reconcile", "settled") - total(steps, "reconcile", "convicted_sent")
    return Books(
        read=read,
        unchanged=unchanged,
        filtered=filtered,
        rejected=rejected,
        new=new,
        to_send=total(steps, "map", "to_send") - total(steps, "validate", "rejected"),
        sent=sent,
        accepted=accepted,
        pending=read - unchanged - filtered - rejected - accepted,
        departed=total(steps, "reconcile", "departed"),
    )


def _accepted(work: Work, push: StepRow) -> int:
    """Return what one push delivered; of one that was killed, what its batches in the ledger say."""
    if "accepted" in push.facts:
        return int(push.facts["accepted"])
    return runs.count_records(work.ledger, work.run.id, "acknowledged", slice_=push.slice, since=push.started_at)


def _failures(steps: list[StepRow]) -> list[str]:
    """Return a sentence for each step that failed, never ended or never began."""
    found = {(step.step, step.slice): step for step in steps}
    plan = found.get(("plan", runs.WHOLE_RUN))
    slices = plan.facts.get("slices", 0) if plan else 0
    expected = [(name, runs.WHOLE_RUN) for name in RUN_STEPS]
    expected += [(name, index) for name in SLICE_STEPS for index in range(slices)]
    bad = [key for key in expected if key not in found or found[key].state != "done"]
    spoken = [found[key].reason or f"{_name(key)} did not finish." for key in bad if key in found]
    return spoken or [f"{_name(key)} did not run." for key in bad[:1]]


def _name(key: tuple[str, int]) -> str:
    step, slice_ = key
    return f"Task {step}" + ("" if slice_ == runs.WHOLE_RUN else f" of slice {slice_}")
