"""Gate and report: the run as a whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ometria_provider.delivery.books import Books, verdict
from ometria_provider.delivery.limits import Breach, Counts, breaches
from ometria_provider.exceptions import AwaitingApproval, Fatal, Halted
from ometria_provider.ledger import approvals, batches, findings, history, rejections, run_steps, runs, scans
from ometria_provider.ledger.engine import Ledger, open_ledger
from ometria_provider.ledger.history import RunRow
from ometria_provider.ledger.run_steps import StepRow, total
from ometria_provider.metrics import emit, of_run
from ometria_provider.operators import approval, changes, chosen, owners
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
    new = findings.newly_rejected(work.ledger, work.run.id, steps)
    again = findings.rejected_again(work.ledger, work.run.id, account=work.account, collection=work.collection)
    read = total(steps, "extract", "read")
    last_read = scans.last_scan(work.ledger, work.run, account=work.account, collection=work.collection)
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
        missing=gone.missing,
        known=gone.known,
    )


def limits_broken(work: Work, counts: Counts) -> list[Breach]:
    """Return the limits that are broken; a run for chosen members has none."""
    return [] if work.run.is_chosen else breaches(counts, work.mapping.limits)


def unapproved(work: Work, counts: Counts) -> list[Breach]:
    """Return the limits that are broken beyond what a person approved at the gate."""
    given = approvals.find(work.ledger, work.run.id)
    covered = given.covers if given and given.answer == approvals.APPROVED else {}
    return [each for each in limits_broken(work, counts) if each.members > covered.get(each.key, -1)]


def concerned(work: Work, steps: list[StepRow], gone: Gone) -> int:
    """Return to how many members a record would go."""
    leaving = 0 if work.mapping.departed == "ignore" else sum(gone.leaving().values())
    return total(steps, "map", "to_send") - total(steps, "validate", "rejected") + leaving


class GateOperator(SyncOperator):
    """Let nothing be sent before everything is ready and the whole looks right, or a person approved it.

    :raises Halted: when a table rule is broken, or a limit that nobody approves, or Antavo has nobody at all.
    """

    step = "gate"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_resumed = False

    def perform(self, context: Context) -> Any:
        """Open, halt, or wait for a person."""
        try:
            return super().perform(context)
        except AwaitingApproval as question:
            # Few runs wait: the others do not pay for what telling takes.
            from ometria_provider.notifications.telling import tell_from_within

            settings = self.settings()
            ledger = open_ledger(settings.ledger_url)
            self.log.info("%s", question)
            tell_from_within(ledger, settings, self.dag_id)
            approval.park(Work(ledger, self.open(ledger, context), settings, None), context)

    def answered(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on with a person's answer, as Airflow resumes the task: look at everything again, then open or halt."""
        ledger = open_ledger(self.settings().ledger_url)
        approval.keep_answer(ledger, self.open(ledger, context).id, event)
        self.is_resumed = True
        return self.perform(context)

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:
        """Compare the run's counts with the mapping's limits and the last run."""
        steps = run_steps.in_force(run_steps.steps(work.ledger, work.run.id))
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
            steps = run_steps.in_force(run_steps.steps(work.ledger, work.run.id))
            search = Search(work, steps)
        counts = counts_so_far(work, steps, search.look(facts))
        rules = [sentence for step in steps if step.step == "validate" for sentence in step.facts.get("stopped", [])]
        self._judge(work, rules, limits_broken(work, counts), concerned(work, steps, search.gone), facts, context)
        if not work.run.dry_run:
            search.note()
        self.log.info("The gate is open: %s records to send", f"{total(steps, 'map', 'to_send'):,}")

    def _judge(
        self,
        work: Work,
        rules: list[str],
        broken: list[Breach],
        records: int,
        facts: dict[str, Any],
        context: Context,
    ) -> None:
        """Return when the run may go on: nothing speaks against it, or a person approved what does."""
        facts["breaches"] = [*rules, *(each.sentence for each in broken)]
        asked = approval.asked_for(work, broken, records)
        if rules or any(each.is_absolute for each in broken):
            raise Halted("Nothing was sent. " + " ".join(facts["breaches"]))
        if not work.run.dry_run:
            asking = approval.Asking(anybody=approval.can_ask(work, context), resumed=self.is_resumed)
            return approval.pass_with_approval(work, asked, asking)
        # A dry run shows what it would ask for, and waits for nobody.
        facts["to_approve"] = [each.said for each in asked if work.mapping.approve != "never"]
        if broken:
            raise Halted("Nothing was sent. " + " ".join(facts["breaches"]))
        return None

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

    def open(self, ledger: Ledger, context: Context) -> runs.Run:
        """Find the run, and how it was reported before: what was counted then is not counted again."""
        run = super().open(ledger, context)
        self._reported = run_steps.last(ledger, run, self.step)
        return run

    def work(self, work: Work, facts: dict[str, Any], context: Context) -> None:  # noqa: ARG002 (the base's signature)
        """Write the books and the colour, and log the report."""
        steps = run_steps.steps(work.ledger, work.run.id)
        books = balance(work, steps)
        failures = _failures(steps)
        limits = []
        if work.run.mapping_json and not failures:
            limits = [fact for step in steps if step.step == "reconcile" for fact in step.facts.get("complaints", ())]
            limits += [each.sentence for each in unapproved(work, counts_so_far(work, steps, gone_of(steps)))]
        reason = verdict(books, dry_run=work.run.dry_run, failures=failures, breaches=limits)
        halted = any(step.state in ("halted", run_steps.WAITING) for step in steps)
        state = "succeeded" if reason is None else "halted" if halted else "failed"
        counts = {**books.columns(), "unverified": total(run_steps.in_force(steps), "reconcile", "unverified")}
        facts.update(state=state, reason=reason)
        before = self._before(work)
        runs.close_run(work.ledger, work.run.id, state=state, reason=reason, counts=counts)

        from ometria_provider.report import run_report
        from ometria_provider.report_text import render

        report = run_report(work.ledger, work.run.id)
        self.log.info("%s", render(report))
        emit(of_run(before, report, rejections.rejection_groups(work.ledger, work.run.id, since=before.ended_at)))
        if reason is not None:
            raise RunFailed(reason)
        changes.delivered(work, steps)

    def _before(self, work: Work) -> RunRow:
        """Return the run as it was reported last; not ended when it never was."""
        run, reported = history.run_row(work.ledger, work.run.id), self._reported
        if reported is None or "state" not in reported.facts:
            return run
        return replace(run, state=reported.facts["state"], ended_at=reported.ended_at)


def balance(work: Work, steps: list[StepRow]) -> Books:
    """Return the run's books from what its steps counted.

    Whoever was read and is in no other account is pending, so that nobody can get lost between two steps.
    """
    steps = run_steps.in_force(steps)
    read = total(steps, "extract", "read")
    new = findings.newly_rejected(work.ledger, work.run.id, steps)
    # What reconcile found out moves members from one account to another.
    settled, unsettled = total(steps, "reconcile", "settled_held"), total(steps, "reconcile", "convicted_before")
    unchanged = total(steps, "map", "unchanged") + total(steps, "push", "superseded") + settled - unsettled
    filtered = total(steps, "map", "filtered")
    rejected = new + total(steps, "map", "remembered")
    sent = batches.count_records(work.ledger, work.run.id, "acknowledged", "doubtful")
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
    return batches.count_records(work.ledger, work.run.id, "acknowledged", slice_=push.slice, since=push.started_at)


def _failures(steps: list[StepRow]) -> list[str]:
    """Return a sentence for each step that failed, never ended or never began."""
    found = {(step.step, step.slice): step for step in steps}
    plan = found.get(("plan", run_steps.WHOLE_RUN))
    slices = plan.facts.get("slices", 0) if plan else 0
    expected = [(name, run_steps.WHOLE_RUN) for name in RUN_STEPS]
    expected += [(name, index) for name in SLICE_STEPS for index in range(slices)]
    bad = [key for key in expected if key not in found or found[key].state != "done"]
    spoken = [_words(found[key]) for key in bad if key in found]
    return spoken or [f"{_name(key)} did not run." for key in bad[:1]]


def _words(step: StepRow) -> str:
    if step.state == run_steps.WAITING:
        return runs.UNANSWERED
    return step.reason or f"{_name((step.step, step.slice))} did not finish."


def _name(key: tuple[str, int]) -> str:
    step, slice_ = key
    return f"Task {step}" + ("" if slice_ == run_steps.WHOLE_RUN else f" of slice {slice_}")
